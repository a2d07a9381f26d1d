"""Names of methods in print: what results carry comes first, then what files declare, then the bare name."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headprune.analysis import names


@pytest.fixture(autouse=True)
def nothing_carried(tmp_path: Path) -> Iterator[None]:
    names.carry(tmp_path / "absent")
    yield
    names.carry(tmp_path / "absent")


def carry(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    names.carry(folder)


def test_files_declare_titles_and_families() -> None:
    assert (names.title("dsp"), names.family("dsp")) == ("DSP", "Learned gates: subsets")
    assert (names.title("greedy"), names.family("greedy")) == ("greedy", "Ablation and near-oracles")
    assert (names.title("not_here"), names.family("not_here")) == ("not here", "")


def test_results_carry_the_names_of_methods_that_are_not_installed(tmp_path: Path) -> None:
    carried = {"not_here": {"title": "NotHere", "family": "Reconstruction"}, "dsp": {"title": "Subsets", "family": ""}}
    carry(tmp_path, json.dumps({names.SECTION: carried}))
    assert (names.title("not_here"), names.family("not_here")) == ("NotHere", "Reconstruction")
    assert (names.title("dsp"), names.family("dsp")) == ("Subsets", "")
    assert names.title("ste") == "STE"
    names.carry(tmp_path / "other")
    assert (names.title("not_here"), names.title("dsp")) == ("not here", "DSP")


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"printed": 1}', '{"printed": {"dsp": 1}}', '{"printed": {"dsp": []}}']
)
def test_a_manifest_that_carries_none_leaves_the_files(text: str, tmp_path: Path) -> None:
    carry(tmp_path, text)
    assert names.title("dsp") == "DSP"


def test_names_need_no_torch() -> None:
    code = "import sys; from headprune.analysis import names; assert names.title('l0') == 'L0'; "
    code += "assert not {'torch', 'fairseq'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
