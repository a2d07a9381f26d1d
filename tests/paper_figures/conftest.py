"""The scripts of paper_figures/ are no package: they find each other as they do when run, by their folder."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from figure_runs import AT_TIMES, FIGURES, NAMES, SCRIPTS, Drawn
from matplotlib.figure import Figure

sys.path.append(str(SCRIPTS))

import looks
import synthetic_results
from synthetic_results import Plan

MODELS = [("small_lm", "lm", "toy", name) for name in ("all-attention", "transformer-xl")]
ARMS = (("random", "draw1"), ("random", "draw2"), ("magnitude", ""), ("l0", "joint"), ("l0", "continued"))


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One made-up results folder: every method, two seeds, one failed and one diverged cell."""
    return synthetic_results.write(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds with searches and curves."""
    arms = (*ARMS, ("dsp", "joint"), ("cluster_merge", ""))
    return synthetic_results.write(
        tmp_path_factory.mktemp("searched"),
        Plan(arms=arms, budgets=(16, 8), fewer={}, failed={}, trials=True),
    )


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two language models of one dataset."""
    plan = Plan(groups=MODELS, arms=ARMS[:3], budgets=(16, 8), fewer={}, failed={}, metric="perplexity")
    folder = synthetic_results.write(tmp_path_factory.mktemp("models"), plan)
    cells = pd.read_parquet(folder / "cells.parquet")
    cells[(cells["metric"] != "perplexity") | (cells["split"] == "test")].to_parquet(folder / "cells.parquet")
    return folder


@pytest.fixture(scope="session")
def script() -> Callable[[str], ModuleType]:
    """Import a script by name."""
    return importlib.import_module


@pytest.fixture
def unsaved(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Figure]]:
    """Figures are collected here instead of being rendered, for tests that look at anything but the files."""
    figures: list[Figure] = []
    for name in (*FIGURES, *AT_TIMES):
        monkeypatch.setattr(importlib.import_module(name), "save", lambda figure, *_: figures.append(figure))
    yield figures
    plt.close("all")


@pytest.fixture(scope="session")
def everything(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Run every script once, keeping each figure that it saves."""
    drawn = Drawn(tmp_path_factory.mktemp("drawn"), {})

    def keep(figure: Figure, out_dir: Path, name: str) -> None:
        looks.save(figure, out_dir, name)
        drawn.figures[name] = figure

    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            module = importlib.import_module(name)
            patch.setattr(module, "save", keep, raising=False)
            assert module.main([str(results), str(drawn.folder)]) == 0
    return drawn


@pytest.fixture(scope="session")
def drawn(everything: Drawn) -> Path:
    """The folder with the output of every script."""
    return everything.folder


@pytest.fixture(scope="session")
def figures(everything: Drawn) -> dict[str, Figure]:
    """The figures by script name."""
    return everything.figures
