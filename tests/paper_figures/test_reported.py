"""Numbers of papers: drawn hollow where the set is the same, at the share of heads, and told in the caption."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import synthetic_results
from figure_runs import draw
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from synthetic_results import N_HEADS, Plan

SAME = [("iwslt14", "mt", "iwslt14-de-en", "transformer-6x4")]
ARMS = (("random", "draw1"), ("dsp", "joint"))


def hollow(ax: Axes) -> list[tuple[float, float]]:
    """The places of the markers that have an edge and no face."""
    points = [c for c in ax.collections if isinstance(c, PathCollection) and not len(c.get_facecolors())]
    return sorted((float(x), float(y)) for c in points for x, y in np.asarray(c.get_offsets()))


def picture(script: Callable, folder: Path, unsaved: list[Figure], plan: Plan) -> tuple[Figure, str]:
    written = synthetic_results.write(folder / "results", plan)
    figure = draw(script, "quality_vs_heads", written, folder, unsaved)
    return figure, (folder / "quality_vs_heads.txt").read_text(encoding="utf-8")


def test_the_same_set_has_hollow_markers(script: Callable, tmp_path: Path, unsaved: list[Figure]) -> None:
    """Both unpruned models of papers on IWSLT14, of 144 heads, lie where all of our 36 heads are."""
    figure, caption = picture(script, tmp_path, unsaved, Plan(groups=SAME, arms=ARMS, fewer={}, failed={}))
    assert hollow(figure.axes[0]) == [(N_HEADS, 34.0), (N_HEADS, 34.4)]
    assert "Ni et al. 2023 (arXiv 2305.14380), tables 1 and 2, unpruned 34.4 at 144 heads (printed table)" in caption
    assert "not drawn: " in caption
    assert "DSP 33.2 at 30 million parameters (third-party run)" in caption
    labels = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert "Ni et al. 2023: unpruned" in labels


def test_another_set_has_none(script: Callable, tmp_path: Path, unsaved: list[Figure]) -> None:
    figure, caption = picture(script, tmp_path, unsaved, Plan(arms=ARMS, fewer={}, failed={}))
    assert hollow(figure.axes[0]) == []
    assert "Hollow" not in caption


def test_every_family_has_them(script: Callable, tmp_path: Path, unsaved: list[Figure]) -> None:
    arms = tuple(synthetic_results.EVERY_ARM)[:14]
    figure, _ = picture(script, tmp_path, unsaved, Plan(groups=SAME, arms=arms, fewer={}, failed={}))
    panels = [ax for ax in figure.axes if ax.get_title(loc="left")]
    assert len(panels) > 1
    assert all(hollow(ax) == [(N_HEADS, 34.0), (N_HEADS, 34.4)] for ax in panels)


@pytest.mark.parametrize(
    ("text", "corpus"),
    [
        (json.dumps({"config": {"datasets": {"talks": {"corpus": "iwslt14-de-en"}}}}), "iwslt14-de-en"),
        ("{}", "talks"),
        ("no JSON", "talks"),
        (None, "talks"),
    ],
)
def test_the_manifest_names_the_corpus(script: Callable, text: str | None, corpus: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    assert script("reported").corpus_of(tmp_path, "talks") == corpus


def test_a_share_is_of_the_papers_own_model(script: Callable, tmp_path: Path) -> None:
    """Voita et al. keep 75, 58, 36 and 26 of 144 heads, twice; counted by hand."""
    plan = Plan(groups=[("voita", "mt", "wmt-en-ru-2.5m", "transformer")], arms=ARMS[:1], fewer={}, failed={})
    results = script("common").read(synthetic_results.write(tmp_path, plan))
    rows = script("reported").reported(results, results.groups()[0])
    shares = [1.0, *(n / 144 for n in (75, 75, 58, 58, 36, 36, 26, 26))]
    assert list(rows["share"]) == pytest.approx(shares, abs=1e-12)
