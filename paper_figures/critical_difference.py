"""Methods that rank apart: Friedman's test and Nemenyi's critical difference over (track, dataset, model, seed).

One diagram over all models where there are several, and one of each model.

python paper_figures/critical_difference.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from captions import write_caption
from command import run
from common import EmptyError, Line, Results, group_label
from families import line_label
from looks import BLACK, DOUBLE, GREY, SINGLE, save, styled
from matplotlib.axes import Axes

from headprune.analysis.drawings import Drawing
from headprune.analysis.study import Study
from headprune.analysis.summary import ranking
from headprune.statistics.ranks import Ranks

NAME = "critical_difference"
FIGURE = Drawing("Which methods rank apart: Friedman's test and Nemenyi's critical difference.", needs=("lines:3",))
STEP, BAR, HEAD = 0.15, 0.09, 0.62  # inches: between names, between bars, for title, critical difference and axis
LETTER, GAP, LEAST = 0.058, 0.25, 1.6  # inches: of a letter of a name, from a name to the axis, of the axis
OPENING = (
    "Critical-difference diagram (Demšar 2006). Methods at their mean rank by test quality over blocks, 1 the best; a "
    "block is one seed of one model, its quality the mean over the budgets K that most methods have, since budgets of "
    "one seed share its trainings. Bars join methods that Nemenyi's test does not tell apart at α = {alpha:g}, their "
    "mean ranks no further apart than the critical difference CD. Only methods with a result in every block, without "
    "treated masks and what misses K by more than a head."
)
NOTHING = "No ranks: Friedman's test needs three methods with three seeds of every model."
Place = tuple[float, str]


@dataclass(frozen=True)
class Diagram:
    """The ranks of one set of blocks."""

    title: str
    ranks: Ranks


def draw(results: Results, out_dir: Path) -> None:
    """Draw the diagrams below each other; say so where the blocks are too few."""
    results = results.untreated()
    diagrams = list(diagrams_of(results))
    if not diagrams:
        raise EmptyError(NAME, NOTHING)
    heights = [height(diagram.ranks) for diagram in diagrams]
    most = max(len(diagram.ranks.methods) for diagram in diagrams)
    left, right = (max(sides) for sides in zip(*(room(diagram.ranks) for diagram in diagrams), strict=True))
    axis = max(LEAST, (SINGLE if most <= 6 else DOUBLE) - left - right)
    size, whole = (left + axis + right, sum(heights)), {"left": 0, "right": 1, "bottom": 0, "top": 1, "hspace": 0}
    with styled():
        figure, grid = plt.subplots(
            len(diagrams), 1, figsize=size, squeeze=False, height_ratios=heights, layout="none", gridspec_kw=whole
        )
        for ax, diagram in zip(grid.flat, diagrams, strict=True):
            inch = (len(diagram.ranks.methods) - 1) / axis  # in ranks
            ax.set_xlim(1 - left * inch, len(diagram.ranks.methods) + right * inch)
            draw_diagram(ax, diagram, inch)
        save(figure, out_dir, NAME)
    opening = OPENING.format(alpha=diagrams[0].ranks.alpha)
    write_caption(results, out_dir, NAME, opening, [sentence(diagram) for diagram in diagrams])


def diagrams_of(results: Results) -> Iterator[Diagram]:
    """All models together where there are several, then each, as far as they can be ranked."""
    studies = {group: Study(results, group) for group in results.groups()}
    if len(studies) > 1 and (ranks := ranking(list(studies.values()))):
        yield Diagram("all models", ranks)
    for group, study in studies.items():
        if ranks := ranking([study]):
            yield Diagram(group_label(results, group), ranks)


def sentence(diagram: Diagram) -> str:
    """Friedman's test and the critical difference, for the caption."""
    ranks = diagram.ranks
    p = "p < 0.001" if ranks.p_value < 0.001 else f"p = {ranks.p_value:.3f}"
    start = f"{diagram.title}: " if diagram.title else ""
    return (
        f"{start}{len(ranks.methods)} methods in {ranks.blocks} blocks; Friedman χ² = {ranks.statistic:.2f}, {p}; "
        f"CD = {ranks.critical_difference:.2f}."
    )


def height(ranks: Ranks) -> float:
    """Inches of one diagram."""
    return HEAD + 0.14 + BAR * len(levels(ranks.cliques)) + STEP * ((len(ranks.methods) + 1) // 2)


def room(ranks: Ranks) -> tuple[float, float]:
    """Inches that the names need on the left and on the right."""
    half = (len(ranks.methods) + 1) // 2
    longest = (max(len(line_label(method)) for method in side) for side in (ranks.methods[:half], ranks.methods[half:]))
    left, right = (LETTER * (letters + len("  1.00")) + GAP for letters in longest)
    return left, right


def levels(cliques: Sequence[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """The bars dealt to as few levels as possible, none overlapping another of its level."""
    found: list[list[tuple[int, int]]] = []
    for clique in cliques:
        level = next((level for level in found if level[-1][1] < clique[0]), None)
        if level is None:
            found.append([clique])
        else:
            level.append(clique)
    return found


def draw_diagram(ax: Axes, diagram: Diagram, inch: float) -> None:
    """An axis of ranks; the better half is named on the left, the others on the right. y is in inches, downwards.

    :param inch: in ranks
    """
    ranks = diagram.ranks
    k, total = len(ranks.methods), height(ranks)
    ax.axis("off")
    ax.set_ylim(total, 0)
    line: dict[str, Any] = {"color": BLACK, "linewidth": 0.8, "solid_capstyle": "butt"}
    ax.text(ax.get_xlim()[0] + 0.05 * inch, 0.04, diagram.title, va="top", fontsize=8)
    end = 1 + ranks.critical_difference
    ax.plot([1, end], [0.34, 0.34], **(line | {"linewidth": 1.4, "color": GREY}))
    ax.text(end + 0.06 * inch, 0.34, f"CD = {ranks.critical_difference:.2f}", va="center", fontsize=7)
    ax.plot([1, k], [HEAD, HEAD], **line)
    step = 1 if k <= 12 else 5 if k > 25 else 2
    for tick in sorted({1, *range(step, k + 1, step)}):
        ax.plot([tick, tick], [HEAD - 0.05, HEAD], **line)
        ax.text(tick, HEAD - 0.06, f"{tick}", ha="center", va="bottom", fontsize=7)
    bars = levels(ranks.cliques)
    for depth, level in enumerate(bars):
        y = HEAD + 0.07 + BAR * depth
        for first, last in level:
            ends = [ranks.mean_ranks[first] - 0.06, ranks.mean_ranks[last] + 0.06]
            ax.plot(ends, [y, y], **(line | {"linewidth": 2.6}), zorder=3)
    top, half = HEAD + 0.14 + BAR * len(bars), (k + 1) // 2
    for place, (method, rank) in enumerate(zip(ranks.methods, ranks.mean_ranks, strict=True)):
        left = place < half
        y = top + STEP * (place if left else k - 1 - place)
        end = 1 - 0.1 * inch if left else k + 0.1 * inch
        ax.plot([rank, rank, end], [HEAD, y, y], **(line | {"linewidth": 0.6}), zorder=2)
        name(ax, method, rank, end, y, left)


def name(ax: Axes, method: Any, rank: float, x: float, y: float, left: bool) -> None:
    """`DSP (joint)  1.40`, outside the end of its line."""
    line: Line = method
    text = f"{line_label(line)}  {rank:.2f}" if left else f"{rank:.2f}  {line_label(line)}"
    ax.text(x, y, f" {text} ", ha="right" if left else "left", va="center", fontsize=7)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
