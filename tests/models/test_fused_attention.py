"""Attention in C against torch's products and softmax, and against finite differences.

Double precision within 1e-12, single precision within 1e-5 of the norm, for the vectors of every processor that this
one can stand in for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from headprune.models import fused_attention
from headprune.models.fused_attention import Heads, context
from headprune.models.lean_attention import Unseen, heads_of

CAPABILITIES = ("DEFAULT", "AVX2", "AVX512")
SIZES = ((22, 17, 5, 4, 32), (1, 6, 3, 1, 16), (3, 1, 2, 3, 16), (40, 33, 2, 2, 64))
OWN = torch.backends.cpu.get_cpu_capability()
needs_compiler = pytest.mark.skipif(
    not fused_attention.available(torch.zeros(1), 16), reason="no C compiler on this machine"
)


@pytest.fixture(params=CAPABILITIES[: CAPABILITIES.index(OWN) + 1] if OWN in CAPABILITIES else ["DEFAULT"])
def capability(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A processor that has these vectors and no larger ones."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: request.param)
    fused_attention._functions.cache_clear()
    yield request.param
    fused_attention._functions.cache_clear()


def expected(own: Tensor, other: Tensor | None, about: Heads) -> Tensor:
    """The formula with torch's own functions."""
    parts = [heads_of(each, *about[:3]) for each in (own, other) if each is not None]
    q, k, v = (part for of_one in parts for part in of_one)
    scores = q @ k.transpose(1, 2)
    future = torch.full(scores.shape[1:], float("-inf"), dtype=own.dtype).triu(1) if about.causal else None
    mask = Unseen(about.padding, future).mask
    if mask is not None:
        scores = (scores.view(about.batch, about.heads, *scores.shape[1:]) + mask).view_as(scores)
    return (scores.softmax(-1) @ v).transpose(0, 1).reshape(len(own), -1)


def drawn(
    batch: int, heads: int, width: int, queries: int, keys: int | None, dtype: torch.dtype, seed: int, size: float = 1
) -> tuple[Tensor, Tensor | None]:
    """Products of self-attention, or, with a number of keys, of attention to something else."""
    generator = torch.Generator().manual_seed(seed)

    def numbers(rows: int, parts: int) -> Tensor:
        values = size * torch.randn(rows * batch, heads * parts * width, generator=generator, dtype=torch.float64)
        return values.to(dtype).requires_grad_()

    return (numbers(queries, 3), None) if keys is None else (numbers(queries, 1), numbers(keys, 2))


def hidden(batch: int, keys: int, dtype: torch.dtype) -> Tensor:
    """−∞ at some keys, never at the first."""
    generator = torch.Generator().manual_seed(keys)
    unseen = torch.rand(batch, keys, generator=generator) < 0.3
    unseen[:, 0] = False
    return torch.zeros(batch, keys, dtype=dtype).masked_fill(unseen, float("-inf"))


def compared(own: Tensor, other: Tensor | None, about: Heads, tolerance: float) -> None:
    """Contexts and derivatives, their difference in relation to their norm, where that is larger than 1."""
    tensors = [each for each in (own, other) if each is not None]
    results = [function(own, other, about) for function in (context, expected)]
    pull = torch.randn(results[0].shape, generator=torch.Generator().manual_seed(9)).to(own.dtype)
    gradients = [torch.autograd.grad(result, tensors, pull) for result in results]
    for ours, theirs in zip((results[0], *gradients[0]), (results[1], *gradients[1]), strict=True):
        assert (ours - theirs).norm() <= tolerance * max(1.0, float(theirs.norm()))


@needs_compiler
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("padded", [False, True], ids=["all keys", "padding"])
@pytest.mark.parametrize("kind", ["to itself", "causal", "to others"])
def test_as_torch_has_it(capability: str, kind: str, padded: bool, dtype: torch.dtype, tolerance: float) -> None:
    for queries, keys, batch, heads, width in (
        (22, 17, 5, 4, 32),
        (1, 6, 3, 1, 16),
        (3, 1, 2, 3, 16),
        (40, 33, 2, 2, 64),
    ):
        own, other = drawn(batch, heads, width, queries, keys if kind == "to others" else None, dtype, seed=queries)
        padding = hidden(batch, keys if kind == "to others" else queries, dtype) if padded else None
        compared(own, other, Heads(batch, heads, width, kind == "causal", padding), tolerance)


@needs_compiler
@given(
    batch=st.integers(1, 3),
    heads=st.integers(1, 3),
    queries=st.integers(1, 20),
    keys=st.none() | st.integers(1, 20),
    causal=st.booleans(),
    padded=st.booleans(),
    size=st.sampled_from([0.01, 1.0, 10.0]),
)
def test_any_lengths(
    batch: int, heads: int, queries: int, keys: int | None, causal: bool, padded: bool, size: float
) -> None:
    own, other = drawn(batch, heads, 16, queries, keys, torch.float64, seed=queries, size=size)
    padding = hidden(batch, keys or queries, torch.float64) if padded else None
    compared(own, other, Heads(batch, heads, 16, causal and keys is None, padding), 1e-12)


@needs_compiler
@pytest.mark.parametrize("keys", [None, 4], ids=["to itself", "to others"])
def test_derivatives_are_those_of_finite_differences(keys: int | None) -> None:
    own, other = drawn(2, 2, 16, 3, keys, torch.float64, seed=1)
    about = Heads(2, 2, 16, keys is None, hidden(2, keys or 3, torch.float64))
    tensors = (own,) if other is None else (own, other)
    assert torch.autograd.gradcheck(lambda *some: context(some[0], some[1] if keys else None, about), tensors)


@needs_compiler
def test_weights_of_far_keys_vanish_without_slow_numbers(capability: str) -> None:
    """In single precision, where scores are 200 apart; what is left is the value of the nearest key."""
    own, _ = drawn(1, 1, 16, 5, None, torch.float32, seed=3)
    with torch.no_grad():
        own[:, :32] = 0
        own[:, 0] = 1
        own[:, 16] = torch.tensor([0.0, 200.0, 0.0, 60.0, -1e30])
        found = context(own, None, Heads(1, 1, 16, False))
    torch.testing.assert_close(found, own[1, 32:].expand(5, -1), rtol=0, atol=0)


@needs_compiler
def test_a_second_derivative_is_refused() -> None:
    own, _ = drawn(1, 1, 16, 3, None, torch.float64, seed=1)
    (first,) = torch.autograd.grad(context(own, None, Heads(1, 1, 16, True)).square().sum(), own, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_not_for_widths_that_vectors_do_not_divide_nor_for_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.zeros(1)
    assert not fused_attention.available(x, 17)
    assert not fused_attention.available(x.half(), 32)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert not fused_attention.available(x, 32)


def test_not_where_nothing_can_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(source: str) -> Any:
        return None

    monkeypatch.setattr(fused_attention, "library", nothing)
    fused_attention._functions.cache_clear()
    try:
        assert not fused_attention.available(torch.zeros(1), 32)
    finally:
        fused_attention._functions.cache_clear()
