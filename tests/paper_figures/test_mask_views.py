"""The numbers drawn by the figures of masks, against plain computations."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from figure_runs import draw
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.spatial.distance import jaccard
from synthetic_results import Plan, write


def test_agreements_equal_scipy(results: Path, script) -> None:
    ((_, masks),) = script("masks").usable_masks(script("common").read(results, with_masks=True))
    found = script("masks").agreements(masks[masks["method"] != "unpruned"])
    vectors: dict[tuple, dict[tuple, list[bool]]] = {}
    for row in pd.read_parquet(results / "masks.parquet").sort_values("head").to_dict("records"):
        if row["method"] != "unpruned":
            run = (row["method"], row["arm"], row["seed"])
            vectors.setdefault(row["budget"], {}).setdefault(run, []).append(row["kept"])
    expected: dict[tuple, list[float]] = {}
    for budget, runs in vectors.items():
        for (one, a), (other, b) in combinations(sorted(runs.items()), 2):
            if (one[0] == other[0]) != (one[2] == other[2]):
                pair = (budget, *sorted((one[0], other[0])))
                expected.setdefault(pair, []).append(1 - jaccard(np.array(a), np.array(b)))
    for (budget, *pair), values in expected.items():
        own = found[found["budget"] == budget]
        names = [tuple(sorted(names)) for names in own[["method", "other_method"]].to_numpy()]
        mine = own.loc[[name == tuple(pair) for name in names], "jaccard"]
        np.testing.assert_allclose(sorted(mine), sorted(values), atol=1e-12)
    assert len(found) == sum(map(len, expected.values()))


def test_expected_agreement_of_masks_of_two_sizes(script) -> None:
    one, other = ([set(chosen) for chosen in combinations(range(6), k)] for k in (2, 4))
    mean = np.mean([len(a & b) / len(a | b) for a in one for b in other])
    assert script("masks").expected_jaccard(6, 2, 4) == pytest.approx(mean, abs=1e-12)


def test_matrix_of_agreement_is_what_is_draw(script, searched: Path, tmp_path: Path, unsaved: list[Figure]) -> None:
    figure = draw(script, "mask_agreement", searched, tmp_path, unsaved)
    text = (tmp_path / "mask_agreement.txt").read_text()
    assert "Middle K shown: K = 8." in text
    masks = pd.read_parquet(searched / "masks.parquet")
    at = masks[(masks["method"] == "cluster_merge") & (masks["budget"] == 8)]
    one, other = (own.sort_values("head")["kept"].to_numpy(dtype=bool) for _, own in at.groupby("seed"))
    bold = [label.get_text() for label in figure.axes[1].texts if label.get_fontweight() == "bold"]
    assert bold[-1] == f"{100 * (1 - jaccard(one, other)):.0f}"  # methods that the suite does not know come last


def test_caption_of_maps_names_what_is_drawn(script, results: Path, tmp_path: Path, unsaved: list[Figure]) -> None:
    """Numbers and hatching stand in the caption where they stand in the maps; what has no map is named."""
    figure = draw(script, "survival_maps", results, tmp_path, unsaved)
    text = (tmp_path / "survival_maps.txt").read_text(encoding="utf-8")
    numbers = [label for ax in maps_of(figure) for label in ax.texts]
    assert len(numbers) == 36 * 3  # heads of three arms
    assert "colour and number: " in text
    assert "hatching" not in text
    assert "Not drawn: random (heads chosen by chance)." in text
    masks = pd.read_parquet(results / "masks.parquet")
    wide = [masks.assign(index=masks["index"] + 4 * n, head=masks["head"] + f".{n}") for n in range(6)]
    masks = pd.concat([*wide[:1], *(own[own["layer"] > 0] for own in wide[1:])])  # 24 heads a layer, 4 in the first
    masks.to_parquet(tmp_path / "masks.parquet")
    pd.read_parquet(results / "cells.parquet").to_parquet(tmp_path / "cells.parquet")
    figure = draw(script, "survival_maps", tmp_path, tmp_path, unsaved)
    text = (tmp_path / "survival_maps.txt").read_text(encoding="utf-8")
    assert not [label for ax in maps_of(figure) for label in ax.texts]
    assert "); colour: " in text
    assert "Grey hatching: no such head." in text
    assert all(len(ax.patches) == 1 for ax in maps_of(figure))


def test_heads_are_squares_of_one_size(script, tmp_path: Path, unsaved: list[Figure]) -> None:
    """Those of a model of few heads stand in columns as wide as those of a model of many."""
    groups = [("small", "mt", "toy", "few"), ("small", "mt", "toy", "many")]
    folder = write(tmp_path, Plan(groups=groups, arms=[("magnitude", ""), ("dsp", "joint")], failed={}))
    masks = pd.read_parquet(folder / "masks.parquet")
    more = masks[masks["model"] == "many"]
    more = more.assign(index=more["index"] + 4, head=more["head"] + ".more")
    pd.concat([masks, more]).to_parquet(folder / "masks.parquet")
    figure = draw(script, "survival_maps", folder, tmp_path, unsaved)
    sides = [
        side
        for ax in maps_of(figure)
        for side in (ax.bbox.width / abs(np.diff(ax.get_xlim())[0]), ax.bbox.height / abs(np.diff(ax.get_ylim())[0]))
    ]
    assert len(sides) == 2 * 3 * 4
    assert sides == pytest.approx([sides[0]] * len(sides), rel=0.02)


def maps_of(figure: Figure) -> list[Axes]:
    """The maps alone: neither labels of rows nor the colour bar."""
    return [ax for ax in figure.axes if ax.axison and ax.get_ylabel() == ""]


def test_heads_per_layer_equal_a_loop(script, searched: Path) -> None:
    module, common = script("heads_per_layer"), script("common")
    read = common.read(searched, with_masks=True)
    (group,) = read.groups()
    panels = list(module.over_penalties(read, group, common.read_trial_masks(searched)))
    assert [panel.line for panel in panels] == [("l0", arm) for arm in ("pipelined", "joint", "continued")]
    kept: dict[tuple, int] = {}
    for row in pd.read_csv(searched / "trial_masks.csv").to_dict("records"):
        key = (row["label"], row["coefficient"], f"{row['type']}.{row['layer']}")
        kept[key] = kept.get(key, 0) + int(row["kept"])
    for panel in panels:
        assert panel.trainings == 10  # five penalties, two seeds
        for (label, penalty, name), count in kept.items():
            if label == f"l0.{panel.line[1]}":
                assert panel.kept.loc[name, f"{penalty:.2g}"] == count / 2
                assert panel.share.loc[name, f"{penalty:.2g}"] == count / 2 / 4
        np.testing.assert_allclose(panel.kept.iloc[:-1].sum(), panel.kept.loc["all"])
    assert (panels[0].kept.loc["all"].diff().dropna() < 0).all()


def test_many_penalties_share_columns(script) -> None:
    penalties = pd.Series(np.geomspace(1e-5, 1e-1, 23))
    names = dict(script("heads_per_layer").binned(penalties))
    assert set(names) == set(penalties)
    assert len(set(names.values())) <= script("heads_per_layer").MOST
    assert names[penalties.iloc[0]].startswith("1e-05–")


def test_asked_arms_choose_the_penalties_too(script, searched: Path, tmp_path: Path, unsaved: list[Figure]) -> None:
    module = script("heads_per_layer")
    assert module.main([str(searched), str(tmp_path), "--arms", "l0.joint"]) == 0
    titles = [ax.get_title(loc="left") for ax in unsaved[-1].axes if ax.get_title(loc="left")]
    assert titles == ["L0 (joint)", "L0 (joint)"]  # over the penalty, and over K
