"""Labels, colours, markers, page widths and saving: what makes the figures look like one set."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from common import UNPRUNED, Line, Quality, ends
from families import ordered
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterMathtext, LogLocator, NullLocator

SINGLE, DOUBLE = 3.4, 7.0  # inches: one column and two columns of a paper
STYLE = Path(__file__).with_name("style.mplstyle")

# Okabe and Ito's palette, without its yellow, which vanishes as a thin line on white.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#777777"

Where = Literal["outside upper center", "outside lower center"]
Dash = str | tuple[float, tuple[float, ...]]


@dataclass(frozen=True)
class Look:
    """The look of a line: colour, marker and dashes all differ, so that grey print tells lines apart."""

    color: str
    marker: str
    dash: Dash = "-"

    @property
    def size(self) -> float:
        """Marker size in points; crosses and stars have less ink, so they are drawn larger."""
        return {"P": 5.5, "X": 5.0, "*": 6.5}.get(self.marker, 4.2)

    @property
    def line(self) -> dict[str, Any]:
        """A line with markers on it, as keywords of `plot`."""
        style = {"color": self.color, "linestyle": self.dash, "marker": self.marker, "markersize": self.size}
        return style | {"markeredgecolor": "white", "markeredgewidth": 0.4}


DASHED, DOTTED = (0, (4, 1.2)), (0, (1, 1.2))
DOT_DASHED, SHORT, LONG = (0, (4, 1.2, 1, 1.2)), (0, (2, 1)), (0, (6, 1.5))
CORE: dict[Line, Look] = {  # keep their colours in every figure
    (UNPRUNED, ""): Look(BLACK, "*", (0, (5, 2))),
    ("random", ""): Look(GREY, "o", DOTTED),
    ("magnitude", ""): Look(ORANGE, "s", DASHED),
    ("gradient_importance", "one_shot"): Look(SKY, "^"),
    ("gradient_importance", "iterative"): Look(BLUE, "v", DOT_DASHED),
    ("dsp", "pipelined"): Look(PURPLE, "D", SHORT),
    ("dsp", "joint"): Look(VERMILLION, "P"),
}
KNOWN: dict[Line, Look] = CORE | {  # colours differ within a family; between families they repeat
    (f"{UNPRUNED}+ft", ""): Look(GREY, "*", SHORT),
    ("random_balanced", ""): Look(BLUE, "s", DASHED),
    ("gradient_importance", "signed"): Look(VERMILLION, ">", SHORT),
    ("gradient_importance", "unnormalised"): Look(GREEN, "X"),
    ("gradient_importance", "position"): Look(PURPLE, "<", LONG),
    ("gradient_importance", "batch"): Look(BLACK, "d", DOTTED),
    ("confidence", ""): Look(BLUE, "h"),
    ("entropy", ""): Look(ORANGE, "p", DASHED),
    ("drop_one", ""): Look(GREEN, "<"),
    ("keep_one", ""): Look(ORANGE, ">", DASHED),
    ("greedy", ""): Look(BLUE, "d", DOT_DASHED),
    ("evolutionary", ""): Look(VERMILLION, "8", SHORT),
    ("fisher", ""): Look(GREEN, "h"),
    ("obs", ""): Look(PURPLE, "p", DASHED),
    ("fluctuation", ""): Look(BLUE, "X", SHORT),
    ("dsp", "continued"): Look(ORANGE, "X", DASHED),
    ("ste", "joint"): Look(BLUE, "<", LONG),
    ("ste", "pipelined"): Look(BLACK, "8", DOT_DASHED),
    ("ste", "gumbel"): Look(SKY, ">", DOT_DASHED),
    ("ste", "relaxed"): Look(GREEN, "h", DOTTED),
    ("l0", "pipelined"): Look(SKY, "^", SHORT),
    ("l0", "joint"): Look(VERMILLION, "s", DASHED),
    ("l0", "continued"): Look(BLUE, "o"),
    ("l0", "at_k"): Look(GREEN, "d", DOT_DASHED),
    ("lagrangian_l0", ""): Look(ORANGE, "v", LONG),
    ("movement", ""): Look(PURPLE, "p", SHORT),
    ("drophead", ""): Look(BLACK, "8", DOTTED),
    ("layerwise_l0", "continued"): Look(GREEN, "X"),
    ("layerwise_l0", "pipelined"): Look(BLUE, "o", SHORT),
    ("layerwise_l0", "no_warmup"): Look(VERMILLION, "v", DASHED),
    ("layerwise_l0", "no_initialisation"): Look(PURPLE, "^", DOT_DASHED),
    ("layerwise_l0", "no_scaling"): Look(ORANGE, "d", LONG),
    ("layerwise_l0", "at_k"): Look(SKY, "p", DOTTED),
}
SPARE_COLORS = [GREEN, BLUE, ORANGE, PURPLE, SKY, VERMILLION]
SPARE_MARKERS = ["X", "<", ">", "h", "p", "d", "8"]
MARKERS = ["o", "s", "^", "v", "D", "P", *SPARE_MARKERS]
SPARE_DASHES: list[Dash] = ["-", (0, (6, 1.5)), (0, (2, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1))]
SPARE = [
    Look(SPARE_COLORS[i % 6], SPARE_MARKERS[i % 7], SPARE_DASHES[i % 4])  # 84 of them
    for i in range(len(SPARE_COLORS) * len(SPARE_MARKERS) * 2)
]


def looks(lines: Iterable[Line]) -> dict[Line, Look]:
    """A look for every line of one panel, no two alike, no two of one colour or marker as long as these last."""
    found: dict[Line, Look] = {}
    for line in sorted(ordered(lines), key=lambda line: line not in CORE):
        found[line] = _distinct(KNOWN.get(line, KNOWN.get((line[0], ""))), list(found.values()))
    return found


def _distinct(wish: Look | None, taken: Sequence[Look]) -> Look:
    """The wish, in a free colour and with a free marker; without one a spare look as different as can be."""
    colors, markers = {look.color for look in taken}, {look.marker for look in taken}
    free = [color for color in SPARE_COLORS if color not in colors]
    if wish and wish.color in colors and free:
        wish = replace(wish, color=free[0])
    if wish and wish.marker in markers and (others := [marker for marker in MARKERS if marker not in markers]):
        wish = replace(wish, marker=others[0])
    if wish and wish not in taken:
        return wish
    spare = [replace(look, color=free[0]) if free else look for look in SPARE]
    return min(
        (look for look in spare if look not in taken),
        key=lambda look: (look.marker in markers, look.dash in {other.dash for other in taken}),
    )


def styled() -> AbstractContextManager[None]:
    """The style sheet, on top of matplotlib's defaults rather than a user's own matplotlibrc."""
    return plt.style.context(["default", STYLE])


def ticks(values: Iterable[float], gap: float = 0.08) -> list[int]:
    """The values as whole axis ticks: both ends, and between them those at least `gap` of the span apart."""
    whole = sorted({round(value) for value in values}, reverse=True)
    least = gap * (whole[0] - whole[-1])
    kept = whole[:1]
    for value in whole[1:]:
        if value == whole[-1] or min(kept[-1] - value, value - whole[-1]) >= least:
            kept.append(value)
    return kept[::-1]


def some_of(values: Sequence[int], most: int) -> list[int]:
    """The sorted values, or so many of them, evenly chosen; of two and more beyond that, neither end."""
    inner = list(values[1:-1] if len(values) >= most + 2 else values)
    places = np.linspace(0, len(inner) - 1, min(most, len(inner))).round().astype(int)
    return [int(inner[place]) for place in places]


def some_budgets(runs: pd.DataFrame, most: int) -> list[int]:
    """The budgets, or so many of them, the one with the most methods among them."""
    methods = runs.groupby("budget")["line"].nunique().sort_index(ascending=False)
    chosen, fullest = some_of(list(methods.index), most), int(methods.idxmax())
    if methods[chosen].max() < methods[fullest]:
        nearest = min(chosen, key=lambda budget: abs(budget - fullest))
        chosen[chosen.index(nearest)] = fullest
    return chosen


# Of a logarithmic axis, by how many times its upper end is the lower one: enough that two or three are on it.
TICKS = {
    2.5: (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 4, 5, 6, 7, 8, 9),
    10: (1, 1.5, 2, 3, 5, 7),
    300: (1, 2, 5),
    float("inf"): (1,),
}


def quality_axis(ax: Axes, quality: Quality) -> None:
    """Label the quality axis of a drawn panel; a logarithmic one gets plain numbers for ticks.

    That of a metric with a span is at least a hundredth of it high, so that values as good as equal look so.
    """
    low, high = ax.dataLim.intervaly
    least = 0.01 * (quality.span[1] - quality.span[0])
    if np.isfinite(least) and 0 <= high - low < least:
        ax.update_datalim([(0, low), (0, low + least)], updatex=False)
        ax.autoscale_view(scalex=False)
    value_axis(ax, "y", quality, ax.dataLim.intervaly)


def value_axis(ax: Axes, which: Literal["x", "y"], quality: Quality, limits: Iterable[float]) -> None:
    """Label the axis that quality lies on, from the first limit to the second."""
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_label_text(quality.label)
    low, high = limits
    if quality.scale != "log" or not 0 < low <= high:
        return
    (ax.set_xscale if which == "x" else ax.set_yscale)("log")
    subs = next(subs for ratio, subs in TICKS.items() if high / low < ratio)
    axis.set_major_locator(LogLocator(subs=subs))
    wide = high >= 1e6 or (which == "x" and subs == (1,))  # plain numbers would meet, or be 1e+06
    axis.set_major_formatter(LogFormatterMathtext() if wide else "{x:g}")
    axis.set_minor_locator(NullLocator())


def draw_range(ax: Axes, x: pd.Series, low: pd.Series, high: pd.Series, color: str) -> None:
    """A light band from low to high; a single point has no width for one, so it gets a bar."""
    if len(x) == 1:
        ax.vlines(x, low, high, color=color, linewidth=1.0)
    ax.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)


def entries_of(axes: Iterable[Axes]) -> dict[str, Artist]:
    """The entries of a legend of these panels: every label once."""
    entries: dict[str, Artist] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    return entries


def legend_outside(
    figure: Figure,
    axes: Sequence[Axes],
    columns: int,
    above: bool = False,
    only: Collection[str] | None = None,
) -> None:
    """One legend for all panels, under or over them: it can never cover data.

    It gets as many of the `columns` as the page is wide enough for; the figure grows by its height.

    :param only: labels of the entries to list; all where absent
    """
    entries = {label: handle for label, handle in entries_of(axes).items() if only is None or label in only}
    handles = list(entries.values())
    for number in range(min(columns, len(entries)), 0, -1):
        where: Where = "outside upper center" if above else "outside lower center"
        legend = figure.legend(handles, list(entries), loc=where, ncols=number)
        box = legend.get_window_extent()
        if box.width <= figure.bbox.width or number == 1:
            break
        legend.remove()
    figure.set_figheight(figure.get_figheight() + box.height / figure.dpi)


def draw_shares(
    ax: Axes, shares: pd.DataFrame, texts: pd.DataFrame, bold_diagonal: bool = False, size: float = 7
) -> QuadMesh:
    """A table of shares from 0 to 1 as coloured squares with a text in each; its names are the ticks."""
    mesh = ax.pcolormesh(np.ma.masked_invalid(shares.to_numpy(dtype=float)), cmap="Blues", norm=Normalize(0, 1))
    mesh.set(edgecolor="white", linewidth=0.8)
    ax.invert_yaxis()
    ax.set_xticks(np.arange(shares.shape[1]) + 0.5, [str(name) for name in shares.columns])
    ax.set_yticks(np.arange(shares.shape[0]) + 0.5, [str(name) for name in shares.index])
    ax.tick_params(length=0, pad=2)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    for (row, column), text in np.ndenumerate(texts.to_numpy()):
        ink = "white" if shares.iat[row, column] > 0.6 else "black"
        weight = "bold" if bold_diagonal and row == column else "normal"
        label = ax.text(column + 0.5, row + 0.5, text, color=ink, fontsize=size, fontweight=weight)
        label.set(ha="center", va="center", in_layout=False)  # it stays inside its square
    return mesh


def draw_reference(ax: Axes, values: pd.Series, quality: Quality, look: Look, label: str) -> None:
    """The unpruned model: a dashed line at its mean on the band that other means have, too."""
    low, high = ends(list(values), quality)
    if np.isfinite(low):
        ax.axhspan(low, high, color=look.color, alpha=0.12, linewidth=0, zorder=1)
    ax.axhline(quality.mean(values), color=look.color, linestyle=look.dash, linewidth=1.0, label=label, zorder=1.5)


def save_sentence(out_dir: Path, name: str, sentence: str) -> None:
    """A figure that says why there is nothing to draw."""
    with styled():
        figure = plt.figure(figsize=(SINGLE, 0.7))
        figure.text(0.5, 0.5, textwrap.fill(sentence, 60), ha="center", va="center", color=GREY)
        save(figure, out_dir, name)


def save(figure: Figure, out_dir: Path, name: str) -> None:
    """Write NAME.pdf and NAME.png, byte-identical for identical data: no dates, no versions inside."""
    metadata: dict[str, dict[str, None]] = {
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
        "png": {"Software": None},
    }
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # settled: both files get the same layout, computed once
    for kind, blank in metadata.items():
        part = out_dir / f".{name}.{kind}.part"
        figure.savefig(part, format=kind, metadata=blank)
        os.replace(part, out_dir / f"{name}.{kind}")
    plt.close(figure)
