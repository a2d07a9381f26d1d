"""Attention against its equations with loops, and against the textbook's computation with gradients by autograd."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from naive_all_attention import looped, vectorised
from torch import Tensor

from headprune.models.all_attention import AllAttention, kernels
from headprune.models.all_attention.kernels import Keys, Queries, attend, band, by_key, mixed, probabilities

SHAPES = [(5, 6, 3), (3, 6, 3), (6, 6, 0), (1, 4, 2), (4, 0, 2), (8, 3, 7)]  # tgt, memory, persistent


def attention(persistent: int, heads: int = 2, width: int = 8, dropout: float = 0.0) -> AllAttention:
    torch.manual_seed(1)
    module = AllAttention(width, heads, persistent, dropout)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return module.double().eval()


def inputs(tgt: int, memory: int, batch: int = 3, width: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(2)
    context = torch.randn(memory + tgt, batch, width, generator=draw, dtype=torch.float64)
    table = torch.randn(memory + 1, width, generator=draw, dtype=torch.float64)
    return context[memory:].clone(), context, table


def drawn(heads: int, batch: int, tgt: int, memory: int, number: int, dtype: torch.dtype) -> tuple[Queries, Keys]:
    draw = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, 4, generator=draw, dtype=torch.float64).to(dtype)

    queries = Queries(*(normal(heads, batch, tgt) for _ in range(3)))
    source = [normal(heads, batch, memory + tgt) for _ in range(2)]
    return queries, Keys(*source, normal(heads, memory + 1), normal(heads, number), normal(heads, number))


@pytest.mark.parametrize(("tgt", "memory", "persistent"), SHAPES)
def test_attention_is_what_the_equations_say(tgt: int, memory: int, persistent: int) -> None:
    """Tolerance 1e-10 in float64; both implementations of the tests agree, too."""
    module, (query, context, table) = attention(persistent), inputs(tgt, memory)
    found, expected = module(query, context, table)[0], looped(module, query, context, table)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(vectorised(module, query, context, table), expected, rtol=0, atol=1e-10)


def test_one_head_of_one_row_in_single_precision() -> None:
    """Tolerance 1e-5."""
    module, arguments = attention(7, heads=1).float(), [tensor.float() for tensor in inputs(5, 6, batch=1)]
    torch.testing.assert_close(module(*arguments)[0], looped(module, *arguments), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("tgt", "memory", "persistent"), SHAPES)
def test_gradients_are_those_of_autograd(tgt: int, memory: int, persistent: int) -> None:
    """Every parameter and input; tolerance 1e-10 in float64."""
    module = attention(persistent)
    arguments = [tensor.requires_grad_() for tensor in inputs(tgt, memory)]
    wanted = [*arguments, *module.parameters()]
    found = torch.autograd.grad(module(*arguments)[0].sin().sum(), wanted)
    expected = torch.autograd.grad(vectorised(module, *arguments).sin().sum(), wanted)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("chunk", [1, 40, 1 << 18], ids=["row by row", "two rows", "all at once"])
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """gradcheck against finite differences, however the rows are divided."""
    monkeypatch.setattr(kernels, "CHUNK", chunk)
    queries, keys = drawn(2, 3, 3, 2, 3, torch.float64)
    tensors = [tensor.requires_grad_() for tensor in (*queries, *keys)]

    def function(*tensors: Tensor) -> Tensor:
        return attend(Queries(*tensors[:3]), Keys(*tensors[3:]))

    assert torch.autograd.gradcheck(function, tensors)


def test_persistent_logits_of_minus_infinity_leave_transformer_xl() -> None:
    """A module without persistent vectors and one whose persistent logits are −∞ agree with the loops; 1e-10."""
    with_vectors, without = attention(4), attention(0)
    own = {name: value for name, value in without.state_dict().items() if name.startswith("persistent")}
    without.load_state_dict(with_vectors.state_dict() | own)
    arguments = inputs(5, 6)
    expected = looped(with_vectors, *arguments, persistent=False)
    torch.testing.assert_close(without(*arguments)[0], expected, rtol=0, atol=1e-10)
    queries, keys = drawn(2, 3, 5, 6, 4, torch.float64)
    queries.persistent[..., 0] = 1.0
    keys.persistent_keys[..., 0] = -torch.inf
    bare = keys._replace(persistent_keys=keys.persistent_keys[:, :0], persistent_values=keys.persistent_values[:, :0])
    torch.testing.assert_close(attend(queries, keys), attend(queries, bare), rtol=0, atol=1e-12)


def plain_dropout(weights: Tensor, queries: Queries, keys: Keys) -> Tensor:
    """Contexts for probabilities by distance that are given."""
    return mixed(by_key(weights, queries.content.shape[2], keys.keys.shape[2]), keys)


def test_plain_and_blockwise_computation_agree() -> None:
    queries, keys = drawn(2, 3, 5, 6, 4, torch.float64)
    expected = attend(queries, keys)
    torch.testing.assert_close(plain_dropout(probabilities(queries, keys), queries, keys), expected, rtol=0, atol=1e-12)


def test_dropout_drops_and_scales_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mask that was drawn, applied to probabilities in plain operations: same contexts, same gradients, 1e-10."""
    queries, keys = drawn(2, 3, 5, 6, 4, torch.float64)
    tensors = [tensor.requires_grad_() for tensor in (*queries, *keys)]
    drawn_masks = []

    def recorded(weights: Tensor, drops: int, noise: Tensor) -> None:
        drop(weights, drops, noise)
        drawn_masks.append(torch.signbit(weights).logical_not().double())

    drop = kernels._drop
    monkeypatch.setattr(kernels, "_drop", recorded)
    torch.manual_seed(5)
    found = attend(Queries(*tensors[:3]), Keys(*tensors[3:]), dropout=0.25)
    mask = torch.stack(drawn_masks)  # (heads, batch, tgt, columns): one block a head
    assert 0 < mask.mean() < 1
    expected = plain_dropout(probabilities(queries, keys) * mask / 0.75, queries, keys)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    for ours, theirs in zip(
        torch.autograd.grad(found.sin().sum(), tensors), torch.autograd.grad(expected.sin().sum(), tensors), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


def test_frequency_of_dropout() -> None:
    """A share of p of 200,000 draws, within four standard errors; in every quarter of a 64-bit word."""
    for probability in (0.1, 0.2, 0.5):
        weights, noise = torch.ones(200_000), torch.empty(50_000, dtype=torch.int64)
        noise.random_(-(2**63), None, generator=torch.Generator().manual_seed(1))
        kernels._drop(weights, round(probability * kernels.STEPS), noise.view(torch.int16))
        for part in (weights, *weights.view(-1, 4).unbind(1)):
            error = (probability * (1 - probability) / len(part)) ** 0.5
            assert part.lt(0).double().mean().item() == pytest.approx(probability, abs=4 * error)


def test_no_dropout_in_evaluation_and_some_in_training() -> None:
    module, arguments = attention(4, dropout=0.5), inputs(5, 6)
    once = module(*arguments)[0]
    assert torch.equal(module(*arguments)[0], once)
    module.train()
    assert not torch.equal(module(*arguments)[0], once)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_computes_its_softmax_in_single(dtype: torch.dtype) -> None:
    """Contexts and gradients of rounded inputs: within 3 roundings of a number of their size."""
    queries, keys = drawn(2, 3, 5, 6, 4, dtype)
    halves = [tensor.requires_grad_() for tensor in (*queries, *keys)]
    wholes = [tensor.detach().double().requires_grad_() for tensor in halves]
    results, gradients = [], []
    for tensors in (halves, wholes):
        results.append(attend(Queries(*tensors[:3]), Keys(*tensors[3:])))
        gradients.append(torch.autograd.grad(results[-1].sum(), tensors))
    assert results[0].dtype == dtype
    for ours, theirs in zip((results[0], *gradients[0]), (results[1], *gradients[1]), strict=True):
        scale = theirs.abs().max().item()
        assert (ours.double() - theirs).abs().max().item() <= 8 * torch.finfo(dtype).eps * scale
    assert probabilities(queries, keys).dtype == torch.float32


@given(st.integers(1, 6), st.integers(0, 5))
def test_band_holds_the_visible_keys(tgt: int, memory: int) -> None:
    products = torch.arange(2 * tgt * (memory + tgt)).view(2, tgt, memory + tgt)
    found = band(products, memory + 1)
    for row in range(2):
        for t in range(tgt):
            assert found[row, t].tolist() == products[row, t, t : t + memory + 1].tolist()


def test_probabilities_are_seen_where_heads_are_judged_by_them() -> None:
    """A hook on `dropout_module` gets (batch, heads, tgt, keys): rows sum to 1, keys out of sight have 0."""
    module, (query, context, table) = attention(4), inputs(5, 6)
    expected, seen = module(query, context, table)[0], []
    handle = module.dropout_module.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    torch.testing.assert_close(module(query, context, table)[0], expected, rtol=0, atol=1e-12)
    handle.remove()
    (weights,) = seen
    assert weights.shape == (3, 2, 5, 11 + 4)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 2, 5, dtype=torch.float64))
    t, j = torch.arange(5).unsqueeze(1), torch.arange(11)
    visible: Any = (t + 6 - j >= 0) & (t + 6 - j <= 6)
    assert ((weights[..., :11] > 0) == visible).all()


def test_a_second_derivative_is_refused() -> None:
    """The first one is written in place, and torch sees nothing of how."""
    queries, keys = drawn(2, 3, 3, 2, 3, torch.float64)
    tensors = [tensor.requires_grad_() for tensor in (*queries, *keys)]
    found = attend(Queries(*tensors[:3]), Keys(*tensors[3:])).square().sum()
    gradients = torch.autograd.grad(found, tensors, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradients[0].sum().backward()
