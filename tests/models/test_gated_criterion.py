"""The penalty of a gate method, added to fairseq's loss."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from torch import Tensor

from headprune.method import registry as registry_module
from headprune.models.criteria import GatedLabelSmoothedCrossEntropy

Build = Callable[..., Any]
Batch = dict[str, Any]
DSP = {"gate_method": "dsp", "gate_budget": 5, "gate_total_updates": 100, "gate_seed": 3}
PENALTY = """
from headprune.method import GateMethod, register

@register("constant_penalty")
class ConstantPenalty(GateMethod):
    "Open gates, and a penalty whose value is 0.25 and whose derivative in every logit is 2."

    def build(self, generator):
        self.logits = self.logits_parameter(generator)

    def sample(self, progress):
        return 1 + 0 * self.logits

    def penalty(self, progress):
        return 0.25 + 2 * (self.logits - self.logits.detach()).sum()

    def keep(self, budget):
        return self.space.keep(range(budget))
"""


@pytest.fixture
def batch(make_batch: Callable[..., Batch]) -> Batch:
    return make_batch(seed=1, size=6)


@pytest.fixture
def penalised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Arguments of a model with a constant penalty, whose method is in a folder of its own."""
    monkeypatch.setattr(registry_module, "_REGISTRY", dict(registry_module._REGISTRY))
    (tmp_path / "constant_penalty.py").write_text(PENALTY)
    return DSP | {"gate_method": "constant_penalty", "gate_methods": str(tmp_path)}


def criteria(task: Namespace, average: bool = False) -> tuple[Any, Any]:
    return (
        GatedLabelSmoothedCrossEntropy(task, average, 0.1),
        LabelSmoothedCrossEntropyCriterion(task, average, 0.1),
    )


def loss_of(criterion: Any, model: Any, batch: Batch) -> tuple[Tensor, int, dict[str, Any]]:
    """With the same dropout and the same draw every time."""
    torch.manual_seed(9)
    model.set_num_updates(0)
    model.set_num_updates(1)
    return criterion(model, batch)


@pytest.mark.parametrize("average", [False, True])
def test_penalty_is_added_to_the_mean_loss(
    build: Build, batch: Batch, task: Namespace, penalised: dict[str, Any], average: bool
) -> None:
    """Times the sample size, as fairseq divides by it: of tokens, or of sentences. Relative 1e-6 in fp32."""
    model = build(**penalised).train()
    (loss, size, _), (stock, stock_size, _) = (loss_of(c, model, batch) for c in criteria(task, average))
    assert size == stock_size == (len(batch["target"]) if average else batch["ntokens"])
    assert loss.item() == pytest.approx(stock.item() + 0.25 * size, rel=1e-6)
    (gradient,) = torch.autograd.grad(loss, model.gate_method.logits)
    torch.testing.assert_close(gradient, torch.full((24,), 2.0 * size, dtype=torch.float64), rtol=1e-4, atol=0)


def test_penalty_counts_once_an_update_however_many_micro_batches(
    build: Build, batch: Batch, task: Namespace, penalised: dict[str, Any], rebatch: Callable[..., list[Batch]]
) -> None:
    model = build(**penalised).train()
    gated, stock = criteria(task)
    parts = rebatch(batch, 2)
    results = [(loss_of(gated, model, part), loss_of(stock, model, part)) for part in parts]
    size = sum(with_penalty[1] for with_penalty, _ in results)
    difference = sum(with_penalty[0] - without[0] for with_penalty, without in results) / size
    assert difference.item() == pytest.approx(0.25, rel=1e-4)


def test_validation_has_no_penalty(build: Build, batch: Batch, task: Namespace, penalised: dict[str, Any]) -> None:
    model = build(**penalised).eval()
    gated, stock = (loss_of(criterion, model, batch)[0] for criterion in criteria(task))
    assert torch.equal(gated, stock)


@pytest.mark.parametrize("arguments", [{}, DSP, {"stock": True}], ids=["ungated", "no penalty", "stock"])
def test_without_a_penalty_it_is_the_stock_criterion(
    build: Build, batch: Batch, task: Namespace, arguments: dict[str, Any]
) -> None:
    model = build(**arguments).train()
    gated, stock = (loss_of(criterion, model, batch)[0] for criterion in criteria(task))
    assert torch.equal(gated, stock)
