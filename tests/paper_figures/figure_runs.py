"""What the tests of the figures share."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

SCRIPTS = Path(__file__).parents[2] / "paper_figures"
MAPS = ("survival_maps", "kept_by_type")
MASKS = (*MAPS, "mask_agreement", "heads_per_layer")
QUALITY = ("quality_vs_heads", "pareto", "pruning_cost", "size_vs_quality", "seed_distribution", "one_page")
FIGURES = (*QUALITY, *MASKS, "normalised_quality", "speedup", "critical_difference")
AT_TIMES = ("treatments", "penalty_frontier", "training_curves")  # drawn where the results have what they show
TABLES = ("results_table", "comparisons", "normalised", "frontiers", "summary", "claims")
NAMES = (*FIGURES, *AT_TIMES, *TABLES, "estimators")


@dataclass(frozen=True)
class Drawn:
    """What all scripts made of the made-up results: their files, and the figures, laid out."""

    folder: Path
    figures: dict[str, Figure]
    again: Path  # where a second process draws the same once more, meanwhile
    process: subprocess.Popen[str]
