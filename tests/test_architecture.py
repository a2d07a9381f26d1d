"""docs/architecture.md names what is there, and a new treatment or kind of job touches as few places as it says."""

from __future__ import annotations

import ast
import itertools
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import test_layers
from configurations import VALID

import headprune.treatments
from headprune.config import load
from headprune.pipeline import estimate, limits
from headprune.pipeline.cells import Job
from headprune.pipeline.inventory import Inventory
from headprune.pipeline.jobs import run
from headprune.pipeline.plan import Plan
from headprune.pipeline.specification import specification
from headprune.results.jobs import JOBS, JobKind
from tools import draw_architecture

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([^`]+\.(?:py|smk))` \| (.+) \|$", PAGE, re.MULTILINE)
ASKED = re.findall(r"^\| `(\w+)` \| `([^`]+\.py)` \|", PAGE, re.MULTILINE)


def defined(file: str) -> set[str]:
    """Names of functions, classes, methods and values that a module defines."""
    found = set[str]()
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


@pytest.mark.parametrize(("file", "about"), ROWS, ids=[file for file, _ in ROWS])
def test_the_functions_on_the_way_are_where_the_page_has_them(file: str, about: str) -> None:
    names = [name for name in re.findall(r"`([a-z_]+)`", about) if name != "headprune"]
    assert (ROOT / file).is_file()
    assert file.endswith(".smk") or set(names) <= defined(file)


@pytest.mark.parametrize(("name", "file"), ASKED, ids=[name for name, _ in ASKED])
def test_what_all_ask_is_where_the_page_has_it(name: str, file: str) -> None:
    assert name in defined(file)


def test_the_picture_shows_files_and_functions_that_are_there() -> None:
    for file, about, _ in draw_architecture.BOXES.values():
        names = re.split(r" · |\.", about.split(":")[0]) if file.endswith(".py") else []
        assert (ROOT / file).is_file()
        assert set(names) <= defined(file) if names else file.endswith(".smk")


def test_the_way_to_each_end_is_of_at_most_six_files() -> None:
    for end in draw_architecture.ENDS:
        way = {end}
        while more := {start for start, stop in draw_architecture.ARROWS if stop in way} - way:
            way |= more
        assert len({draw_architecture.BOXES[place][0] for place in way}) <= 6


def test_every_file_of_the_way_imports_the_next() -> None:
    """Read down, not up again: what a file calls lies in the ones that it imports."""
    on_the_way = [file for file, _ in ROWS if file.startswith("headprune/pipeline/stages") or "training" in file]
    for above, below in itertools.pairwise(on_the_way):
        module = below.removesuffix(".py").replace("/", ".")
        names = test_layers.imported(ROOT / above)
        if "measuring" not in below:
            assert any(name == module or name.startswith(f"{module}.") for name in names), (above, below)


def test_the_layers_are_those_of_the_test() -> None:
    line = PAGE.split("holds the order.")[1].split("Checking a profile")[0]
    assert tuple(re.findall(r"`(\w+)`", line)) == test_layers.ORDER


TREATMENT = '''
from headprune.treatments.base import Repruning

class Reversed(Repruning):
    """the heads that the method removes are kept instead"""

    name, suffix = "reversed", "rev"
    keeps_mask = False

    def prune(self, model, mask, batches, rng):
        from headprune.method import Pruning

        return Pruning(mask.space.keep({i for i, head in enumerate(mask.space) if head.name not in set(mask.names())}))
'''


def test_a_treatment_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reversed_heads.py").write_text(TREATMENT, encoding="utf-8")
    monkeypatch.setattr(headprune.treatments, "__path__", [*headprune.treatments.__path__, str(tmp_path)])
    found = {each.name: each for each in headprune.treatments._found()}
    assert set(found) == {*headprune.treatments.TREATMENTS, "reversed"}
    monkeypatch.setitem(headprune.treatments.TREATMENTS, "reversed", found["reversed"])
    plan = Plan(load(VALID | {"treatments": [{"name": "reversed", "of": ["magnitude"]}]}))
    (job,) = {job.label: job for job in plan.jobs if job.kind == "treat"}.values()
    assert job.label == "magnitude+rev"
    assert {need.kind for need in plan.needs(job)} == {"dense", "score"}
    monkeypatch.delitem(sys.modules, "headprune.treatments.reversed_heads")


@pytest.fixture
def weigh(monkeypatch: pytest.MonkeyPatch) -> str:
    """A kind of job that is nowhere in the library: it counts the cells of a seed once they are tested."""
    kind = JobKind(
        "weigh", "weight", per="seed", place="{model}/s{seed}", after=("tested",), told=("model",), minutes=7
    )
    stage: Any = ModuleType("headprune.pipeline.stages.weigh")
    stage.run = lambda context, reporter: {"status": "ok", "reason": "", "cells": {}, "seed": context.seed}
    monkeypatch.setitem(JOBS, kind.name, kind)
    monkeypatch.setitem(sys.modules, stage.__name__, stage)
    return kind.name


def test_a_kind_of_job_is_one_row(weigh: str, tmp_path: Path) -> None:
    config = load(VALID | {"results": str(tmp_path), "execution": {"minutes": {"weigh": 9}}})
    plan = Plan(config)
    jobs = [job for job in plan.jobs if job.kind == weigh]
    assert jobs == [Job(weigh, model, seed=seed) for model in config.models for seed in plan.grid.all_seeds(model)]
    job = jobs[0]
    assert {need.kind for need in plan.needs(job)} == {"test"}
    assert config.execution.minutes_of(weigh, attempt=2) == 18
    assert estimate.seconds(plan, job) > 0
    limits.check_names(plan)
    run(weigh, specification(plan, job), plan.run.receipt(job.name))
    assert Inventory(plan.folder).receipts[job.name]["seed"] == job.seed
    assert list(Inventory(plan.folder).damages()) == []
