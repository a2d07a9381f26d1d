"""The criterion that learns from a teacher: its value by hand in numpy, its gradient, what it leaves alone."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special
import torch
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.tasks.translation import TranslationConfig, TranslationTask

from headprune import removal
from headprune.heads import HeadSpace
from headprune.models.criteria import DistilledCrossEntropy

SMOOTHING = 0.1

Build = Callable[..., Any]
Batch = dict[str, Any]


@pytest.fixture
def batch(make_batch: Callable[..., Batch]) -> Batch:
    batch = make_batch(seed=3, size=4)
    assert batch["target"].eq(1).any()  # there is padding
    return batch


@pytest.fixture(scope="module")
def teacher(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("teacher") / "teacher.pt"
    removal.save(build(seed=8), path)
    return path


@pytest.fixture
def distilled(task: Namespace, teacher: Path) -> Callable[..., DistilledCrossEntropy]:
    """`distilled(weight, temperature)`, with a task that can build the teacher."""
    whole = TranslationTask(TranslationConfig(), task.source_dictionary, task.target_dictionary)

    def distilled(weight: float = 0.5, temperature: float = 1.0, average: bool = False) -> DistilledCrossEntropy:
        options = {"teacher": str(teacher), "distillation": weight, "distillation_temperature": temperature}
        return DistilledCrossEntropy(whole, average, SMOOTHING, **options)

    return distilled


def output(model: Any, batch: Batch) -> np.ndarray:
    with torch.no_grad():
        return model(**batch["net_input"])[0].double().numpy()


def by_hand(student: np.ndarray, teacher: np.ndarray, target: np.ndarray, weight: float, t: float) -> float:
    """(1 − w) · CE + w · T² · KL summed over target positions that are not padding, position by position."""
    total, size = 0.0, student.shape[-1]
    for row, position in zip(*np.nonzero(target != 1), strict=True):
        logits, wanted = student[row, position], teacher[row, position]
        nats = -scipy.special.log_softmax(logits)
        each = SMOOTHING / (size - 1)  # fairseq: the smoothed mass is shared by the other symbols
        cross_entropy = (1 - SMOOTHING - each) * nats[target[row, position]] + each * nats.sum()
        p, q = scipy.special.softmax(wanted / t), scipy.special.softmax(logits / t)
        divergence = scipy.special.rel_entr(p, q).sum()
        total += (1 - weight) * cross_entropy + weight * t**2 * divergence
    return total


@pytest.mark.parametrize(("weight", "temperature"), [(0.5, 1.0), (0.3, 2.0), (1.0, 4.0), (0.0, 2.0)])
def test_loss_is_that_of_the_formula(
    build: Build, batch: Batch, distilled: Callable[..., Any], weight: float, temperature: float
) -> None:
    """Relative 1e-5: the model computes in fp32, the formula in float64."""
    student = build(seed=2, dropout=0.0).train()
    criterion = distilled(weight, temperature)
    loss, size, logged = criterion(student, batch)
    expected = by_hand(
        output(student, batch), output(build(seed=8), batch), batch["target"].numpy(), weight, temperature
    )
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert logged["loss"].item() == loss.item()
    assert size == batch["ntokens"] == logged["sample_size"]
    assert distilled(average=True)(student, batch)[1] == len(batch["target"])


def test_divergence_from_itself_is_zero(build: Build, batch: Batch, distilled: Callable[..., Any]) -> None:
    teacher = build(seed=8, dropout=0.0).train()
    criterion = distilled(1.0, 2.0)
    assert abs(criterion(teacher, batch)[0].item()) < 1e-4


def test_gradient_goes_into_the_student_only(build: Build, batch: Batch, distilled: Callable[..., Any]) -> None:
    """T · (q − p) is the derivative of T² · KL in the logits; fp32, 1e-5."""
    student = build(seed=2, dropout=0.0).train()
    criterion = distilled(1.0, 2.0)
    criterion(student, batch)[0].backward()
    assert all(parameter.grad is not None for parameter in student.parameters())
    (teacher,) = criterion._teacher
    assert not teacher.training
    assert all(parameter.grad is None for parameter in teacher.parameters())
    logits = torch.tensor(output(student, batch), dtype=torch.float32, requires_grad=True)
    (gradient,) = torch.autograd.grad(criterion.divergence((logits,), batch), logits)
    q, p = (scipy.special.softmax(output(model, batch) / 2, -1) for model in (student, build(seed=8)))
    expected = 2 * (q - p) * (batch["target"].numpy() != 1)[..., None]
    np.testing.assert_allclose(gradient.numpy(), expected, atol=1e-5)


def test_the_teacher_is_neither_trained_nor_saved(build: Build, batch: Batch, distilled: Callable[..., Any]) -> None:
    criterion = distilled()
    assert list(criterion.parameters()) == []
    assert list(criterion.modules()) == [criterion]
    assert criterion.state_dict() == {}
    before = {key: value.clone() for key, value in criterion._teacher[0].state_dict().items()}
    criterion.train()
    criterion(build(seed=2).train(), batch)
    assert not any(module.training for module in criterion._teacher[0].modules())
    after = criterion._teacher[0].state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_validation_has_no_teacher(build: Build, batch: Batch, task: Namespace, distilled: Callable[..., Any]) -> None:
    """Bit for bit the loss of other trainings, which validation compares it with."""
    student = build(seed=2).eval()
    stock = LabelSmoothedCrossEntropyCriterion(task, False, SMOOTHING)
    (loss, size, logged), (expected, stock_size, stock_logged) = (c(student, batch) for c in (distilled(0.9), stock))
    assert torch.equal(loss, expected)
    assert size == stock_size
    assert torch.equal(logged["nll_loss"], stock_logged["nll_loss"])


def test_a_pruned_student_learns_from_a_whole_teacher(
    build: Build, batch: Batch, distilled: Callable[..., Any]
) -> None:
    """A few steps of plain gradient descent bring it nearer."""
    whole = build(seed=8, dropout=0.0)
    student = removal.remove_heads(whole, HeadSpace.of(whole).keep(range(0, 24, 2))).train()
    criterion = distilled(1.0, 1.0)
    losses = []
    for _ in range(5):
        student.zero_grad()
        loss = criterion(student, batch)[0]
        loss.backward()
        losses.append(loss.item())
        with torch.no_grad():
            for parameter in student.parameters():
                parameter -= 1e-3 * parameter.grad
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.9 * losses[0]
