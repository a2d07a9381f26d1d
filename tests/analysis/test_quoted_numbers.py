"""Numbers that documents quote from published tables, rounded once from the values."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headprune.analysis.study import REFERENCE, Study
from headprune.analysis.tables import read
from headprune.statistics import Estimate

ROOT = Path(__file__).resolve().parents[2]
MODELS = {"All-Attention": "all-attention-4x8", "Transformer-XL": "transformer-xl-4x8"}
LINES = {"layer-wise L0": ("layerwise_l0", "continued"), "gradient importance": ("gradient_importance", "one_shot")}
NUMBERS = re.compile(r"([\d.]+) \[([\d.]+), ([\d.]+)\](?: \(([\d.]+)(?: heads)?\))?")


def rounded(found: Estimate, like: str) -> list[str]:
    digits = len(like.partition(".")[2])
    return [f"{value:.{digits}f}" for value in (found.value, found.low, found.high)]


@pytest.fixture(scope="module")
def studies() -> dict[str, Study]:
    results = read(ROOT / "results/published/small_lm")
    return {group[3]: Study(results, group) for group in results.groups()}


def test_language_models(studies: dict[str, Study]) -> None:
    page = (ROOT / "docs/language-modeling.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in page.splitlines()
        if line.startswith(tuple(f"| {model}, " for model in MODELS))
    ]
    assert len(rows) == 3
    for name, *cells in rows:
        model, _, method = name.partition(", ")
        study = studies[MODELS[model]]
        points = [(REFERENCE, 32), *((LINES[method], k) for k in (24, 16, 8))]
        for point, cell in zip(points, cells, strict=True):
            if not cell:
                continue
            *quoted, heads = NUMBERS.fullmatch(cell).groups()
            values = study.quality.value(list(study.values[point].values()))
            assert quoted == rounded(study.quality.estimate(values), quoted[0]), (name, point)
            kept = study.heads[point]
            assert heads == (None if kept == point[1] else f"{kept:.1f}".removesuffix(".0"))


def test_unpruned_model_of_small() -> None:
    results = read(ROOT / "results/published/small")
    study = Study(results, results.groups()[0])
    found = study.quality.estimate(list(study.values[REFERENCE, 36].values()))
    value, low, high = rounded(found, "20.95")
    assert f"{value} [{low}, {high}] BLEU" in (ROOT / "docs/findings.md").read_text(encoding="utf-8")
