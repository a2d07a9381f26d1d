"""Quotes of docs/findings.md, and the numbers that published rows give for them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy import stats

from headprune.analysis.study import Study
from headprune.analysis.tables import label_of, read

ROOT = Path(__file__).resolve().parents[2]
FINDINGS = (ROOT / "docs/findings.md").read_text(encoding="utf-8")
MULTI30K = {
    "DSP (joint)": ("dsp.joint",),
    "gradient (iterative)": ("gradient_importance.iterative",),
    "gradient (one-shot)": ("gradient_importance.one_shot",),
    "DSP (pipelined)": ("dsp.pipelined",),
    "magnitude": ("magnitude",),
    "random": ("random",),
}
Values = dict[tuple[str, int], dict[int, float]]


def lines_of(page: str, header: str) -> list[list[str]]:
    """The cells of a table of a page."""
    table = page.partition(header)[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table]


def values_of(folder: str) -> Values:
    """Test BLEU of every label, budget and seed."""
    results = read(ROOT / "results/published" / folder)
    study = Study(results, results.groups()[0])
    return {(label_of(line), budget): dict(found) for (line, budget), found in study.values.items()}


def interval(numbers: Iterable[float], sign: str = "") -> str:
    """A mean with its t interval, by scipy."""
    found = np.array(list(numbers))
    half = stats.sem(found) * stats.t.ppf(0.975, len(found) - 1)
    low = max(found.mean() - half, -np.inf if sign else 0.0)
    return f"{found.mean():{sign}.2f} [{low:.2f}, {found.mean() + half:.2f}]".replace("-", "−")


def gains(system: dict[int, float], baseline: dict[int, float]) -> list[float]:
    """Differences within the first six seeds, or those that there are."""
    return [system[seed] - baseline[seed] for seed in sorted(system) if seed <= 6]
