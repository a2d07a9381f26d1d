"""Captions tell what a run was given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headprune.analysis.given import sentence

TRAINED: dict[str, Any] = {"dataset": "news", "training": {"updates": 3}}
ONE = {"dataset": "news", "checkpoint": "/a.pt", "checkpoints": None}
SEVERAL = {"dataset": "news", "checkpoint": None, "checkpoints": {"1": "/a.pt", "2": "/b.pt"}}


def told(folder: Path, model: Any, dataset: Any) -> str:
    manifest = {"config": {"models": {"wmt": model}, "datasets": {"news": dataset}}}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return sentence(folder, "news", "wmt")


@pytest.mark.parametrize(
    ("model", "dataset", "expected"),
    [
        (TRAINED, {"corpus": "lohelp-de-en"}, []),
        (
            ONE,
            {"data_bin": "/d", "divide_valid": {}},
            ["The model was given: one checkpoint for every seed", "n counts"],
        ),
        (SEVERAL, {"data_bin": "/d"}, ["The model was given: a checkpoint for every seed"]),
        (ONE, {"divide_valid": {"train": 0.5, "test": 0.25}}, ["50% train and 25% test, the rest valid."]),
    ],
    ids=["trained", "one", "several", "divided"],
)
def test_what_was_given_is_told(tmp_path: Path, model: Any, dataset: Any, expected: list[str]) -> None:
    found = told(tmp_path, model, dataset)
    assert all(text in found for text in expected)
    assert bool(found) == bool(expected)


def test_results_that_do_not_tell_say_nothing(tmp_path: Path) -> None:
    assert sentence(tmp_path, "news", "wmt") == ""
    for content in ("no JSON", "[]", '{"config": {"models": {}, "datasets": []}}'):
        (tmp_path / "manifest.json").write_text(content, encoding="utf-8")
        assert sentence(tmp_path, "news", "wmt") == ""
