"""A slip in a call of `headprune prune` is told before torch is imported."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from headprune.checkpoints import describe
from headprune.own.glance import glance
from tests.checkpoints.conftest import StockModel, in_old_form

Stock = Callable[[str], StockModel]

CALL = """
import json, sys
from pathlib import Path
from headprune.own.early import check
from headprune.own.request import request_of

said = []
for case in json.loads(sys.argv[1]):
    paths = ("checkpoint", "data", "out")
    given = dict.fromkeys(("parameters", "speed_up", "speed_up_in_batches", "lose_at_most"), "")
    given |= {"option": [], "judged": 10, "beam": 5} | case | {key: Path(case[key]) for key in paths}
    try:
        check(request_of(given))
        said.append("nothing")
    except (ValueError, OSError) as error:
        said.append(str(error))
print(json.dumps([said, sorted({"torch", "fairseq", "numpy"} & set(sys.modules))]))
"""


def test_refusals_need_no_torch(stock: Stock, tmp_path: Path) -> None:
    """All in one process, which has imported none of the heavy libraries at its end."""
    made = stock("separate, pre-norm")
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.pt").write_text("no checkpoint\n", encoding="utf-8")
    plain = {"checkpoint": str(made.checkpoint), "data": str(made.data), "out": str(tmp_path / "out")}
    plain |= {"method": "fisher", "keep": ["50%"]}
    shutil.copytree(made.data, tmp_path / "run" / "bin")
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "nothing"),
        ({"method": "fischer"}, "did you mean 'fisher'?"),
        ({"method": "dsp"}, "'dsp' learns its gates in a training"),
        ({"method": "unpruned"}, "'unpruned' removes nothing; methods that judge"),
        ({"option": ["groups=2"]}, "unknown option 'groups'; did you mean 'group'?"),
        ({"option": ["group=0"]}, "option 'group' is 0; it must be at least 1"),
        ({"keep": ["half"]}, "--keep is 'half'; it takes a number of heads"),
        ({"keep": [], "lose_at_most": "little"}, "--lose-at-most little: it is a number"),
        ({"checkpoint": str(tmp_path / "none.pt")}, "there is no checkpoint"),
        ({"checkpoint": str(tmp_path)}, "is a folder; name the checkpoint in it"),
        ({"checkpoint": str(tmp_path / "text.pt")}, "is damaged, or no checkpoint at all"),
        ({"data": str(tmp_path / "nowhere")}, "there is no folder"),
        ({"data": str(tmp_path / "empty")}, "has no split 'valid'; its splits: none"),
        ({"data": str(tmp_path / "run")}, f"its splits: none; did you mean {tmp_path / 'run' / 'bin'}?"),
        ({"out": str(tmp_path / "text.pt")}, "is a file; --out names a folder"),
        ({"out": str(made.data)}, "and no earlier results of this command: name another"),
    ]
    words = json.dumps([plain | changes for changes, _ in cases])
    done = subprocess.run([sys.executable, "-c", CALL, words], check=True, capture_output=True, text=True)
    said, heavy = json.loads(done.stdout)
    assert heavy == []
    for (changes, message), found in zip(cases, said, strict=True):
        assert message in found, changes


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("old", [True, False], ids=["args", "cfg"])
def test_a_glance_tells_what_the_checkpoint_says(
    state: dict[str, Any], tmp_path: Path, zipped: bool, old: bool
) -> None:
    path = tmp_path / "model.pt"
    torch.save(in_old_form(state) if old else state, path, _use_new_zipfile_serialization=zipped)
    found, expected = glance(path), describe(path)
    assert (found.get("source_lang"), found.get("target_lang")) == expected.pair
    assert found["task"] == expected.task_name
    assert found["arch"] == expected.architecture


@pytest.mark.parametrize("kept", [1, 100, -2000])
def test_a_glance_at_a_damaged_file_tells_what_there_is(stock: Stock, tmp_path: Path, kept: int) -> None:
    """The reader of the whole file says whether it is damaged."""
    content = stock("separate, pre-norm").checkpoint.read_bytes()[:kept]
    (tmp_path / "model.pt").write_bytes(b"\x80" + content)
    assert glance(tmp_path / "model.pt") == {}
