"""Dropout in C: how often it drops, what it leaves, and that both directions drop the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from headprune.models import native
from headprune.models.native import programs
from headprune.models.native.dropout import dropout

needs_compiler = pytest.mark.skipif(
    not native.dropout.available(torch.zeros(1)), reason="no C compiler on this machine"
)


def seeded(x: Tensor, probability: float, residual: Tensor | None = None) -> Tensor:
    torch.manual_seed(3)
    return dropout(x, probability, residual)


@needs_compiler
@pytest.mark.parametrize("probability", [0.1, 0.3, 0.5])
def test_it_drops_as_often_as_it_should(probability: float) -> None:
    """A share of 2²⁰ numbers, and of each of the 64 places of two draws of the generator, within five standard errors;
    neighbours and two draws do not go together, likewise."""
    torch.manual_seed(1)
    first, second = (dropout(torch.ones(2**14, 64), probability) == 0 for _ in range(2))
    error = (probability * (1 - probability)) ** 0.5
    for found in (first, second):
        assert float(found.double().mean()) == pytest.approx(probability, abs=5 * error / 2**10)
        assert (found.double().mean(0) - probability).abs().max() <= 5 * error / 2**7
    one, two = (((found.double() - probability) / error).flatten() for found in (first, second))
    lags = [float((one[:-lag] * one[lag:]).mean()) for lag in (1, 2, 3, 4, 5, 8, 16, 32, 64, 4096)]
    assert max(map(abs, [*lags, float((one * two).mean())])) <= 5 / 2**10


@needs_compiler
@given(size=st.integers(0, 200), double=st.booleans(), probability=st.sampled_from([0.001, 0.1, 0.5, 0.9]))
def test_the_rest_is_scaled_and_the_residual_added(size: int, double: bool, probability: float) -> None:
    """Up to rounding."""
    generator = torch.Generator().manual_seed(size)
    dtype = torch.float64 if double else torch.float32
    x, residual = torch.randn(2, size, generator=generator, dtype=dtype).unbind(0)
    found = seeded(x, probability)
    scale = native.dropout.STEPS / (native.dropout.STEPS - round(probability * native.dropout.STEPS))
    assert scale == pytest.approx(1 / (1 - probability), rel=1e-3)
    torch.testing.assert_close(found, torch.where(found == 0, 0, x * scale), rtol=3e-7, atol=0)
    torch.testing.assert_close(seeded(x, probability, residual), found + residual, rtol=1e-6, atol=1e-6)


@needs_compiler
def test_derivatives_are_those_of_finite_differences() -> None:
    """One seed, sizes with and without a rest."""
    for size in (7, 64, 71):
        pair = [torch.randn(size, dtype=torch.float64, requires_grad=True) for _ in range(2)]
        assert torch.autograd.gradcheck(lambda x, residual: seeded(x, 0.4, residual), pair)


def splitmix64(seed: int, count: int) -> np.ndarray:
    """The generator as its authors wrote it down, a number at a time, as 16-bit parts from the lowest on."""
    mask, state, found = 2**64 - 1, seed, []
    for _ in range(-(-count // 4)):
        state = (state + 0x9E3779B97F4A7C15) & mask
        x = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & mask
        x = ((x ^ x >> 27) * 0x94D049BB133111EB) & mask
        x ^= x >> 31
        found += [x >> shift & 0xFFFF for shift in (0, 16, 32, 48)]
    return np.array(found[:count])


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_are_those_of_splitmix64_on_every_processor(capability: str, dtype: torch.dtype) -> None:
    x = torch.randn(37, 30, generator=torch.Generator().manual_seed(1)).to(dtype)
    torch.manual_seed(3)
    drops, seed = native.dropout.draw(0.3)
    expected = torch.from_numpy(splitmix64(seed, x.numel()) < drops).view_as(x)
    assert torch.equal(seeded(x, 0.3) == 0, expected)
    assert torch.equal(seeded(x.t().contiguous().t(), 0.3) == 0, expected)


@needs_compiler
def test_a_second_derivative_is_refused() -> None:
    x = torch.randn(9, requires_grad=True)
    (first,) = torch.autograd.grad(dropout(x, 0.5).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_not_in_half_precision_nor_for_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not native.dropout.available(torch.zeros(1).half())
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert not native.dropout.available(torch.zeros(1))


def test_not_where_nothing_can_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "library", lambda source: None)
    programs._compiled.cache_clear()
    try:
        assert not native.dropout.available(torch.zeros(1))
    finally:
        programs._compiled.cache_clear()
