"""The common ground of the tests of the figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.text import Text

SCRIPTS = Path(__file__).parents[2] / "paper_figures"
MAPS = ("survival_maps", "kept_by_type")
MASKS = (*MAPS, "mask_agreement", "heads_per_layer")
QUALITY = ("quality_vs_heads", "pareto", "pruning_cost", "size_vs_quality", "seed_distribution", "one_page")
FIGURES = (*QUALITY, *MASKS, "normalised_quality", "speedup", "critical_difference")
AT_TIMES = (
    "treatments",
    "penalty_frontier",
    "heads_by_penalty",
    "training_curves",
)  # drawn where the results have what they show
TABLES = ("results_table", "comparisons", "normalised", "frontiers", "summary", "claims")
NAMES = (*FIGURES, *AT_TIMES, *TABLES, "estimators")


@dataclass(frozen=True)
class Drawn:
    """The products of all scripts from the made-up results: their files, and the figures, laid out."""

    folder: Path
    figures: dict[str, Figure]


def draw(script: Callable, name: str, folder: Path, out: Path, unsaved: list[Figure]) -> Figure:
    """The figures that a script draws of a folder, laid out."""
    assert script(name).main([str(folder), str(out)]) == 0
    unsaved[-1].draw_without_rendering()
    return unsaved[-1]


def cell_values(folder: Path) -> dict[tuple, dict[str, float]]:
    """Metrics by (model, method, arm, budget, seed), gathered with a loop; only completed cells."""
    found: dict[tuple, dict[str, float]] = {}
    for row in pd.read_parquet(folder / "cells.parquet").to_dict("records"):
        if row["status"] == "ok":
            key = tuple(row[name] for name in ("model", "method", "arm", "budget", "seed"))
            found.setdefault(key, {})[row["metric"]] = row["value"]
    return found


def no_overlap(texts: list[Text]) -> bool:
    boxes = [text.get_window_extent() for text in texts if text.get_visible() and text.get_text().strip()]
    return not any(one.overlaps(other) for one, other in combinations(boxes, 2))
