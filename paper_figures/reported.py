"""Numbers that papers report on the same set, hollow markers beside ours; results/published/papers.csv has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from common import UNPRUNED, Line, Results, in_group, quality_of
from families import line_label
from looks import GREY, MARKERS, Look
from matplotlib.axes import Axes

from headprune.analysis.manifests import told
from headprune.results.papers import read_papers

OPENING = (
    "Hollow: what papers report for the same set, at the share of heads that they keep; other models, trainings, "
    "preparations and ways to count than ours, so that only differences within a paper compare with ours"
)


def reported(results: Results, group: tuple[str, ...]) -> pd.DataFrame:
    """The rows of papers on the quality of the corpus of a group, with `share`: of the heads kept, NaN where untold."""
    papers = read_papers()
    quality = quality_of(in_group(results.cells, group))
    same = papers[(papers["set"] == corpus_of(results.folder, group[2])) & (papers["quantity"] == quality.metric)]
    same = same.astype({"value": float})
    x = pd.to_numeric(same["x"].astype(object), errors="coerce").astype(float)
    model = [same["paper"], same["model"]]
    heads = x.where((same["x_unit"] == "heads") & (same["method"] == UNPRUNED)).groupby(model).transform("max")
    share = (x / heads).where(same["x_unit"] == "heads", (1 - x / 100).where(same["x_unit"] == "% of heads removed"))
    whole = same["x_unit"].isin(["heads", "% of heads removed", "million parameters"])
    return same.assign(share=share)[whole]


def corpus_of(folder: Path, dataset: str) -> str:
    """The corpus of a dataset as the manifest of the results names it; without one the dataset's own name."""
    return str(told(folder, "config", "datasets", dataset).get("corpus", dataset))


def draw_reported(ax: Axes, rows: pd.DataFrame, n_heads: float, palette: dict[Line, Look]) -> list[str]:
    """Draw those whose share of heads is told: a marker per paper, the colour of our line of the method.

    :param n_heads: of our model
    :returns: labels for a legend
    """
    papers, labels = list(dict.fromkeys(rows["paper"])), []
    for (paper, method), part in rows.dropna(subset=["share"]).groupby(["paper", "method"], sort=False):
        color = next((look.color for line, look in palette.items() if line[0] == method.partition(".")[0]), GREY)
        labels.append(f"{paper}: {_label(method)}")
        marker = MARKERS[papers.index(paper) % len(MARKERS)]
        style = {"marker": marker, "s": 22, "facecolors": "none", "edgecolors": color, "linewidths": 0.9, "zorder": 3.5}
        ax.scatter(part["share"] * n_heads, part["value"], label=labels[-1], **style)
    return labels


def reported_counts(results: Results, group: tuple[str, ...]) -> pd.DataFrame:
    """The rows of papers on the heads that a penalty λ leaves, for the corpus of a group."""
    papers = read_papers()
    same = papers[(papers["set"] == corpus_of(results.folder, group[2])) & (papers["quantity"] == "heads kept")]
    return same[same["x_unit"] == "λ"].astype({"value": float, "x": float})


def draw_counts(ax: Axes, rows: pd.DataFrame) -> None:
    """Draw those of `reported_counts`, as many heads as the papers count."""
    for (paper, method), part in rows.groupby(["paper", "method"], sort=False):
        style = {"marker": "o", "s": 16, "facecolors": "none", "edgecolors": GREY, "linewidths": 0.9}
        ax.scatter(part["x"], part["value"], label=f"{paper}: {_label(method)}", zorder=3.5, **style)


def reported_notes(rows: pd.DataFrame) -> list[str]:
    """The sentences of a caption: what is drawn, and what is told without a number of heads; none without rows."""
    if rows.empty:
        return []
    drawn, untold = list(_said(rows[rows["share"].notna()])), list(_said(rows[rows["share"].isna()]))
    notes = [f"{OPENING}: {'; '.join(drawn)}."] if drawn else []
    return [*notes, f"Reported without a number of heads, and not drawn: {'; '.join(untold)}."] if untold else notes


def _said(rows: pd.DataFrame) -> Iterator[str]:
    """`Ni et al. 2023, table 1, DSP 33.2 at 30 million parameters (third-party run)`."""
    row: Any
    for row in rows.itertuples(index=False):
        told = f"{_label(row.method)} {row.value:g}" + (f" ({row.spread})" if row.spread else "")
        yield f"{row.source}, {told} at {row.x} {row.x_unit} ({row.mark})"


def _label(method: str) -> str:
    name, _, arm = method.partition(".")
    return line_label((name, arm))
