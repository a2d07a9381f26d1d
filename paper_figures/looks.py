"""Labels, colours, markers, page widths and saving: what makes the figures look like one set."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
from common import GROUP, UNPRUNED, Line, Quality, Results
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

SINGLE, DOUBLE = 3.4, 7.0  # inches: one column and two columns of a paper
STYLE = Path(__file__).with_name("style.mplstyle")

# Okabe and Ito's palette, without its yellow, which vanishes as a thin line on white.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#777777"

Where = Literal["outside upper center", "outside lower center"]
Dash = str | tuple[float, tuple[float, ...]]


@dataclass(frozen=True)
class Look:
    """How a line is drawn: colour, marker and dashes all differ, so that grey print tells lines apart."""

    color: str
    marker: str
    dash: Dash = "-"

    @property
    def size(self) -> float:
        """Marker size in points; crosses and stars have less ink, so they are drawn larger."""
        return {"P": 5.5, "X": 5.0, "*": 6.5}.get(self.marker, 4.2)


KNOWN: dict[Line, Look] = {
    (UNPRUNED, ""): Look(BLACK, "*", (0, (5, 2))),
    ("random", ""): Look(GREY, "o", (0, (1, 1.2))),
    ("magnitude", ""): Look(ORANGE, "s", (0, (4, 1.2))),
    ("gradient_importance", "one_shot"): Look(SKY, "^"),
    ("gradient_importance", "iterative"): Look(BLUE, "v", (0, (4, 1.2, 1, 1.2))),
    ("dsp", "pipelined"): Look(PURPLE, "D", (0, (2, 1))),
    ("dsp", "joint"): Look(VERMILLION, "P"),
}
SPARE_COLORS = [GREEN, BLUE, ORANGE, PURPLE, SKY, VERMILLION]
SPARE_MARKERS = ["X", "<", ">", "h", "p", "d", "8"]
SPARE_DASHES: list[Dash] = ["-", (0, (6, 1.5)), (0, (2, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1))]

METHOD_NAMES = {"gradient_importance": "gradient", "dsp": "DSP", "l0": "L0"}


def line_label(line: Line) -> str:
    """`("gradient_importance", "one_shot")` reads `gradient (one-shot)`; unknown names read as they are."""
    method, arm = line
    name = METHOD_NAMES.get(method, method.replace("_", " "))
    arm = arm.replace("_", "-").replace("+", " + ").strip()
    return f"{name} ({arm})" if arm else name


def ordered(lines: Iterable[Line]) -> list[Line]:
    """Unpruned, then the known methods in the order of KNOWN, then the others by name."""
    rank = {line: i for i, line in enumerate(KNOWN)}
    return sorted(set(lines), key=lambda line: (rank.get(line, len(rank)), line))


def looks(lines: Iterable[Line]) -> dict[Line, Look]:
    """A look for every line; a line unknown to KNOWN gets the next spare colour, marker and dashes."""
    spare = [line for line in ordered(lines) if line not in KNOWN]
    return KNOWN | {
        line: Look(
            SPARE_COLORS[i % len(SPARE_COLORS)],
            SPARE_MARKERS[i % len(SPARE_MARKERS)],
            SPARE_DASHES[i % len(SPARE_DASHES)],
        )
        for i, line in enumerate(spare)
    }


def group_label(results: Results, group: tuple[str, ...]) -> str:
    """The parts of the group's name that tell it from the others; empty when there is only one group."""
    groups = results.groups()
    varying = [i for i in range(len(GROUP)) if len({other[i] for other in groups}) > 1]
    return ", ".join(group[i] for i in varying)


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


def quality_axis(ax: Axes, quality: Quality) -> None:
    """Label the quality axis of a drawn panel; a logarithmic one gets plain numbers for ticks."""
    ax.set_ylabel(quality.label)
    low, high = ax.dataLim.intervaly
    if quality.scale != "log" or not 0 < low <= high:
        return
    ax.set_yscale("log")
    subs = (1, 1.5, 2, 3, 5, 7) if high / low < 10 else (1, 2, 5) if high / low < 300 else (1,)
    ax.yaxis.set_major_locator(LogLocator(subs=subs))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_locator(NullLocator())


def draw_range(ax: Axes, x: pd.Series, low: pd.Series, high: pd.Series, color: str) -> None:
    """A light band from low to high; a single point has no width for one, so it gets a bar."""
    if len(x) == 1:
        ax.vlines(x, low, high, color=color, linewidth=1.0)
    ax.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)


def legend_outside(figure: Figure, axes: Sequence[Axes], columns: int, above: bool = False) -> None:
    """One legend for all panels, under or over them: it can never cover data.

    It gets as many of the `columns` as the page is wide enough for; the figure grows by its height.
    """
    entries: dict[str, Artist] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    handles = list(entries.values())
    for number in range(min(columns, len(entries)), 0, -1):
        where: Where = "outside upper center" if above else "outside lower center"
        legend = figure.legend(handles, list(entries), loc=where, ncols=number)
        box = legend.get_window_extent()
        if box.width <= figure.bbox.width or number == 1:
            break
        legend.remove()
    figure.set_figheight(figure.get_figheight() + box.height / figure.dpi)


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
