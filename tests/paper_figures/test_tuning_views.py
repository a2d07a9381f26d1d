"""The figure and the table of a tuning, on made-up trials."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from figure_runs import draw
from matplotlib.figure import Figure
from synthetic_results import N_HEADS, Plan, write

from headprune.results.schema import to_csv, tuning_table

ARMS = (("magnitude", ""), ("gradient_importance", "one_shot"), ("dsp", "joint"), ("random", "draw1"))
LOSSES: dict[str, list[float | None]] = {
    "magnitude": [4.0, 3.5],
    "gradient_importance.one_shot": [3.6, None, 3.2, 3.4],
    "dsp.joint": [3.0, 3.3, 2.9, 2.8],
}
PASSES = {"magnitude": 0, "gradient_importance.one_shot": 40, "dsp.joint": 500}


def rows() -> list[dict[str, Any]]:
    found = []
    for entry, losses in LOSSES.items():
        best = min(range(len(losses)), key=lambda number: losses[number] or np.inf)
        for trial, loss in enumerate(losses):
            status = {"status": "ok", "reason": "", "loss": loss}
            if loss is None:
                status = {"status": "diverged", "reason": "no finite loss", "loss": None}
            found.append(
                {"profile": "small", "model": "transformer_small", "method": entry.split(".")[0], "entry": entry}
                | {"trial": trial, "options": f'{{"learning_rate": {trial}.5}}' if trial else "{}", "seed": 101}
                | {"budget": 8, "heads_kept": 8, "n_heads": N_HEADS, "updates": 10, "chosen": trial == best}
                | {"forward_sentences": PASSES[entry], "backward_sentences": PASSES[entry], **status}
            )
    return found


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write(tmp_path_factory.mktemp("tuned"), Plan(arms=ARMS, budgets=(8,), fewer={}, failed={}))
    (folder / "tuning.csv").write_bytes(to_csv(tuning_table(rows())))
    return folder


@pytest.fixture
def figure(tuned: Path, tmp_path: Path, script: Callable, monkeypatch: pytest.MonkeyPatch) -> Figure:
    figures: list[Figure] = []
    monkeypatch.setattr(script("tuning_curves"), "save", lambda figure, *_: figures.append(figure))
    return draw(script, "tuning_curves", tuned, tmp_path, figures)


def curve(figure: Figure, panel: int, label: str) -> tuple[list[float], list[float]]:
    """Points of a method in one of the two panels; the lines of the second bear no label."""
    left, right = figure.axes
    names = [line.get_label() for line in left.lines if len(line.get_xdata()) > 1]
    lines = [line for line in (left, right)[panel].lines if len(line.get_xdata()) > 1]
    line = lines[names.index(label)]
    return [float(x) for x in line.get_xdata()], [float(y) for y in line.get_ydata()]


def test_a_curve_is_the_expected_lowest_loss(figure: Figure) -> None:
    """One draw of 4.0 and 3.5 has their mean, two have the worse one a quarter of the time."""
    assert curve(figure, 0, "magnitude") == ([1, 2], [3.75, pytest.approx(0.25 * 4.0 + 0.75 * 3.5)])


def test_a_failed_trial_is_drawn_as_the_worst(figure: Figure) -> None:
    numbers, losses = curve(figure, 0, "gradient (one-shot)")
    assert numbers == [1, 2, 3, 4]
    assert losses[0] == pytest.approx((3.6 + 3.6 + 3.2 + 3.4) / 4)


def test_passes_are_those_of_so_many_trials(figure: Figure) -> None:
    assert curve(figure, 1, "DSP (joint)")[0] == [1000, 2000, 3000, 4000]
    assert curve(figure, 1, "magnitude")[0] == [0, 0]


def test_own_values_stand_apart(figure: Figure) -> None:
    own = [line for line in figure.axes[0].lines if list(line.get_xdata()) == [0]]
    assert sorted(float(line.get_ydata()[0]) for line in own) == [3.0, 3.6, 4.0]


def test_the_caption_counts_trials(tuned: Path, tmp_path: Path, script: Callable) -> None:
    assert script("tuning_curves").main([str(tuned), str(tmp_path)]) == 0
    text = (tmp_path / "tuning_curves.txt").read_text(encoding="utf-8")
    assert "Trials: magnitude 2; gradient (one-shot) 4, 1 of them failed; DSP (joint) 4." in text


def test_the_table_shows_choice_gain_and_cost(tuned: Path, tmp_path: Path, script: Callable) -> None:
    assert script("tuning_table").main([str(tuned), str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / "tuning.csv").set_index("label")
    dsp = table.loc["dsp.joint"]
    assert dsp[["trials", "failed", "own_loss", "best_loss"]].tolist() == [4, 0, 3.0, 2.8]
    assert dsp[["updates_all_trials", "passes_all_trials"]].tolist() == [40, 4000]
    assert table.loc["gradient_importance.one_shot", "failed"] == 1
    text = (tmp_path / "tuning.md").read_text(encoding="utf-8")
    assert "| DSP (joint) | 4 | 0 | 3.0000 | 2.8000 | learning_rate 3.5 | 40 | 4,000 |" in text
    assert "| random | – | – | – | – | – | – | – |" in text


def test_without_a_tuning_both_say_so(tmp_path: Path, script: Callable) -> None:
    folder = write(tmp_path / "in", Plan(arms=ARMS, budgets=(8,), fewer={}, failed={}))
    assert script("tuning_curves").main([str(folder), str(tmp_path)]) == 0
    assert script("tuning_table").main([str(folder), str(tmp_path)]) == 0
    assert "No tuning in these results" in (tmp_path / "tuning_curves.txt").read_text(encoding="utf-8")
    assert set(pd.read_csv(tmp_path / "tuning.csv")["trials"]) == {0}
