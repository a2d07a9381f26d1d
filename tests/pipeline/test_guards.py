"""Methods in the grid that change or read what is not theirs: failed rows that say what, and no trace in the others."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from headprune.cli.commands import app
from headprune.method import load_methods, registry
from headprune.pipeline import jobs
from headprune.pipeline.cells import Job
from headprune.pipeline.specification import specification
from headprune.pipeline.store import read_json
from tests.found import Found

load_methods()  # those of the repository, which are imported once, stay

Start = Callable[..., Any]
SOURCE = "a method returns masks; all else stays as it was"
MISCONDUCT = (
    Found(
        "weight",
        "ok",
        "changes weight encoder.layers.0.",
        SOURCE,
        "next(model.encoder.layers.parameters()).data.mul_(2)",
    ),
    Found("torch_draw", "ok", "changes the global random numbers of torch", SOURCE, "torch.rand(1)"),
    Found("numpy_draw", "ok", "changes the global random numbers of numpy", SOURCE, "numpy.random.rand()"),
    Found("python_draw", "ok", "changes the global random numbers of Python", SOURCE, "random.random()"),
    Found("no_grad", "ok", "changes the gradient mode", SOURCE, "torch.set_grad_enabled(False)"),
    Found("double", "ok", "changes the default dtype", SOURCE, "torch.set_default_dtype(torch.float64)"),
    Found("threads", "ok", "changes the number of threads", SOURCE, "torch.set_num_threads(3)"),
    Found("folder", "ok", "changes the working directory", SOURCE, "os.chdir('/')"),
    Found("mode", "ok", "changes mode of the model", SOURCE, "model.train()"),
    Found("hooks", "ok", "changes hooks of encoder", SOURCE, "model.encoder.register_forward_hook(print)"),
    Found("gates", "ok", "changes gates of encoder.0", SOURCE, "set_mask(model, HeadSpace.of(model).keep([0]))"),
    Found(
        "reader",
        "ok",
        "test.tgt: a method sees the batches it is given",
        "DESIGN: never the test set",
        "open({test!r}).read()",
    ),
)
SCORER = """
import os
import random

import numpy
import torch

from headprune.gates import set_mask
from headprune.heads import HeadSpace
from headprune.method import ScoreMethod, register


@register("{name}")
class Method(ScoreMethod):
    def scores(self, model, batches, rng):
        total = len(HeadSpace.of(model))
        {line}
        return torch.arange(total)
"""
GATES = """
import gc
from dataclasses import dataclass

import torch

from headprune.method import GateMethod, option, register


@register("{name}")
class Method(GateMethod):
    @dataclass(frozen=True)
    class Options:
        learning_rate: float = option(0.1, "of the logits")

    def build(self, generator):
        self.logits = self.logits_parameter(generator)

    def sample(self, progress):
        {line}
        return self.logits.sigmoid()

    def keep(self, budget):
        return self.largest(self.logits, budget)
"""
GATED = (
    Found("drawing", "ok", "sample() of Method changes the global random numbers of torch", SOURCE, "torch.rand(1)"),
    Found(
        "writing",
        "ok",
        "writing changes the weights of the model, which are frozen in pipelined mode",
        "pipelined: only gates train",
        "[m.weight.data.mul_(1.01) for m in gc.get_objects() if type(m) is torch.nn.LayerNorm]",
    ),
    Found("good", "ok", "", "nothing is changed", "pass"),
)


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Methods that a test registers are forgotten after it."""
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))


def run_job(run: Any, kind: str, label: str, budget: int | None = None) -> None:
    """Runs a job as in its process, with manifests."""
    job = Job(kind, "tiny", label=label, budget=budget, seed=1)
    jobs.run(kind, specification(run.plan, job), run.plan.folder / job.receipt)


def test_misconduct_is_a_failed_row_and_leaves_no_trace(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    test = str(tmp_path / "run" / "unit" / "data" / "help" / "raw" / "test.tgt")
    for found in MISCONDUCT:
        line = found.case.format(test=test) if found.given == "reader" else found.case
        (folder / f"{found.given}.py").write_text(SCORER.format(name=found.given, line=line))
    honest = [{"name": "magnitude"}, {"name": "gradient_importance"}, {"name": "random"}]
    alone = start(honest, name="alone", budgets=[8])
    alone.job("score", "all-score")
    methods = [{"name": found.given} for found in MISCONDUCT]
    run = start([*methods, *honest], methods_directories=[str(folder)], budgets=[8])
    before = os.getcwd(), torch.get_num_threads(), random.getstate(), np.random.get_state()[2]
    run.job("score", "all-score")
    assert (os.getcwd(), torch.get_num_threads(), random.getstate(), np.random.get_state()[2]) == before
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() == torch.float32
    for found in MISCONDUCT:
        record = run.record(run.cells(found.given)[0])
        assert record["status"] == "failed", found.given
        assert record["reason"].startswith(f"ConductError: {found.given} ")
        assert found.right in record["reason"]
    for method in honest:
        (cell,) = run.cells(method["name"])
        own, other = run.record(cell), alone.record(cell)
        assert own["status"] == "ok", own["reason"]
        assert (own["mask"], own["perplexity"]) == (other["mask"], other["perplexity"])


@pytest.mark.parametrize("found", GATED, ids=[found.given for found in GATED])
def test_misconduct_while_gates_train_is_a_failed_row(start: Start, tmp_path: Path, found: Found) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / f"{found.given}.py").write_text(GATES.format(name=found.given, line=found.case))
    method = {"name": found.given, "mode": "pipelined", "updates": 2}
    run = start([method], methods_directories=[str(folder)], budgets=[8])
    (label,) = run.plan.grid.labels
    run_job(run, "gates", label, 8)
    (cell,) = run.cells(label)
    record = run.record(cell)
    if not found.right:
        assert record["status"] == "ok", record["reason"]
    else:
        assert record["status"] == "failed"
        assert record["reason"].startswith(f"ConductError: {found.right}")


def test_manifests_and_show_tell_the_terms_of_a_training(start: Start) -> None:
    run = start([{"name": "dsp", "mode": "joint"}, {"name": "ste", "mode": "joint"}], budgets=[8])
    told = {}
    for label in run.plan.grid.labels:
        run_job(run, "gates", label, 8)
        (cell,) = run.cells(label)
        (terms,) = read_json(run.path(cell) / "manifest.json")["steps"]["pruned"]["trainings"]
        assert terms["updates"] == 4
        told[label] = terms["initial_weights"], terms["data_order"]
        shown = CliRunner().invoke(app, ["show", str(run.path(cell))]).output
        assert f"initial weights {terms['initial_weights']}, data order {terms['data_order']}" in shown
    assert len(told) == 2
    assert len(set(told.values())) == 1
