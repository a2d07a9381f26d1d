"""A profile that tunes, from corpus to figures: killed, given a trial more, and with other test references."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from killing import Blow, Disturbed, disturb, kill_everything, kill_training
from smoke_run import SMOKE, UNTIMED, Run

from headprune.results.schema import reproducible, to_csv

pytestmark = pytest.mark.slow

TUNED: dict[str, Any] = UNTIMED | {
    "seeds": [1],
    "budgets": [4],
    "methods": [
        {"name": "unpruned"},
        {"name": "gradient_importance"},
        {"name": "gradient_importance", "arm": "paper", "tuned": False},
        {"name": "dsp", "updates": 10},
    ],
    "tuning": {"trials": 2, "seeds": [101], "budgets": [5]},
}
SHOWN = ("tables/tuning.md", "tables/results.md", "figures/tuning_curves.png")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The tuned profile after its run, and what shows the tuning. Tests must leave it as it is."""
    run = Run(tmp_path_factory.mktemp("tuned"))
    run.snakemake(*(f"results/smoke/{name}" for name in SHOWN), config=TUNED)
    return run


def choices(run: Run) -> dict[str, dict[str, Any]]:
    paths = sorted(run.results.glob("tuning/tiny/*/choice.json"))
    return {path.parent.name: json.loads(path.read_text()) for path in paths}


def written(run: Run, pattern: str) -> dict[str, tuple[float, bytes]]:
    """The time of writing and the content of files of a run."""
    paths = sorted(run.results.glob(pattern))
    return {str(path.relative_to(run.results)): (path.stat().st_mtime, path.read_bytes()) for path in paths}


def test_tables_and_figures_show_both_arms(tuned: Run) -> None:
    table = pd.read_csv(tuned.results / "tuning.csv")
    assert table.groupby("entry")["trial"].apply(list).to_dict() == {"dsp": [0, 1], "gradient_importance": [0, 1]}
    assert set(table["status"]) == {"ok"}
    assert table[table["chosen"]].groupby("entry")["loss"].first().equals(table.groupby("entry")["loss"].min())
    assert set(tuned.cells()["status"]) == {"ok"}
    shown = (tuned.results / "tables/tuning.md").read_text()
    assert "gradient (paper)" in shown
    assert "gradient (paper)" in (tuned.results / "tables/results.md").read_text()
    assert (tuned.results / "figures/tuning_curves.png").stat().st_size > 0
    assert "(Dodge et al. 2019)" in (tuned.results / "figures/tuning_curves.txt").read_text()


@pytest.mark.skipif("HEADPRUNE_TEST_FAULTS" not in os.environ, reason="kills: `make test-faults`")
def test_kills_at_random_moments_give_the_same_table(tuned: Run, tmp_path: Path) -> None:
    run, told = Run(tmp_path), []
    disturbed = Disturbed(run, config=TUNED)
    blows = [
        *(Blow("training", kill_training, latest=0.3) for _ in range(2)),
        Blow("everything", kill_everything, latest=0.5),
    ]
    left = disturb(disturbed, blows, random.Random(3), Disturbed(tuned).note(), lambda **what: told.append(what))
    assert left == [] and len(told) == 3
    assert disturbed.rewritten() == []
    assert (run.results / "tuning.csv").read_bytes() == (tuned.results / "tuning.csv").read_bytes()
    assert to_csv(reproducible(run.cells())) == to_csv(reproducible(tuned.cells()))


def test_a_trial_more_runs_alone(tuned: Run, tmp_path: Path) -> None:
    """Trials that are there, and cells whose options stay, are not written again."""
    shutil.copytree(tuned.directory, tmp_path, dirs_exist_ok=True, copy_function=shutil.copy2)
    run, before = Run(tmp_path), choices(tuned)
    trials, pruned = written(run, "tuning/**/k*.json"), written(run, "cells/**/pruned.json")
    run.snakemake("results/smoke/tuning.csv", config=TUNED | {"tuning": TUNED["tuning"] | {"trials": 3}})
    now = written(run, "tuning/**/k*.json")
    assert set(now) - set(trials) == {f"tuning/tiny/{label}/t2/k5-s101.json" for label in before}
    assert {name: now[name] for name in trials} == trials
    after = written(run, "cells/**/pruned.json")
    for name in pruned:
        label = name.split("/")[2]
        other = label in before and choices(run)[label]["options"] != before[label]["options"]
        assert (after[name] != pruned[name]) == other, name
    cells = run.cells()
    spent = cells[(cells["method"] == "dsp") & (cells["metric"] == "tuning_updates")]["value"]
    assert spent.tolist() == [30.0]  # three trials of ten updates


def test_garbage_for_test_references_changes_no_choice(tuned: Run, tmp_path: Path) -> None:
    """The corpus again as one of one's own, whose test set is garbage on both sides; nothing is tested."""
    corpus, raw = tmp_path / "own-de-en", tuned.results / "data/lohelp-de-en/raw"
    corpus.mkdir()
    for split in ("train", "valid", "test"):
        sides = [(raw / f"{split}.{side}").read_text().splitlines() for side in ("src", "tgt")]
        if split == "test":
            sides = [[f"garbage {n} {side}" for n, _ in enumerate(sides[0])] for side in (0, 1)]
        text = "".join(f"{source}\t{target}\n" for source, target in zip(*sides, strict=True))
        (corpus / f"{split}.tsv").write_text(text)
    dataset = {"lohelp-de-en": SMOKE["datasets"]["lohelp-de-en"] | {"corpus": str(corpus)}}
    run = Run(tmp_path)
    targets = [f"results/smoke/jobs/choose/tiny/{label}.json" for label in choices(tuned)]
    run.snakemake(*targets, config=TUNED | {"datasets": dataset})
    keys = ("trial", "options", "losses", "cost")
    found, expected = ({n: {key: c[key] for key in keys} for n, c in choices(each).items()} for each in (run, tuned))
    assert found == expected
    assert not list(run.results.glob("cells/**/test.json"))
