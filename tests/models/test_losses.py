"""The loss from hidden states against fairseq's, by value and derivative, in float64 within 1e-10."""

from __future__ import annotations

import headprune.models.compat  # noqa: F401

import pytest
import torch
from fairseq.criterions.label_smoothed_cross_entropy import label_smoothed_nll_loss
from fairseq.modules import AdaptiveInput, AdaptiveSoftmax
from torch import Tensor

from headprune.models import losses
from headprune.models.losses import adaptive_cross_entropy, is_tied, smoothed_cross_entropy

TARGETS, WIDTH, WORDS = 11, 6, 30


def made_up(scale: float = 1.0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states, output weights and targets."""
    generator = torch.Generator().manual_seed(1)
    features = scale * torch.randn(TARGETS, WIDTH, generator=generator, dtype=dtype)
    weight = torch.randn(WORDS, WIDTH, generator=generator, dtype=dtype)
    return features.requires_grad_(), weight.requires_grad_(), torch.randint(WORDS, (TARGETS,), generator=generator)


def stock(features: Tensor, weight: Tensor, target: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    log_probabilities = torch.log_softmax(features @ weight.t(), -1)
    return label_smoothed_nll_loss(log_probabilities, target, smoothing, ignore_index=-1)


@pytest.mark.parametrize("rows", [2048, 4])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_loss_and_derivatives_are_those_of_fairseq(
    smoothing: float, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one piece and in pieces of four targets, the last of them shorter."""
    monkeypatch.setattr(losses, "ROWS", rows)
    features, weight, target = made_up()
    found, expected = (loss(features, weight, target, smoothing) for loss in (smoothed_cross_entropy, stock))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    gradients = [torch.autograd.grad(3 * loss[0], (features, weight)) for loss in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_a_target_whose_probability_vanishes_has_a_finite_loss() -> None:
    """Logits hundreds apart, in single precision: exp(−200) is 0 there."""
    features, weight, target = made_up(scale=200.0, dtype=torch.float32)
    assert torch.softmax(features @ weight.t(), -1).gather(1, target[:, None]).min() == 0
    found, expected = (loss(features, weight, target, 0.1) for loss in (smoothed_cross_entropy, stock))
    for one, other in zip(found, expected, strict=True):
        assert torch.isfinite(one)
        torch.testing.assert_close(one, other, rtol=1e-5, atol=0)


@pytest.mark.parametrize("rows", [2048, 4])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_an_output_layer_with_a_bias(smoothing: float, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bias is the weight of a feature that is always 1."""
    monkeypatch.setattr(losses, "ROWS", rows)
    features, weight, target = made_up()
    bias = torch.randn(WORDS, generator=torch.Generator().manual_seed(2), dtype=torch.float64).requires_grad_()
    wider = torch.cat([features, torch.ones(TARGETS, 1, dtype=torch.float64)], 1)
    expected = stock(wider, torch.cat([weight, bias[:, None]], 1), target, smoothing)
    found = smoothed_cross_entropy(features, weight, target, smoothing, bias)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    gradients = [torch.autograd.grad(3 * loss[0], (features, weight, bias)) for loss in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_frozen_weights_get_no_derivative() -> None:
    features, weight, target = made_up()
    (expected,) = torch.autograd.grad(stock(features, weight, target, 0.1)[0], features)
    loss, nll = smoothed_cross_entropy(features, weight.detach(), target, 0.1)
    loss.backward()
    torch.testing.assert_close(features.grad, expected, rtol=1e-10, atol=1e-10)
    assert not nll.requires_grad


def test_no_target_no_loss() -> None:
    features, weight, target = made_up()
    loss, nll = smoothed_cross_entropy(features[:0], weight, target[:0], 0.1)
    assert (loss.item(), nll.item()) == (0.0, 0.0)
    assert torch.equal(torch.autograd.grad(loss, weight)[0], torch.zeros_like(weight))


def adaptive_softmax(width: int = 8, first: int = 8) -> AdaptiveSoftmax:
    """fairseq's, with bands of 10, 20 and 30 words, tied to an adaptive input."""
    torch.manual_seed(2)
    words = AdaptiveInput(60, 1, first, 2.0, width, [10, 30, 60])
    return AdaptiveSoftmax(60, width, [10, 30], 0.0, 2.0, adaptive_inputs=words, tie_proj=True).double()


@pytest.mark.parametrize("words", [range(60), range(30), range(30, 60)], ids=["all bands", "two bands", "rare ones"])
def test_an_adaptive_softmax_is_that_of_the_whole_distribution(words: range) -> None:
    """The loss and the derivatives of the full log-probabilities, in double precision; some bands have no target."""
    generator = torch.Generator().manual_seed(3)
    softmax = adaptive_softmax()
    features = torch.randn(TARGETS, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.tensor(words)[torch.randint(len(words), (TARGETS,), generator=generator)]
    found, again = adaptive_cross_entropy(softmax, features, target)
    first = softmax.head(features).log_softmax(1)
    tails = [tail(features).log_softmax(1) + first[:, 10 + i, None] for i, tail in enumerate(softmax.tail)]
    expected = -torch.cat([first[:, :10], *tails], 1).gather(1, target[:, None]).sum()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(again, expected, rtol=1e-12, atol=0)
    tensors = [features, *softmax.parameters()]
    gradients = [torch.autograd.grad(loss, tensors, allow_unused=True) for loss in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        assert other is not None
        torch.testing.assert_close(torch.zeros_like(other) if one is None else one, other, rtol=1e-10, atol=1e-12)


def test_only_an_adaptive_softmax_of_the_models_width_is_taken() -> None:
    assert is_tied(adaptive_softmax())
    assert not is_tied(adaptive_softmax(first=4))
    assert not is_tied(AdaptiveSoftmax(60, 8, [10, 30], 0.0))


def test_a_second_derivative_is_refused() -> None:
    """The first one is computed with the loss; through it, torch would find a part of the second only."""
    features, weight, target = made_up()
    loss, _ = smoothed_cross_entropy(features, weight, target, 0.1)
    (gradient,) = torch.autograd.grad(loss**2, features, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
