"""Attention in C against the equations, autograd and finite differences.

Double precision within 1e-10, of the norm where that is larger than 1, single precision within 1e-5 likewise, for the
vectors of every processor that this one can stand in for.
"""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from naive_all_attention import looped, vectorised
from torch import Tensor

from headprune.models import native
from headprune.models.all_attention import AllAttention, kernels
from headprune.models.native.all_attention import Attended, contexts

SHAPES = [(5, 6, 3), (20, 33, 17), (6, 6, 0), (1, 4, 2), (4, 0, 2), (19, 3, 70)]  # tgt, memory, persistent
pytestmark = pytest.mark.skipif(
    not native.all_attention.available(torch.zeros(1), 16), reason="no C compiler on this machine"
)


@pytest.fixture(autouse=True)
def nothing_else() -> Iterator[None]:
    """Attention block by block is not what is tested here."""
    with mock.patch("headprune.models.all_attention.attention.attend", side_effect=AssertionError("not in C")):
        yield


def attention(persistent: int, heads: int = 3, width: int = 16, size: float = 0.5) -> AllAttention:
    torch.manual_seed(1)
    module = AllAttention(heads * width, heads, persistent, dropout=0.0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=size)
    return module.double().eval()


def inputs(tgt: int, memory: int, width: int, batch: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states of a segment, of memory and segment, and distances."""
    draw = torch.Generator().manual_seed(2)
    context = torch.randn(memory + tgt, batch, width, generator=draw, dtype=torch.float64)
    table = torch.randn(memory + 1, width, generator=draw, dtype=torch.float64)
    return context[memory:].clone(), context, table


def drawn(tgt: int, memory: int, batch: int, heads: int, persistent: int, width: int = 16) -> list[Tensor]:
    """Queries, and an `Attended`."""
    draw = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    rows, model = memory + tgt, heads * width
    asked = [normal(rows, batch, model), normal(rows, batch, model), normal(memory + 1, model)]
    vectors = [normal(heads, persistent, width), normal(heads, persistent, width)]
    return [normal(tgt, batch, model), *asked, *vectors, normal(heads, width), normal(heads, width)]


def differences(module: AllAttention, arguments: tuple[Tensor, ...]) -> float:
    """Outputs and all derivatives against autograd's: the largest difference in relation to the norm, or to 1."""
    given = [argument.detach().to(module.q_proj.weight.dtype).requires_grad_() for argument in arguments]
    wanted = [*given, *module.parameters()]
    found, expected = module(*given)[0], vectorised(module, *given)
    pull = torch.randn(found.shape, generator=torch.Generator().manual_seed(9)).to(found)
    gradients = [torch.autograd.grad(result, wanted, pull) for result in (found, expected)]
    pairs = zip((found, *gradients[0]), (expected, *gradients[1]), strict=True)
    return max(float((ours - theirs).norm()) / max(1.0, float(theirs.norm())) for ours, theirs in pairs)


@pytest.mark.parametrize(("tgt", "memory", "persistent"), SHAPES)
def test_attention_is_what_the_equations_say(capability: str, tgt: int, memory: int, persistent: int) -> None:
    module, arguments = attention(persistent), inputs(tgt, memory, 48)
    torch.testing.assert_close(module(*arguments)[0], looped(module, *arguments), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("width", [16, 32, 64])
def test_gradients_are_those_of_autograd(capability: str, width: int, dtype: torch.dtype, tolerance: float) -> None:
    for tgt, memory, persistent in SHAPES:
        module = attention(persistent, 2, width, size=0.2).to(dtype)
        assert differences(module, inputs(tgt, memory, 2 * width)) <= tolerance


@given(
    tgt=st.integers(1, 20),
    memory=st.integers(0, 20),
    persistent=st.integers(0, 20),
    batch=st.integers(1, 3),
    heads=st.integers(1, 3),
    size=st.sampled_from([0.01, 0.2, 1.0]),
)
def test_any_sizes(tgt: int, memory: int, persistent: int, batch: int, heads: int, size: float) -> None:
    module = attention(persistent, heads, size=size)
    assert differences(module, inputs(tgt, memory, 16 * heads, batch)) <= 1e-10


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_vector_that_is_no_number_spoils_what_sees_it(capability: str, dtype: torch.dtype, dropout: float) -> None:
    """A softmax over NaN is NaN; positions of a segment see themselves and the four before. No other row is touched."""
    module = attention(persistent=3).to(dtype).train()
    module.dropout = dropout
    x, both, table = (tensor.to(dtype) for tensor in inputs(20, 4, 48))
    both[4 + 2, 0] = torch.nan
    found, _ = module(x, both, table)
    assert found[2:7, 0].isnan().all()
    assert found[:, 1].isfinite().all()


def test_derivatives_are_those_of_finite_differences() -> None:
    tensors = [tensor.requires_grad_() for tensor in drawn(3, 2, 2, 2, 3)]
    assert torch.autograd.gradcheck(lambda queries, *rest: contexts(queries, Attended(*rest)), tensors)


def test_frozen_weights_get_no_derivatives_and_the_inputs_theirs() -> None:
    tensors = [tensor.requires_grad_() for tensor in drawn(9, 5, 2, 2, 7)]
    found = []
    for frozen in (tensors, [*tensors[:3], *(tensor.detach() for tensor in tensors[3:])]):
        found.append(torch.autograd.grad(contexts(frozen[0], Attended(*frozen[1:])).sin().sum(), tensors[:3]))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_what_is_kept_of_a_memory_gives_the_same() -> None:
    """Keys and values of a memory, computed in pieces, as evaluation does."""
    module, (query, context, table) = attention(4), inputs(12, 6, 48)
    with torch.no_grad():
        whole, past = module(query, context, table)
        _, past = module(query[:5], context[:11], table)
        rest, _ = module(query[5:], context[11:], table, past.latest(6))
    torch.testing.assert_close(rest, whole[5:], rtol=0, atol=1e-12)


def kept(tgt: int, memory: int, batch: int, heads: int, persistent: int, dropout: float) -> Tensor:
    """The weights that a draw of dropout keeps (heads, batch, tgt, keys and persistent vectors), 64 a query at most:
    each is seen in a place of its own of the context."""
    width, source = 64, memory + tgt
    tensors = [torch.zeros_like(tensor) for tensor in drawn(tgt, memory, batch, heads, persistent, width)]
    tensors[2] += torch.eye(width, dtype=torch.float64)[:source].repeat(1, heads).unsqueeze(1)
    tensors[5] += torch.eye(width, dtype=torch.float64)[source : source + persistent]
    found = contexts(tensors[0], Attended(*tensors[1:]), dropout).unflatten(-1, (heads, width)).permute(2, 1, 0, 3)
    return (found[..., : source + persistent] > 0).double()


def test_dropout_drops_and_scales_as_it_says(capability: str) -> None:
    """The mask that was drawn, applied to probabilities in plain operations: same contexts, same gradients, 1e-10."""
    tgt, memory, batch, heads, persistent, dropout = 15, 20, 2, 3, 21, 0.25
    torch.manual_seed(5)
    mask = kept(tgt, memory, batch, heads, persistent, dropout)
    tensors = [tensor.requires_grad_() for tensor in drawn(tgt, memory, batch, heads, persistent, 64)]
    torch.manual_seed(5)
    found = contexts(tensors[0], Attended(*tensors[1:]), dropout)
    expected = dropped(tensors, mask / (1 - dropout))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    pull = torch.randn(found.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    for ours, theirs in zip(*(torch.autograd.grad(result, tensors, pull) for result in (found, expected)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


def dropped(tensors: list[Tensor], factors: Tensor) -> Tensor:
    """Contexts of probabilities times `factors`, in plain operations."""
    queries, keys, values, positions, persistent_keys, persistent_values, content, position = tensors
    heads, _, width = persistent_keys.shape

    def split(rows: Tensor) -> Tensor:
        return rows.unflatten(-1, (heads, width)).permute(2, 1, 0, 3)

    asking = [(split(queries) + bias[:, None, None]) * width**-0.5 for bias in (content, position)]
    roles = kernels.Queries(*asking, split(queries))
    turned = positions.unflatten(-1, (heads, width)).transpose(0, 1)
    asked = kernels.Keys(split(keys), split(values), turned, persistent_keys, persistent_values)
    weights = kernels.by_key(kernels.probabilities(roles, asked), len(queries), len(keys))
    return kernels.mixed(weights * factors, asked).permute(2, 1, 0, 3).flatten(2)


@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_dropout_is_as_frequent_as_it_should_be(probability: float) -> None:
    """A share of 131,072 weights, and of those in any one place, within four standard errors; neighbours, heads, rows
    and two draws do not go together, likewise."""
    torch.manual_seed(1)
    first, second = (1 - kept(1, 0, 512, 4, 63, probability) for _ in range(2))
    assert not torch.equal(first, second)
    for axis in ([], [0], [1], [3]):
        means = first.mean([n for n in range(4) if n not in axis])
        error = (probability * (1 - probability) * means.numel() / first.numel()) ** 0.5
        assert (means - probability).abs().max().item() <= (4 if means.numel() < 100 else 5) * error
    centred = (first - probability).flatten() / (probability * (1 - probability)) ** 0.5
    other = (second - probability).flatten() / (probability * (1 - probability)) ** 0.5
    products = [(centred[:-lag] * centred[lag:]).mean() for lag in (1, 2, 3, 4, 8, 16, 32, 64, 64 * 512)]
    assert max(abs(float(x)) for x in (*products, (centred * other).mean())) <= 4 * (len(centred) / 2) ** -0.5


def test_a_seed_repeats_its_draw() -> None:
    tensors = drawn(7, 3, 2, 2, 5)
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(contexts(tensors[0], Attended(*tensors[1:]), 0.3))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.fixture(params=[2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(1)


def computed(heads: int) -> list[Tensor]:
    """Contexts with dropout, and all derivatives."""
    torch.manual_seed(1)
    tensors = [tensor.requires_grad_() for tensor in drawn(7, 3, 2, heads, 5)]
    found = contexts(tensors[0], Attended(*tensors[1:]), 0.3)
    return [found, *torch.autograd.grad(found.sin().sum(), tensors)]


@pytest.mark.parametrize("heads", [1, 2, 5])
def test_threads_share_the_work(threads: int, heads: int) -> None:
    """Tolerance 1e-12: sums over batch rows have another order."""
    found = computed(heads)
    torch.set_num_threads(1)
    for ours, theirs in zip(found, computed(heads), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_only_for_widths_that_vectors_divide_in_single_and_double_precision() -> None:
    x = torch.zeros(1)
    assert not native.all_attention.available(x, 17)
    assert not native.all_attention.available(x.half(), 32)
    assert not native.all_attention.available(x.bfloat16(), 32)
