"""Numbers that documents quote from published tables, rounded once from the values."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from headprune.analysis.claims import NO_DATA, effect_text, evaluate, load
from headprune.analysis.study import REFERENCE, Study
from headprune.analysis.tables import label_of, read
from headprune.analysis.versus import versus
from headprune.statistics import Estimate

ROOT = Path(__file__).resolve().parents[2]
MODELS = {"All-Attention": "all-attention-4x8", "Transformer-XL": "transformer-xl-4x8"}
LINES = {"layer-wise L0": ("layerwise_l0", "continued"), "gradient importance": ("gradient_importance", "one_shot")}
VOITA = ("voita-cross-decoder", "voita-decoder-encoder", "voita-cross-high", "voita-decoder-low")
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
    assert f"{value} [{low}, {high}] BLEU" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("folder", "header", "prefixes"),
    [
        ("small-core", "registered contrast", ("contrast-",)),
        ("small-frozen", "claim of Michel et al.", ("michel-one-head", "michel-last-cross", "michel-drop-one")),
        ("small-continued", "claim of Voita et al.", VOITA),
    ],
)
def test_verdicts(folder: str, header: str, prefixes: tuple[str, ...]) -> None:
    """The tables of README: every claim of these, none left out, as the committed rows decide it."""
    claims = [claim for claim in load(ROOT / "paper_figures/claims.yaml") if claim.id.startswith(prefixes)]
    results = read(ROOT / "results/published" / folder, with_masks=True)
    decided = evaluate(claims, results).set_index("text").to_dict("index")
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    table = page.partition(f"| {header}")[2].partition("\n\n")[0].splitlines()[2:]
    quoted = [[cell.strip().replace("**", "") for cell in line.split("|")[1:-1]] for line in table]
    assert {text for text, *_ in quoted} == set(decided)
    for text, effect, p_value, verdict in quoted:
        row = decided[text]
        assert row["registered"] == "registered before the results"
        told = ("–", "–") if row["verdict"] == NO_DATA else (effect_text(row), f"{row['p_value']:.2g}")
        assert (effect, p_value, verdict) == (*told, row["verdict"])


HEADS = {
    "random": ("random.treated", "random.treated+ft"),
    "gradient (one-shot)": ("gradient_importance.one_shot", "gradient_importance.one_shot+ft"),
    "DSP (pipelined)": ("dsp.pipelined", "dsp.pipelined+ft"),
    "OBS": ("obs", "obs+ft"),
}
TREATED = {name.partition(" ")[0]: label for name, (_, label) in HEADS.items()} | {
    "DSP, gates learned while training on": "dsp.continued",
    "DSP, found and then fine-tuned": "dsp.pipelined+ft",
}


def lines_of(page: str, header: str) -> list[list[str]]:
    """The cells of a table of a page."""
    table = page.partition(header)[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table]


def test_fine_tuned_masks() -> None:
    """README's means and differences of masks that are trained on; of two differences the test of outputs, too."""
    page = (ROOT / "README.md").read_text(encoding="utf-8").partition("## What six seeds say of training on")[2]
    results = read(ROOT / "results/published/small-continued")
    study = Study(results, results.groups()[0])
    values = {(label_of(line), budget): found for (line, budget), found in study.values.items()}
    quoted = lines_of(page, "\n| heads |")
    assert [name for name, *_ in quoted] == list(HEADS)
    for name, *cells in quoted:
        points = [(label, budget) for budget in (12, 7) for label in HEADS[name]]
        for point, cell in zip(points, cells, strict=True):
            value, low, high = rounded(study.quality.estimate(list(values[point].values())), "0.00")
            assert cell == f"{value} [{low}, {high}]", (name, point)
    for name, *cells, signs in lines_of(page, "\n| | K = 12 |"):
        system, baseline = (TREATED[part] for part in name.split(" − "))
        for budget, cell, seeds in zip((12, 7), cells, re.findall(r"\d", signs), strict=False):
            pairs = [(values[system, budget][seed], values[baseline, budget][seed]) for seed in range(1, 7)]
            gains = np.array([ours - theirs for ours, theirs in pairs])
            half = stats.sem(gains) * stats.t.ppf(0.975, 5)
            told = f"{gains.mean():+.2f} [{gains.mean() - half:.2f}, {gains.mean() + half:.2f}]".replace("-", "−")
            assert cell.removesuffix("*") == told, (name, budget)
            assert int(seeds) == (np.sign(gains) == np.sign(gains.mean())).sum()
        if name in ("OBS − gradient", "DSP − gradient"):
            table = versus(results, system, baseline)[0].table
            assert ["*" if p < 0.001 else "" for p in table["p_outputs_holm"]] == [
                cell[-1].strip("]") for cell in cells
            ]
