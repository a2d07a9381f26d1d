"""Draws docs/figures/architecture.png: the way of one gate job from the table of kinds to a row.

python tools/draw_architecture.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "figures" / "architecture.png"
PACKAGE, STAGES = "headprune/", "headprune/pipeline/stages/"
TRUNK, TRAINING, MASK, ROW, ASKED = "#dfe7f1", "#cfe5d6", "#f6e3c5", "#ead7ea", "#f2f2f2"
# Boxes by their place, column and row from the top: file, what it does, colour.
BOXES = {
    (1, 0): ("workflows/rules/jobs.smk", "a rule for every kind of job", TRUNK),
    (1, 1): (f"{PACKAGE}pipeline/jobs.py", "run · attempt", TRUNK),
    (1, 2): (f"{STAGES}gates.py", "run · trained", TRUNK),
    (0, 3): (f"{STAGES}gate_trainings.py", "train_gates", TRAINING),
    (0, 4): (f"{STAGES}trainings.py", "run_training", TRAINING),
    (0, 5): (f"{PACKAGE}training/trainer.py", "train", TRAINING),
    (1, 3): (f"{STAGES}gate_trainings.py", "mask_of", MASK),
    (1, 4): (f"{PACKAGE}method/base.py", "GateMethod.masks", MASK),
    (2, 3): (f"{STAGES}measuring.py", "prune · measure · receipt", ROW),
    (2, 4): (f"{PACKAGE}pipeline/collect.py", "cell_rows", ROW),
    (0, 0): (f"{PACKAGE}results/jobs.py", "JOBS: what differs from kind to kind", ASKED),
    (0, 1): (f"{PACKAGE}pipeline/context.py", "ModelContext: what a job works with", ASKED),
    (2, 0): (f"{PACKAGE}results/layout.py", "RunFolder: where everything lies", ASKED),
    (2, 1): (f"{PACKAGE}tasks/__init__.py", "TASKS: what differs from task to task", ASKED),
}
ARROWS = [
    ((1, 0), (1, 1)),
    ((1, 1), (1, 2)),
    *(((1, 2), (column, 3)) for column in range(3)),
    ((0, 3), (0, 4)),
    ((0, 4), (0, 5)),
    ((1, 3), (1, 4)),
    ((2, 3), (2, 4)),
]
ENDS = {(0, 5): "a training", (1, 4): "a mask", (2, 4): "a row of cells.parquet"}
WIDTH, HEIGHT, STEP_X, STEP_Y = 3.3, 0.62, 3.7, 1.0


def draw(path: Path) -> None:
    """Writes the picture."""
    figure, axes = plt.subplots(figsize=(11.2, 6.6))
    axes.set_xlim(-0.15, 2 * STEP_X + WIDTH + 0.15)
    axes.set_ylim(-5 * STEP_Y - 0.55, HEIGHT + 0.15)
    axes.axis("off")
    for (column, row), (file, about, colour) in BOXES.items():
        _box(axes, column * STEP_X, -row * STEP_Y, file, about, colour)
    for start, end in ARROWS:
        _arrow(axes, start, end)
    for (column, row), text in ENDS.items():
        axes.text(column * STEP_X + WIDTH / 2, -row * STEP_Y - 0.28, f"→ {text}", ha="center", va="center", fontsize=10)
    figure.tight_layout(pad=0.2)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _box(axes: Axes, x: float, y: float, file: str, about: str, colour: str) -> None:
    style = "round,pad=0.02,rounding_size=0.08"
    asked = {"linestyle": "--", "edgecolor": "#888888"} if colour == ASKED else {"edgecolor": "#333333"}
    axes.add_patch(FancyBboxPatch((x, y), WIDTH, HEIGHT, boxstyle=style, facecolor=colour, **asked))
    axes.text(x + WIDTH / 2, y + 0.43, file, ha="center", va="center", fontsize=8.6, family="monospace")
    axes.text(x + WIDTH / 2, y + 0.17, about, ha="center", va="center", fontsize=9)


def _arrow(axes: Axes, start: tuple[int, int], end: tuple[int, int]) -> None:
    (c, r), (d, s) = start, end
    tail, head = (c * STEP_X + WIDTH / 2, -r * STEP_Y - 0.03), (d * STEP_X + WIDTH / 2, -s * STEP_Y + HEIGHT + 0.03)
    axes.annotate("", head, tail, arrowprops={"arrowstyle": "-|>", "color": "#333333", "shrinkA": 0, "shrinkB": 0})


if __name__ == "__main__":
    draw(PICTURE)
