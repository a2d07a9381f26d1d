"""Every kind of file of a run, damaged in every way: nobody stumbles over it, it is told by name, and it is mended.

The jobs run here as Snakemake would run them: those without a receipt, and those after them.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from rich.console import Console

from headprune.config import load
from headprune.data import corpus, read_pairs
from headprune.pipeline import calls, display, forgetting, inventory, jobs, progress, timings
from headprune.pipeline.collect import collect
from headprune.pipeline.failures import DAMAGED, failures
from headprune.pipeline.plan import Plan
from headprune.pipeline.records import DamagedError
from headprune.pipeline.specification import specification
from headprune.results import schema
from headprune.results.schema import read_cells, reproducible, to_csv
from tests.damaging import DAMAGES, HINTS, KINDS, contents, damage, lent, restore, victim

LAYERS = {"encoder_layers": 1, "decoder_layers": 1, "heads": 2}
OPTIMISATION = {"updates": 3, "learning_rate": 0.005, "warmup": 1, "schedule": "linear"}
CONFIG: dict[str, Any] = {
    "profile": "whole",
    "seeds": [1],
    "budgets": [4, 3],
    "models": {
        "tiny": {
            "dataset": "help",
            "architecture": {"width": 16, "feed_forward": 16, "dropout": 0.0, **LAYERS},
            "training": {"max_tokens": 300, **OPTIMISATION},
        },
    },
    "methods": [
        {"name": "magnitude"},
        {"name": "dsp", "arm": "pipelined", "updates": 2, "budgets": [3]},
        {"name": "l0", "mode": "continued", "updates": 2, "trials": 1, "coefficients": [0.001]},
    ],
    "treatments": [
        {"name": "matched_random", "of": ["magnitude"], "budgets": [3]},
        {"name": "fine_tune", "of": ["magnitude"], "updates": 2, "budgets": [3]},
    ],
    "ablations": [{"kind": "drop_one", "samples": 20}],
    "evaluation": {"beam": 1, "max_len_a": 0.0, "max_len_b": 4, "checked_sentences": 2, "translate_valid": True},
    "calibration": {"sentences": 10},
    "speed": {"sentences": 1, "batch_size": 2, "repeats": 1, "most_repeats": 1},
}


def snakemake(plan: Plan) -> set[str]:
    """Runs what has no receipt and what comes after it, then collects; the names of the jobs that ran."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    progress.start(plan, 1)
    inventory.forget_drawn(plan.folder)
    ran = set[str]()
    for job in plan.jobs:
        receipt = plan.folder / job.receipt
        if not receipt.exists() or ran & {other.name for other in plan.needs(job)}:
            receipt.unlink(missing_ok=True)
            jobs.run(job.kind, specification(plan, job), receipt)
            ran.add(job.name)
    torch.use_deterministic_algorithms(deterministic)
    collect(plan, lambda line: pytest.fail(line))
    (plan.folder / "tables").mkdir(exist_ok=True)
    shutil.copy(plan.folder / "cells.csv", plan.folder / "tables/results.csv")
    inventory.note_drawn(plan.folder)
    return ran


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A run with jobs of every kind."""
    folder = tmp_path_factory.mktemp("damage")
    pairs = folder / "small-de-en"
    pairs.mkdir()
    for split, size in (("train", 60), ("valid", 8), ("test", 6)):
        chosen = [pair for pair in read_pairs(corpus("lohelp-de-en"), split) if max(map(len, pair)) < 30][:size]
        (pairs / f"{split}.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in chosen), encoding="utf-8")
    datasets = {"help": {"corpus": str(pairs), "vocabulary": 150}}
    plan = Plan(load(CONFIG | {"datasets": datasets, "results": str(folder / "results")}))
    assert len(snakemake(plan)) == len(plan.jobs)
    return plan


@pytest.fixture(scope="module")
def copy(finished: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(finished.folder, tmp_path_factory.mktemp("copy") / "run"))


@pytest.fixture
def copied(finished: Plan, copy: Path, tmp_path: Path) -> Iterator[Plan]:
    """A copy of the run that a test may change."""
    with lent(copy, finished.folder, tmp_path / finished.folder.name) as folder:
        plan = Plan(finished.config.model_copy(update={"results": str(tmp_path)}))
        assert plan.folder == folder
        yield plan


def test_a_restored_copy_is_the_run(finished: Plan, copied: Plan) -> None:
    """Every kind of damage at once, and files and folders that came and went."""
    ways = list(DAMAGES)
    for position, pattern in enumerate((*KINDS, *HINTS)):
        damage(copied.folder, pattern, ways[position % len(ways)])
    shutil.rmtree(copied.folder / "data/help/raw")
    (copied.folder / "more/empty").mkdir(parents=True)
    (copied.folder / "more/file").write_text("", encoding="utf-8")
    restore(copied.folder, finished.folder)
    trees = [{path.relative_to(plan.folder) for path in plan.folder.rglob("*")} for plan in (finished, copied)]
    assert trees[0] == trees[1]
    assert contents(copied.folder) == contents(finished.folder)


ONE_OF_EACH = [(pattern, how) for pattern in (*KINDS, *HINTS) for how in DAMAGES]


def look_at(plan: Plan) -> str:
    """Everything that reads a run and computes nothing; what the command line prints of it."""
    console = Console(file=io.StringIO(), width=200)
    display.failures(console, plan.folder, failures(plan.folder), 5)
    display.run(console, plan.folder)
    for path in plan.folder.glob("cells/*/*/*"):
        with suppress(DamagedError):
            display.cell(console, path)
    timings.forecast(plan)
    progress.recent_overview(plan.folder)
    calls.calls(plan.folder)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(("pattern", "how"), ONE_OF_EACH, ids=[" ".join(pair) for pair in ONE_OF_EACH])
def test_what_is_damaged_is_told_by_name_and_forgotten(pattern: str, how: str, copied: Plan) -> None:
    """Nobody stumbles over it; `retry` removes it with the receipt of its job, nothing else but what rests on it."""
    folder = copied.folder
    before = contents(folder)
    path = damage(folder, pattern, how)
    told, printed = [failure.what for failure in failures(folder)], look_at(copied)
    name = path.relative_to(folder).as_posix()
    if pattern not in HINTS or how in ("empty", "cut"):  # others will do as notes of progress, or are no matter
        job = name.removeprefix("jobs/").removesuffix(".json")
        assert told.count(name) + told.count(f"job {job}") == 1, printed
    gone = {removed.relative_to(folder).as_posix() for removed in forgetting.forget_failures(folder)}
    now = contents(folder)
    assert {other: content for other, content in now.items() if before[other] != content} == {}
    lost = {other for other in before if other not in now}
    assert all(any(other == each or other.startswith(f"{each}/") for each in {*gone, name}) for other in lost)
    writers = 3 if path.name == "manifest.json" else 1  # the jobs that had to do with it
    assert len({each for each in gone if each.startswith("jobs/")} - {name}) <= writers, gone
    if "/" in pattern and pattern not in HINTS and not name.startswith(("jobs/", "tables/")):
        assert any(each.startswith("jobs/") for each in gone), gone
    left = [each for each in inventory.Inventory(folder).damages() if each.job not in ("collect", "drawing")]
    assert left == []


@pytest.mark.parametrize("pattern", ["cells/*/*/*/pruned.json", "cells/*/*/*/test.json", "cells/*/*/*/identity.json"])
@pytest.mark.parametrize("how", DAMAGES)
def test_a_cell_whose_record_is_damaged_is_a_missing_row(pattern: str, how: str, copied: Plan) -> None:
    """The others are as they were; the reason names the file, here and where the tables are made."""
    path, told = damage(copied.folder, pattern, how), list[str]()
    before = to_csv(reproducible(read_cells(copied.folder)))
    counts = collect(copied, told.append)
    if pattern.endswith("identity.json"):  # of which nothing in the tables is made
        assert (to_csv(reproducible(read_cells(copied.folder))), told) == (before, [])
        return
    name = path.relative_to(copied.folder).as_posix()
    assert counts == {"missing": 1, "ok": len(copied.cells) - 1}
    assert [line for line in told if name in line] == told[:1]
    table = read_cells(copied.folder)
    (reason,) = table[table["status"] == "missing"]["reason"]
    assert reason.startswith(name)


CELL = "cells/tiny/dsp.pipelined/k3-s1"  # the first
ROUNDS = range(len(DAMAGES))


@pytest.mark.parametrize("number", ROUNDS)
def test_a_damaged_run_is_mended(number: int, finished: Plan, copied: Plan) -> None:
    """Every kind of file is damaged at once, each in another way in every round: `retry`, and the jobs once more.

    All values that repeat are those of the run that nobody touched, and of the cells that nobody touched every byte.
    """
    folder, ways = copied.folder, list(DAMAGES)
    before = contents(folder)
    for position, pattern in enumerate((*KINDS, *HINTS)):
        damage(folder, pattern, ways[(position + number) % len(ways)])
    list(forgetting.forget_failures(folder))
    assert (folder / "cells.csv").exists() or ways[(KINDS.index("cells.csv") + number) % len(ways)] == "removed"
    snakemake(copied)
    assert values(copied) == values(finished)
    assert [failure for failure in failures(folder) if failure.status == DAMAGED] == []
    kept = {name: content for name, content in contents(folder).items() if before[name] == content}
    touched = {victim(folder, pattern).parent for pattern in KINDS if pattern.startswith("cells/")}
    for cell in {path.parent for path in folder.glob("cells/*/*/*/pruned.json")} - touched:
        names = {path.relative_to(folder).as_posix() for path in cell.iterdir()}
        timed = {f"{cell.relative_to(folder)}/{name}" for name in ("speed.json", "manifest.json")}  # all in one round
        assert names - timed <= set(kept), names - timed - set(kept)
    assert not list(forgetting.forget_failures(folder))


OTHERS = ["dense/*/s?.json", "trials/*/*.json", "ablations/*/*.json", "data/*/statistics.json"]
OTHERS += ["jobs/data/*.json", "jobs/score/*/*/*.json", "progress/calls.json", "progress/dense-*.json"]


@pytest.mark.parametrize("pattern", OTHERS)
@pytest.mark.parametrize("how", DAMAGES)
def test_what_is_damaged_elsewhere_costs_no_cell_its_row(pattern: str, how: str, copied: Plan) -> None:
    before = to_csv(reproducible(read_cells(copied.folder)))
    damage(copied.folder, pattern, how)
    assert collect(copied, lambda line: None) == {"ok": len(copied.cells)}
    assert to_csv(reproducible(read_cells(copied.folder))) == before


FORCED = [
    *(("dense", "dense/*/*.pt", how) for how in ("removed", "another's")),
    ("score", "cells/tiny/magnitude/*/model.pt", "removed"),
    ("score", "cells/tiny/magnitude/*/pruned.json", "other JSON"),
    ("score", "cells/tiny/magnitude/*/manifest.json", "empty"),
    ("search", "trials/*/*.pt", "another's"),
    ("test", "segments/tiny/*/*/*.test.*", "cut"),
]


@pytest.mark.parametrize(("kind", "pattern", "how"), FORCED, ids=[" ".join(case) for case in FORCED])
def test_a_job_that_is_forced_mends_what_it_wrote(
    kind: str, pattern: str, how: str, copied: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    """The job is run as `--forcerun` does it, nothing forgotten before."""
    path = victim(copied.folder, pattern)
    DAMAGES[how](path, victim(copied.folder, "cells/tiny/l0/*/model.pt"))
    for job in (job for job in copied.jobs if job.kind == kind):
        (copied.folder / job.receipt).unlink()
        jobs.run(job.kind, specification(copied, job), copied.folder / job.receipt)
    left = [each for each in inventory.Inventory(copied.folder).damages() if each.job.startswith(f"{kind}/")]
    assert left == []
    if path.name != "manifest.json":
        assert str(path) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("pattern", "again"),
    [
        ("dense/*/*.pt", {"dense/tiny/s1.json", "dense/tiny/s1.pt", "dense/tiny/s1.manifest.json"}),
        ("cells/*/*/*/test.json", {f"{CELL}/test.json", f"{CELL}/manifest.json"}),
        ("cells/*/*/*/model.pt", {f"{CELL}/pruned.json", f"{CELL}/model.pt", f"{CELL}/manifest.json"}),
    ],
)
def test_what_is_whole_keeps_its_bytes(pattern: str, again: set[str], finished: Plan, copied: Plan) -> None:
    """A replaced file is made again with its record, and nothing else but receipts and tables is written."""
    before = contents(copied.folder)
    damage(copied.folder, pattern, "another's")
    list(forgetting.forget_failures(copied.folder))
    snakemake(copied)
    assert values(copied) == values(finished)
    now = contents(copied.folder)
    assert set(now) == set(before)
    written = {name for name in now if now[name] != before[name] and not name.startswith("jobs/") and "/" in name}
    assert written - {"tables/results.csv"} <= again


@pytest.mark.parametrize("what", ["data", "data/help", "cells", "jobs", "progress"])
def test_a_folder_that_was_removed_is_made_again(what: str, finished: Plan, copied: Plan) -> None:
    """The tables stay until then."""
    shutil.rmtree(copied.folder / what)
    list(forgetting.forget_failures(copied.folder))
    assert (copied.folder / "cells.csv").read_bytes() == (finished.folder / "cells.csv").read_bytes()
    snakemake(copied)
    assert values(copied) == values(finished)
    assert [failure for failure in failures(copied.folder) if failure.status == DAMAGED] == []


def test_a_collection_that_fails_leaves_the_tables(copied: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is made last, and whether it fails when it is made or when it is written."""
    before = contents(copied.folder)
    (copied.folder / "cells/tiny/l0/k3-s1/test.json").unlink()
    monkeypatch.setattr(schema, "ablations_table", lambda rows: pytest.fail("no table"))
    with pytest.raises(pytest.fail.Exception):
        collect(copied, lambda line: None)
    monkeypatch.undo()
    written = Path.write_bytes
    full = lambda path, content: 1 / 0 if "ablations" in path.name else written(path, content)  # noqa: E731
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ZeroDivisionError):
        collect(copied, lambda line: None)
    monkeypatch.undo()
    after = contents(copied.folder)
    assert before == after | {"cells/tiny/l0/k3-s1/test.json": before["cells/tiny/l0/k3-s1/test.json"]}


def values(plan: Plan) -> dict[str, Any]:
    """The part of a run that repeats: its tables without times."""
    found: dict[str, Any] = {"cells": to_csv(reproducible(read_cells(plan.folder))).decode()}
    trials = pd.read_csv(plan.folder / "trials.csv").drop(columns="seconds")
    found["trials"] = trials.to_csv(index=False)
    for name in ("trial_masks.csv", "curves.csv", "ablations.csv"):
        found[name] = (plan.folder / name).read_text(encoding="utf-8")
    found["masks"] = pd.read_parquet(plan.folder / "masks.parquet").to_csv(index=False)
    return found
