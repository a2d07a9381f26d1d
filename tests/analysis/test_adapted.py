"""Rows say that the weights of one of two lines were trained with its mask."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from made_up_cells import GROUP, N_HEADS, rows_of

from headprune.analysis.adapted import adapted_in
from headprune.analysis.claims import Claim, evaluate
from headprune.analysis.comparisons import compare
from headprune.analysis.study import RANDOM, REFERENCE, Study
from headprune.analysis.tables import Line, line_of, read
from headprune.analysis.versus import versus

METHODS = [
    {"name": "dsp", "arm": "joint", "mode": "joint"},
    {"name": "l0", "arm": "", "mode": "continued"},
    {"name": "dsp", "arm": "pipelined", "mode": "pipelined"},
    {"name": "random", "arm": "", "mode": "pipelined"},
]
TREATMENTS = [
    {"name": "fine_tune", "arm": ""},
    {"name": "fine_tune", "arm": "distil"},
    {"name": "from_scratch", "arm": ""},
    {"name": "matched_random", "arm": ""},
    {"name": "bias_compensation", "arm": ""},
]
ADAPTED = ["dsp.joint", "l0", "dsp.pipelined+ft", "random+distil", "dsp.joint+scratch"]
OTHERS = ["unpruned", "random", "dsp.pipelined", "dsp.joint+twin", "dsp.pipelined+bias", "unknown"]


def note(folder: Path, **config: object) -> None:
    (folder / "manifest.json").write_text(json.dumps({"config": config}), encoding="utf-8")


@pytest.mark.parametrize("label", ADAPTED + OTHERS)
def test_lines_whose_weights_were_trained_with_their_mask(label: str, tmp_path: Path) -> None:
    note(tmp_path, methods=METHODS, treatments=TREATMENTS)
    assert adapted_in(tmp_path)(line_of(label)) == (label in ADAPTED)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"config": {}}', '{"config": {"methods": [3]}}'])
def test_where_no_manifest_tells_there_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    assert not any(adapted_in(tmp_path)(line_of(label)) for label in ADAPTED)
    (tmp_path / "manifest.json").unlink()
    assert not adapted_in(tmp_path)(line_of("dsp.joint"))


@pytest.fixture
def folder(write: Callable) -> Path:
    lines = {("dsp", "joint"): 15.0, ("dsp", "pipelined"): 12.0, ("random", ""): 9.0, ("random", "+ft"): 13.0}
    cells = {("unpruned", "", N_HEADS, seed): 20.0 for seed in range(3)}
    cells |= {(*line, 4, seed): value + seed / 10 for line, value in lines.items() for seed in range(3)}
    made: Path = write(rows_of(cells))
    note(made, methods=METHODS, treatments=TREATMENTS)
    return made


def test_comparisons_say_so(folder: Path) -> None:
    table = compare(read(folder), [REFERENCE, RANDOM], pairs=True).set_index(["baseline", "method", "arm"])["flags"]
    table = table[~table.index.duplicated()]
    assert table["random", "dsp", "joint"] == "weights trained with the mask"
    assert table["random", "random", "+ft"] == "weights trained with the mask"
    assert table["random", "dsp", "pipelined"] == ""
    assert table["dsp.joint", "random", "+ft"] == ""  # both were
    assert not table["unpruned"].str.contains("weights").any()


@pytest.mark.parametrize("turned", [False, True])
def test_compare_and_claims_say_so(turned: bool, folder: Path) -> None:
    pair = ["dsp.joint", "random"][:: -1 if turned else 1]
    (found,) = versus(read(folder), *pair)
    assert found.notes[-1] == "weights of dsp.joint were trained with its mask, those of random were not"
    whose = "baseline's weights" if turned else "weights"
    assert found.table.loc[0, "flags"].endswith(f"{whose} trained with the mask")
    check = {"predicate": "compare", "systems": pair[:1], "baselines": pair[1:]}
    own = {"text": "So.", "source": "us", "track": "mt", "margin_of": "ours", "least_n": 6}
    (row,) = evaluate([Claim(id="one", check=check, **own)], read(folder)).to_dict("records")
    assert row["decided_by"].endswith("; weights trained with the mask: dsp.joint only")
    same: tuple[Line, Line] = (line_of("dsp.pipelined"), RANDOM)
    assert Study(read(folder), tuple(GROUP.values())).adapted_of(*same) is None
