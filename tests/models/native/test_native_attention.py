"""Attention in C against torch's products and softmax, and against finite differences.

Double precision within 1e-12, single precision within 1e-5 of the norm, for the vectors of every processor that this
one can stand in for.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from headprune.models import native
from headprune.models.lean_attention import Sight, TokenRows
from headprune.models.native import programs
from headprune.models.native.attention import Heads, context

SIZES = ((22, 17, 5, 4, 32), (1, 6, 3, 1, 16), (3, 1, 2, 3, 16), (40, 33, 2, 2, 64))
WAYS = ("whole", "padded", "packed")
needs_compiler = pytest.mark.skipif(
    not native.attention.available(torch.zeros(1), 16), reason="no C compiler on this machine"
)


def lengths(batch: int, longest: int) -> list[int]:
    """Lengths of sentences, the last of them the longest."""
    generator = torch.Generator().manual_seed(longest)
    return [*torch.randint(1, longest + 1, (batch - 1,), generator=generator).tolist(), longest]


def rows_of(batch: int, longest: int, way: str) -> TokenRows:
    """The rows of sentences; `whole` ones are all of one length."""
    size = torch.tensor([longest] * batch if way == "whole" else lengths(batch, longest))
    return TokenRows(torch.arange(longest) >= size[:, None], packed=way == "packed")


def expected(own: Tensor, other: Tensor | None, about: Heads, sight: Sight) -> Tensor:
    """The formula with torch's own functions, a sentence and a head at a time."""
    found = own.new_zeros(len(own), about.heads * about.width)
    for b in range(len(sight.queries.padding)):
        ours, theirs = (
            each.sentences.first[b] + each.sentences.step * torch.arange(int((~each.padding[b]).sum()))
            for each in (sight.queries, sight.keys)
        )
        parts = [own[ours].view(len(ours), about.heads, -1, about.width)]
        parts += [] if other is None else [other[theirs].view(len(theirs), about.heads, -1, about.width)]
        q, k, v = (part.transpose(0, 1) for each in parts for part in each.unbind(2))
        scores = q @ k.transpose(1, 2)  # (heads, queries, keys)
        if about.causal:
            scores = scores.masked_fill(torch.ones(scores.shape[1:], dtype=torch.bool).triu(1), float("-inf"))
        context = (scores.softmax(-1) @ v).transpose(0, 1).flatten(1)
        found = found.index_copy(0, ours, context)
    return found


def drawn(
    rows: TokenRows, parts: int, heads: int, width: int, dtype: torch.dtype, seed: int, size: float = 1
) -> Tensor:
    """The output of a projection."""
    generator = torch.Generator().manual_seed(seed)
    number = rows.padding.numel() if rows.real is None else len(rows.real)
    values = size * torch.randn(number, heads * parts * width, generator=generator, dtype=torch.float64)
    return values.to(dtype).requires_grad_()


def compared(
    queries: TokenRows,
    keys: TokenRows | None,
    heads: int,
    width: int,
    causal: bool,
    dtype: torch.dtype,
    size: float = 1,
) -> float:
    """Contexts and derivatives: the largest difference in relation to their norm, or to 1 where that is larger.

    What rows of padding get is not compared, nor pulled at.
    """
    sight = Sight(queries, queries if keys is None else keys, dtype)
    own = drawn(queries, 3 if keys is None else 1, heads, width, dtype, 1, size)
    other = None if keys is None else drawn(keys, 2, heads, width, dtype, 2, size)
    about = Heads(heads, width, sight.queries.sentences, sight.keys.sentences, causal, sight.hidden)
    tensors = [each for each in (own, other) if each is not None]
    real = queries.take((~queries.padding).unsqueeze(-1).to(dtype))
    found, wanted = (context(own, other, about) * real, expected(own, other, about, sight) * real)
    pull = torch.randn(found.shape, generator=torch.Generator().manual_seed(9)).to(dtype)
    gradients = [torch.autograd.grad(result, tensors, pull) for result in (found, wanted)]
    pairs = zip((found, *gradients[0]), (wanted, *gradients[1]), strict=True)
    return max(float((ours - theirs).norm()) / max(1.0, float(theirs.norm())) for ours, theirs in pairs)


@needs_compiler
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["to itself", "causal", "to others"])
def test_as_torch_has_it(capability: str, kind: str, way: str, dtype: torch.dtype, tolerance: float) -> None:
    for queries, keys, batch, heads, width in SIZES:
        others = rows_of(batch, keys, way) if kind == "to others" else None
        assert compared(rows_of(batch, queries, way), others, heads, width, kind == "causal", dtype) <= tolerance


@needs_compiler
@given(
    batch=st.integers(1, 3),
    heads=st.integers(1, 3),
    queries=st.integers(1, 20),
    keys=st.none() | st.integers(1, 20),
    causal=st.booleans(),
    way=st.sampled_from(WAYS),
    size=st.sampled_from([0.01, 1.0, 10.0]),
)
def test_any_lengths(
    batch: int, heads: int, queries: int, keys: int | None, causal: bool, way: str, size: float
) -> None:
    own, others = rows_of(batch, queries, way), None if keys is None else rows_of(batch, keys, way)
    assert compared(own, others, heads, 16, causal and keys is None, torch.float64, size) <= 1e-12


def one_head(positions: int) -> Heads:
    """A head as wide as 16, on one sentence, which sees all of it."""
    sentences = rows_of(1, positions, "packed").sentences
    return Heads(1, 16, sentences, sentences)


@needs_compiler
@pytest.mark.parametrize("way", WAYS)
def test_derivatives_are_those_of_finite_differences(way: str) -> None:
    queries, keys = rows_of(2, 3, way), rows_of(2, 4, way)
    sight = Sight(queries, keys, torch.float64)
    about = Heads(2, 16, queries.sentences, keys.sentences, padding=sight.hidden)
    tensors = drawn(queries, 1, 2, 16, torch.float64, 1), drawn(keys, 2, 2, 16, torch.float64, 2)
    assert torch.autograd.gradcheck(lambda own, other: context(own, other, about), tensors)


@needs_compiler
def test_weights_of_far_keys_vanish_without_slow_numbers(capability: str) -> None:
    """In single precision, where scores are 200 apart; what is left is the value of the nearest key."""
    own = torch.randn(5, 48, generator=torch.Generator().manual_seed(3))
    own[:, :32] = 0
    own[:, 0] = 1
    own[:, 16] = torch.tensor([0.0, 200.0, 0.0, 60.0, -1e30])
    torch.testing.assert_close(context(own, None, one_head(5)), own[1, 32:].expand(5, -1), rtol=0, atol=0)


@needs_compiler
@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_key_that_is_no_number_spoils_what_sees_it(capability: str, dtype: torch.dtype, dropout: float) -> None:
    """A softmax over NaN is NaN: the positions before the third do not see it, the others have nothing else."""
    sentences = rows_of(1, 20, "packed").sentences
    own = torch.randn(20, 48, generator=torch.Generator().manual_seed(3)).to(dtype)
    own[2, 16:32] = torch.nan
    found = context(own, None, Heads(1, 16, sentences, sentences, causal=True, dropout=dropout))
    assert found[:2].isfinite().all()
    assert found[2:].isnan().all()


@needs_compiler
def test_a_second_derivative_is_refused() -> None:
    own = torch.randn(3, 48, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(context(own, None, one_head(3)).square().sum(), own, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


@pytest.mark.parametrize("way", WAYS)
def test_rows_are_taken_and_spread(way: str) -> None:
    """Positions of sentences come back to where they were, and values of sentences go to their positions."""
    rows = rows_of(3, 5, way)
    x = torch.randn(3, 5, 2)
    kept = ~rows.padding.unsqueeze(-1) if way == "packed" else torch.ones(3, 5, 1, dtype=torch.bool)
    taken = rows.take(x)
    torch.testing.assert_close(rows.spread(taken).transpose(0, 1), x * kept, rtol=0, atol=0)
    numbers = torch.arange(3.0).unsqueeze(1)
    torch.testing.assert_close(rows.of_sentences(numbers), rows.take(numbers.unsqueeze(1).expand(3, 5, 1)))


def test_not_for_widths_that_vectors_do_not_divide_nor_for_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.zeros(1)
    assert not native.attention.available(x, 17)
    assert not native.attention.available(x.half(), 32)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert not native.attention.available(x, 32)


def test_not_where_nothing_can_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(source: str) -> Any:
        return None

    monkeypatch.setattr(programs, "library", nothing)
    programs._compiled.cache_clear()
    try:
        assert not native.attention.available(torch.zeros(1), 32)
    finally:
        programs._compiled.cache_clear()


def kept(rows: TokenRows, heads: int, causal: bool, dropout: float) -> Tensor:
    """The weights that a draw keeps (rows, heads, keys of the sentence): of equal scores, every value in a place of its
    own in the context."""
    places = torch.zeros(rows.padding.shape, dtype=torch.long) + torch.arange(rows.padding.shape[1])
    values = torch.nn.functional.one_hot(rows.take(places.unsqueeze(-1)).squeeze(1), 64).double()
    own = torch.cat([torch.zeros(len(values), heads, 128), values.unsqueeze(1).expand(-1, heads, -1)], -1)
    about = Heads(heads, 64, rows.sentences, rows.sentences, causal, Sight(rows, rows, own.dtype).hidden, dropout)
    return (context(own.flatten(1).contiguous(), None, about).unflatten(-1, (heads, 64)) > 0).double()


def with_mask(own: Tensor, rows: TokenRows, heads: int, causal: bool, factors: Tensor) -> Tensor:
    """Contexts whose weights are multiplied by what `kept` gives, in plain operations."""
    found = torch.zeros_like(own[:, : own.shape[1] // 3])
    for b in range(len(rows.padding)):
        places = rows.sentences.first[b] + rows.sentences.step * torch.arange(int((~rows.padding[b]).sum()))
        q, k, v = (part.transpose(0, 1) for part in own[places].view(len(places), heads, 3, -1).unbind(2))
        scores = q @ k.transpose(1, 2)
        if causal:
            scores = scores.masked_fill(torch.ones(scores.shape[1:], dtype=torch.bool).triu(1), float("-inf"))
        weights = scores.softmax(-1) * factors[places, :, : len(places)].transpose(0, 1)
        found = found.index_copy(0, places, (weights @ v).transpose(0, 1).flatten(1))
    return found


@needs_compiler
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("causal", [False, True])
def test_dropout_drops_and_scales_as_it_says(capability: str, way: str, causal: bool) -> None:
    """The mask that was drawn, applied to weights in plain operations: same contexts, same gradients, 1e-12."""
    rows, heads, dropout = rows_of(3, 41, way), 2, 0.25
    own = drawn(rows, 3, heads, 64, torch.float64, 1, 0.3)
    real = rows.take((~rows.padding).unsqueeze(-1).double())
    about = Heads(heads, 64, rows.sentences, rows.sentences, causal, Sight(rows, rows, own.dtype).hidden, dropout)
    torch.manual_seed(4)
    mask = kept(rows, heads, causal, dropout)
    torch.manual_seed(4)
    found = context(own, None, about) * real
    expected = with_mask(own, rows, heads, causal, mask / (1 - dropout)) * real
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    pull = torch.randn(found.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    gradients = [torch.autograd.grad(result, own, pull)[0] for result in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


@needs_compiler
def test_dropout_is_as_frequent_as_it_should_be() -> None:
    """A share of 204,800 weights, and of those of a head, a sentence or a key, within five standard errors; neighbours
    and two draws do not go together, likewise."""
    rows, share = rows_of(50, 32, "whole"), 0.2
    torch.manual_seed(1)
    first, second = (1 - kept(rows, 4, False, share)[..., :32].unflatten(0, (32, 50)) for _ in range(2))
    error = (share * (1 - share)) ** 0.5
    for axis in ([], [0], [1], [2], [3]):
        means = first.mean([n for n in range(4) if n not in axis])
        assert (means - share).abs().max() <= 5 * error * (means.numel() / first.numel()) ** 0.5
    one, two = (((each - share) / error).flatten() for each in (first, second))
    products = [(one[:-lag] * one[lag:]).mean() for lag in (1, 2, 4, 8, 16, 32, 64, 128)]
    assert max(abs(float(x)) for x in (*products, (one * two).mean())) <= 5 * len(one) ** -0.5
