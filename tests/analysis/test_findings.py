"""Numbers of docs/findings.md and of the summary in README.md, computed again from published rows."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from quoting import FINDINGS, MULTI30K, ROOT, Values, gains, interval, lines_of, values_of
from scipy import stats

from headprune.analysis.claims import NO_DATA, effect_text, evaluate, load
from headprune.analysis.tables import read
from headprune.analysis.versus import versus
from headprune.statistics.multiple import holm
from headprune.statistics.seeds import paired_p

QUALITY = ("dsp-joint-gradient", "dsp-pipelined-gradient", "dsp-ninety-percent", "michel-flat", "michel-cliff")
MICHEL = ("michel-one-head", "michel-last-cross", "michel-drop-one")
VOITA = ("voita-cross-decoder", "voita-decoder-encoder", "voita-cross-high", "voita-decoder-low")


@pytest.mark.parametrize(
    ("folder", "header", "prefixes"),
    [
        ("multi30k-core", "claim on Multi30k", QUALITY),
        ("multi30k-frozen", "claim of Michel et al. on Multi30k", MICHEL),
        ("small-core", "registered contrast", ("contrast-",)),
        ("small-core", "claim on `small`", ("dsp-joint-gradient", "dsp-pipelined-gradient", "michel-cliff")),
        ("small-frozen", "claim of Michel et al.", MICHEL),
        ("small-continued", "claim of Voita et al.", VOITA),
        ("small-controls", "claim", ("voita-scratch",)),
    ],
)
def test_verdicts(folder: str, header: str, prefixes: tuple[str, ...]) -> None:
    """The tables of docs/findings.md: every claim of these, none left out, as the committed rows decide it."""
    claims = [
        claim
        for claim in load(ROOT / "paper_figures/claims.yaml")
        if claim.track == "mt" and claim.id.startswith(prefixes)
    ]
    results = read(ROOT / "results/published" / folder, with_masks=True)
    decided = evaluate(claims, results).set_index("text").to_dict("index")
    quoted = [[cell.replace("**", "") for cell in line] for line in lines_of(FINDINGS, f"\n| {header} |")]
    assert {text for text, *_ in quoted} == set(decided)
    for text, effect, p_value, verdict in quoted:
        row = decided[text]
        assert row["registered"] == "registered before the results"
        told = ("–", "–") if row["verdict"] == NO_DATA else (effect_text(row), f"{row['p_value']:.2g}")
        assert (effect, p_value, verdict) == (*told, row["verdict"])


PARTS = {part: f"small-{part}" for part in ("core", "frozen", "continued", "controls")}
CORE = {
    "DSP (joint)": ("dsp.joint",),
    "gradient (one-shot)": ("gradient_importance.one_shot",),
    "gradient (iterative)": ("gradient_importance.iterative",),
    "DSP (pipelined)": ("dsp.pipelined",),
    "random": ("random",),
}
HEADS = {
    "random": ("random.treated", "random.treated+ft"),
    "gradient (one-shot)": ("gradient_importance.one_shot", "gradient_importance.one_shot+ft"),
    "DSP (pipelined)": ("dsp.pipelined", "dsp.pipelined+ft"),
    "OBS": ("obs", "obs+ft"),
}
SCRATCH = {
    "joint DSP's": ("dsp.joint+scratch", "dsp.joint+scratch_twin", "dsp.joint", ""),
    "those of L0, continued (8.3 heads)": (
        "l0.continued+scratch",
        "l0.continued+scratch_twin",
        "l0.continued",
        "l0.continued+ft_long",
    ),
    "random, from all 36": ("random.treated+scratch", "", "random.treated", "random.treated+ft_long"),
    "random, spread over the modules": ("random_balanced.treated+scratch", "", "random_balanced.treated", ""),
}
TREATED = {name.partition(" ")[0]: label for name, (_, label) in HEADS.items()} | {
    "DSP, gates learned while training on": "dsp.continued",
    "DSP, found and then fine-tuned": "dsp.pipelined+ft",
    "joint DSP's heads": "dsp.joint+scratch",
    "L0's heads": "l0.continued+scratch",
    "random ones from all 36": "random.treated+scratch",
    "random ones spread over the modules": "random_balanced.treated+scratch",
    "random heads, 2,000 updates more": "random.treated+ft_long",
    "from scratch": "random.treated+scratch",
}


@pytest.fixture(scope="module")
def values() -> dict[str, Values]:
    return {part: values_of(folder) for part, folder in {**PARTS, "multi30k": "multi30k-core"}.items()}


@pytest.mark.parametrize(
    ("part", "header", "rows", "budgets"),
    [
        ("multi30k", "| | K = 38 |", MULTI30K, (38, 32, 24, 16, 10, 5)),
        ("core", "| | K = 18 | K = 12 | K = 7 |", CORE, (18, 12, 7)),
        ("continued", "| heads | K = 12, as found |", HEADS, (12, 7)),
        ("controls", "| heads | from scratch |", SCRATCH, (7,)),
    ],
)
def test_means(values: dict[str, Values], part: str, header: str, rows: dict[str, tuple[str, ...]], budgets) -> None:
    quoted = lines_of(FINDINGS, f"\n{header}")
    assert [name for name, *_ in quoted] == list(rows)
    for name, *cells in quoted:
        points = [(label, budget) for budget in budgets for label in rows[name]]
        for point, cell in zip(points, cells, strict=True):
            found = values[part].get(point)
            assert cell == (interval(found.values()) if found else "–"), (name, point)


def test_differences_of_fine_tuned_masks(values: dict[str, Values]) -> None:
    """Intervals by scipy, signs counted, and asterisks by the test of outputs over the whole table."""
    results, cells_of, p_outputs = read(ROOT / "results/published/small-continued"), [], []
    for name, *cells, signs in lines_of(FINDINGS, "\n| | K = 12 | K = 7 |"):
        system, baseline = (TREATED[part] for part in name.split(" − "))
        for budget, cell, seeds in zip((12, 7), cells, re.findall(r"\d", signs), strict=False):
            found = gains(values["continued"][system, budget], values["continued"][baseline, budget])
            assert cell.removesuffix("*") == interval(found, "+"), (name, budget)
            assert int(seeds) == (np.sign(found) == np.sign(np.mean(found))).sum()
        cells_of += cells
        p_outputs += list(versus(results, system, baseline)[0].table["p_outputs"])
    assert len(p_outputs) == 14
    assert [cell.endswith("*") for cell in cells_of] == list(holm(p_outputs) < 0.05)


def test_differences_from_scratch(values: dict[str, Values]) -> None:
    rows = lines_of(FINDINGS, "\n| | K = 7 | p across seeds |")
    assert len(rows) == 6
    for name, cell, p_value in rows:
        one, two = name.removesuffix(", both from scratch").split(" − ")
        twin = f"{TREATED[one]}_twin" if two == "their twins" else TREATED[two]
        found = gains(values["controls"][TREATED[one], 7], values["controls"][twin, 7])
        assert cell == interval(found, "+"), name
        assert p_value == f"{paired_p(found):.2g}", name


def test_losses_from_scratch(values: dict[str, Values]) -> None:
    found, told = values["controls"], " ".join(FINDINGS.split())
    least, most = (
        interval(gains(found["unpruned", 36], found[f"{label}+scratch", 7]), " ").strip()
        for label in ("l0.continued", "random.treated")
    )
    assert f"this model loses {least} BLEU (L0's, 8.3 of them) to {most} (random ones" in told
    more = interval(gains(found["l0.continued+scratch", 7], found["dsp.joint+scratch", 7]))
    assert f"L0's heads end {more} above joint DSP's" in told


def test_leads_that_fine_tuning_leaves(values: dict[str, Values]) -> None:
    """A fifth to a quarter at K = 12, four fifths at 7, of OBS a half; in shares of the mean lead over random heads."""
    found = values["continued"]

    def lead(label: str, way: int, budget: int) -> float:
        return float(np.mean(gains(found[HEADS[label][way], budget], found[HEADS["random"][way], budget])))

    left = {(label, k): lead(label, 1, k) / lead(label, 0, k) for label in list(HEADS)[1:] for k in (12, 7)}
    assert all(0.17 < share < 0.26 for (_, budget), share in left.items() if budget == 12)
    assert left["OBS", 7] == pytest.approx(0.53, abs=0.02)
    assert all(left[label, 7] == pytest.approx(0.8, abs=0.02) for label in ("gradient (one-shot)", "DSP (pipelined)"))


def test_joint_training_against_masks_that_are_trained_on(values: dict[str, Values]) -> None:
    """Rows of two parts, which share their unpruned models; what was merged gives the same."""
    joint, others = values["core"], values["continued"]
    for name, *cells in lines_of(FINDINGS.replace("\n  |", "\n|"), "\n| joint DSP less, fine-tuned |"):
        for budget, cell in zip((12, 7), cells, strict=True):
            found = gains(joint["dsp.joint", budget], others[HEADS[name][1], budget])
            assert cell == interval(found, "+"), (name, budget)
            assert min(found) > 0
    as_found = [interval(gains(joint["dsp.joint", k], joint["dsp.pipelined", k])) for k in (12, 7)]
    assert f"by {as_found[0]} and {as_found[1]} in these seeds" in FINDINGS
    assert f"fine-tuned alike is at {interval(others['unpruned+ft', 36].values())}" in FINDINGS


def test_twins_of_gradient_masks(values: dict[str, Values]) -> None:
    """Draws of a seed are averaged: the mask's lead over random heads, and that of its twins."""
    core, frozen, mask = values["core"], values["frozen"], "gradient_importance.one_shot"
    budgets = (18, 12, 7)
    leads = [np.mean(gains(core[mask, k], core["random", k])) for k in budgets]
    twins = [np.mean(gains(frozen[f"{mask}+twin", k], core["random", k])) for k in budgets]
    one, two = ("{:.1f}, {:.1f} and {:.1f}".format(*found) for found in (twins, leads))
    told = " ".join(FINDINGS.split())
    assert f"ahead of random heads by {one} BLEU at K = 18, 12 and 7, the masks by {two} (6 seeds)" in told
    share = f"{sum(twins) / sum(leads):.0%}".replace("%", " %")
    assert f": {share} of the effect" in told


def test_single_heads() -> None:
    """Heads that can go alone at another level, and the losses that are not significant, from the rows."""
    rows = pd.read_csv(ROOT / "results/published/small-frozen/ablations.csv")
    rows = rows[(rows["kind"] == "drop_one") & (rows["metric"] == "bleu")]
    loss = rows["unpruned"] - rows["value"]
    free = {alpha: ~((loss > 0) & (rows["p_value"] < alpha)) for alpha in (0.01, 0.05)}
    shares = free[0.05].groupby(rows["seed"]).mean()
    half = stats.sem(shares) * stats.t.ppf(0.975, 5)
    told = " ".join(FINDINGS.split())
    assert f"{shares.mean():.3f} [{shares.mean() - half:.3f}, {shares.mean() + half:.3f}], undecided" in told
    assert f"lose {loss[free[0.01]].mean():.2f} BLEU on average and {loss[free[0.01]].max():.2f} at most" in told
    manifest = json.loads((ROOT / "results/published/small-frozen/manifest.json").read_text(encoding="utf-8"))
    assert f"of {manifest['data']['lohelp-de-en']['splits']['valid']['pairs']} sentences" in told


def test_findings_of_readme(values: dict[str, Values]) -> None:
    """The cells that it counts, and the means that it quotes, in its order."""
    page = (
        (ROOT / "README.md").read_text(encoding="utf-8").partition("## What it found so far")[2].partition("\n## ")[0]
    )
    rows = [("multi30k", label, k) for (label,) in MULTI30K.values() for k in (38, 32, 24, 16, 10, 5)]
    points = [
        *(("multi30k", "unpruned", 48), *(point for point in rows if point[1:] in values["multi30k"])),
        *(("core", "unpruned", 36), ("core", "dsp.joint", 12), ("core", "gradient_importance.one_shot", 12)),
        *(("core", "dsp.pipelined", 12), ("core", "random", 12), ("continued", "random.treated+ft", 12)),
        *(("continued", "gradient_importance.one_shot+ft", 12), ("continued", "dsp.pipelined+ft", 12)),
        *(("continued", "obs+ft", 12), ("controls", "random.treated+ft_long", 7), ("controls", "dsp.joint", 7)),
        *(("controls", "dsp.joint+scratch", 7), ("controls", "dsp.joint+scratch_twin", 7)),
        *(("controls", "random_balanced.treated+scratch", 7), ("controls", "random.treated+scratch", 7)),
        ("controls", "l0.continued+scratch", 7),
    ]
    means = [f"{np.mean(list(values[part][label, budget].values())):.1f}" for part, label, budget in points]
    assert re.findall(r"\d+\.\d(?!\d)", page) == means
    cell = ["model", "method", "arm", "budget", "seed"]
    parts = [pd.read_parquet(ROOT / f"results/published/{folder}/cells.parquet") for folder in PARTS.values()]
    every = pd.concat(parts).fillna({"arm": ""})[cell].drop_duplicates()
    assert f"[{len(every):,} cells]" in page and f"{len(every):,} cells in all" in FINDINGS
