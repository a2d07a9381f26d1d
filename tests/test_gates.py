"""Gates act on every path of the model, and leave no trace when they are open."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from headprune.gates import clear_mask, head_blocks, install, probing, set_gates, set_mask
from headprune.heads import HeadMask, HeadSpace, attention_points

ROUNDING = 1e-5  # fp32: fairseq's two attention paths differ by rounding

Build = Callable[..., Any]
Batch = dict[str, Any]
Logits = Callable[[Any, Batch], Tensor]
NORMS = pytest.mark.parametrize("pre_norm", [False, True], ids=["post-norm", "pre-norm"])


@pytest.fixture
def batch(make_batch: Callable[..., Batch]) -> Batch:
    return make_batch(seed=1, size=6)


@NORMS
def test_without_gates_the_model_is_the_stock_model(build: Build, batch: Batch, logits: Logits, pre_norm: bool) -> None:
    """Bit for bit, in evaluation, in training with dropout, and in the gradients."""
    ours, stock = build(pre_norm=pre_norm), build(pre_norm=pre_norm, stock=True)
    assert torch.equal(logits(ours, batch), logits(stock, batch))
    for model in (ours, stock):
        torch.manual_seed(5)
        model.train()(**batch["net_input"])[0].square().sum().backward()
    pairs = zip(ours.parameters(), stock.parameters(), strict=True)
    assert all(torch.equal(a.grad, b.grad) for a, b in pairs)


@NORMS
def test_a_mask_of_ones_is_the_stock_model(build: Build, batch: Batch, logits: Logits, pre_norm: bool) -> None:
    ours, stock = build(pre_norm=pre_norm), build(pre_norm=pre_norm, stock=True)
    set_mask(ours, HeadSpace.of(ours).full)
    assert torch.equal(logits(ours, batch), logits(stock, batch))


@NORMS
def test_gates_of_ones_differ_from_the_stock_model_by_rounding(
    build: Build, batch: Batch, logits: Logits, pre_norm: bool
) -> None:
    ours, stock = build(pre_norm=pre_norm), build(pre_norm=pre_norm, stock=True)
    for ones in (torch.ones(24), torch.ones(6, 24)):
        set_gates(ours, ones)
        torch.testing.assert_close(logits(ours, batch), logits(stock, batch), rtol=0, atol=ROUNDING)


def test_clear_mask_restores_the_model_bit_for_bit(
    build: Build, batch: Batch, logits: Logits, random_mask: Callable[..., HeadMask]
) -> None:
    model = build()
    before = logits(model, batch)
    set_mask(model, random_mask(HeadSpace.of(model), 7))
    assert not torch.allclose(logits(model, batch), before, atol=1e-2)
    clear_mask(model)
    assert torch.equal(logits(model, batch), before)


def test_the_last_mask_counts(build: Build, batch: Batch, logits: Logits, random_mask: Callable[..., HeadMask]) -> None:
    once, twice = build(), build()
    first, second = (random_mask(HeadSpace.of(once), 9, seed) for seed in (1, 2))
    set_mask(once, second)
    set_mask(twice, first)
    set_mask(twice, second)
    assert torch.equal(logits(once, batch), logits(twice, batch))


@NORMS
@pytest.mark.parametrize("head", ["encoder.1.2", "cross.0.3", "decoder.1.0"])
def test_weights_of_a_masked_head_do_not_matter(
    build: Build, batch: Batch, logits: Logits, head: str, pre_norm: bool
) -> None:
    model = build(pre_norm=pre_norm)
    space = HeadSpace.of(model)
    masked = space.keep(i for i, name in enumerate(space.names) if name != head)
    set_mask(model, masked)
    before = logits(model, batch)
    module, index = head.rsplit(".", 1)
    (attention,) = (point.module for point in attention_points(model) if point.name == module)
    rows = slice(8 * int(index), 8 * int(index) + 8)
    with torch.no_grad():
        for name in ("q_proj", "k_proj", "v_proj"):
            getattr(attention, name).weight[rows] = torch.randn(8, 32)
            getattr(attention, name).bias[rows] = torch.randn(8)
        attention.out_proj.weight[:, rows] = torch.randn(32, 8)
    assert torch.equal(logits(model, batch), before)
    set_mask(model, space.full)
    assert not torch.allclose(logits(model, batch), before, atol=1e-3)


def by_hand(attention: Any, query: Tensor, key: Tensor, gates: Tensor) -> Tensor:
    """docs/theory/notation.md#gate-placement, head by head: Σ_h m_h · C_h W_O^h + b_O.

    :param query: [tgt, batch, model]
    :param key: [src, batch, model]
    """
    result = attention.out_proj.bias.expand(query.shape).clone()
    for h, gate in enumerate(gates):
        rows = slice(h * attention.head_dim, (h + 1) * attention.head_dim)
        q, k, v = (
            torch.nn.functional.linear(x, p.weight[rows], p.bias[rows])
            for x, p in ((query, attention.q_proj), (key, attention.k_proj), (key, attention.v_proj))
        )
        weights = torch.softmax(torch.einsum("tbd,sbd->bts", q, k) / attention.head_dim**0.5, -1)
        result += gate * torch.einsum("bts,sbd->tbd", weights, v) @ attention.out_proj.weight[:, rows].t()
    return result


@pytest.mark.parametrize("position", range(6))
def test_attention_with_gates_equals_the_formula(build: Build, position: int) -> None:
    """Every module on its own, with real-valued gates."""
    model = build()
    gates = torch.rand(24)
    set_gates(model, gates)
    point = attention_points(model)[position]
    query, memory = torch.randn(3, 2, 32), torch.randn(5, 2, 32)
    with torch.no_grad():
        if point.type == "cross":
            found = point.module(query, memory, memory, static_kv=True)[0]
        else:
            memory = query
            found = point.module(query, query, query)[0]
        expected = by_hand(point.module, query, memory, gates[4 * position : 4 * position + 4])
    torch.testing.assert_close(found, expected, rtol=0, atol=ROUNDING)


@NORMS
def test_incremental_decoding_honours_the_mask(
    build: Build, batch: Batch, random_mask: Callable[..., HeadMask], pre_norm: bool
) -> None:
    """Logits step by step, with caches, equal those of one pass over the whole target."""
    model = build(pre_norm=pre_norm)
    for seed, kept in enumerate((0, 5, 12, 23)):
        set_mask(model, random_mask(HeadSpace.of(model), kept, seed))
        previous = batch["net_input"]["prev_output_tokens"]
        with torch.no_grad():
            whole = model(**batch["net_input"])[0]
            encoded = model.encoder(batch["net_input"]["src_tokens"], src_lengths=batch["net_input"]["src_lengths"])
            state: dict[str, Any] = {}
            steps = [
                model.decoder(previous[:, :end], encoder_out=encoded, incremental_state=state)[0][:, -1]
                for end in range(1, previous.shape[1] + 1)
            ]
        real = batch["target"].ne(model.decoder.dictionary.pad())
        torch.testing.assert_close(torch.stack(steps, 1)[real], whole[real], rtol=0, atol=ROUNDING)


def test_gates_per_example_equal_each_example_alone(
    build: Build, batch: Batch, logits: Logits, rebatch: Callable[..., list[Batch]]
) -> None:
    model = build()
    gates = torch.rand(6, 24, generator=torch.Generator().manual_seed(2)).round(decimals=1)
    set_gates(model, gates)
    together = logits(model, batch)
    alone = []
    for row, single in zip(gates, rebatch(batch, 1), strict=True):
        set_gates(model, row)
        alone.append(logits(model, single))
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=ROUNDING)


@pytest.mark.usefixtures("exact_softmax")
def test_gates_are_differentiable(build: Build, batch: Batch) -> None:
    """The derivative of a linear function of the logits in every gate, against central differences, within 1e-6."""
    model = build().double()
    gates = torch.rand(24, dtype=torch.float64).requires_grad_()
    pull = torch.randn_like(model(**batch["net_input"])[0])

    def loss(values: Tensor) -> Tensor:
        set_gates(model, values)
        return (pull * model(**batch["net_input"])[0]).sum()

    loss(gates).backward()
    with torch.no_grad():
        steps = 1e-4 * torch.eye(24, dtype=torch.float64)
        slopes = torch.stack([(loss(gates + step) - loss(gates - step)) / 2e-4 for step in steps])
    torch.testing.assert_close(gates.grad, slopes, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_gates_take_the_type_of_the_model(build: Build, batch: Batch, dtype: torch.dtype) -> None:
    model = build().to(dtype)
    set_gates(model, torch.rand(24, dtype=torch.float64))
    assert model(**batch["net_input"])[0].dtype == dtype


@pytest.mark.parametrize("count", [23, 25, 1])
def test_a_wrong_number_of_gates_is_refused(build: Build, count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} gates for a model with 24 heads"):
        set_gates(build(), torch.ones(count))


def test_a_mask_of_another_space_is_refused(build: Build, batch: Batch, logits: Logits) -> None:
    model = build()
    before = logits(model, batch)
    names = list(HeadSpace.of(model).names)
    for other in (names[:-1], names[::-1], [*names[:-1], "decoder.1.9"]):
        with pytest.raises(ValueError, match="a mask of another model"):
            set_mask(model, HeadMask(HeadSpace.from_names(other), [0] * len(other)))
    assert torch.equal(logits(model, batch), before)


def test_state_dict_keeps_its_keys_and_tensors(build: Build, random_mask: Callable[..., HeadMask]) -> None:
    stock = build(stock=True)
    ours = build()
    weights = stock.state_dict()

    def same() -> bool:
        found = ours.state_dict()
        return list(found) == list(weights) and all(torch.equal(found[key], weights[key]) for key in weights)

    assert same()
    set_mask(ours, random_mask(HeadSpace.of(ours), 5))
    assert same()
    clear_mask(ours)
    assert same()
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in stock.named_parameters()]


def test_gates_go_into_a_stock_model_too(build: Build, batch: Batch, logits: Logits) -> None:
    """They have the same effect, and keep the very parameters that an optimiser may hold already."""
    ours, stock = build(), build(stock=True)
    held = list(stock.parameters())
    mask = HeadSpace.of(ours).keep(range(0, 24, 3))
    for model in (ours, stock):
        set_mask(model, mask)
    assert torch.equal(logits(ours, batch), logits(stock, batch))
    assert all(a is b for a, b in zip(held, stock.parameters(), strict=True))


def test_installing_twice_changes_nothing(build: Build) -> None:
    model = build(stock=True)
    first = [point.module.out_proj for point in install(model)]
    assert all(a is b.module.out_proj for a, b in zip(first, install(model), strict=True))


def test_a_masked_model_can_be_copied(build: Build, batch: Batch, logits: Logits) -> None:
    """The copy has the mask and weights of its own."""
    model = build()
    set_mask(model, HeadSpace.of(model).keep([0, 5, 9, 17]))
    masked = logits(model, batch)
    twin = copy.deepcopy(model)
    clear_mask(model)
    for parameter in model.parameters():
        parameter.data.zero_()
    assert torch.equal(logits(twin, batch), masked)


def test_probing_opens_and_closes(build: Build, batch: Batch, logits: Logits) -> None:
    """One leaf per module, of shape (tgt or src, batch, heads); afterwards the model is as it was."""
    model = build()
    before = logits(model, batch)
    source, target = batch["net_input"]["src_tokens"].shape[1], batch["target"].shape[1]
    with probing(model) as points:
        model(**batch["net_input"])
        shapes = [tuple(point.module.out_proj.probes[0].shape) for point in points]
        assert all(point.module.out_proj.probes[0].is_leaf for point in points)
    assert shapes == [(source, 6, 4)] * 2 + [(target, 6, 4)] * 4
    assert torch.equal(logits(model, batch), before)


def test_probing_ends_after_an_error(build: Build, batch: Batch, logits: Logits) -> None:
    model = build()
    before = logits(model, batch)
    with pytest.raises(RuntimeError, match="stop"), probing(model):
        raise RuntimeError("stop")
    assert torch.equal(logits(model, batch), before)
    assert all(point.module.out_proj.probes is None for point in attention_points(model))


def test_head_blocks_are_the_slices_of_the_weights(build: Build) -> None:
    attention = attention_points(build())[2].module
    blocks = head_blocks(attention)
    assert {name: tuple(block.shape) for name, block in blocks.items()} == dict.fromkeys("qkvo", (4, 8, 32))
    for h in range(4):
        rows = slice(8 * h, 8 * h + 8)
        assert torch.equal(blocks["q"][h], attention.q_proj.weight[rows])
        assert torch.equal(blocks["k"][h], attention.k_proj.weight[rows])
        assert torch.equal(blocks["v"][h], attention.v_proj.weight[rows])
        assert torch.equal(blocks["o"][h], attention.out_proj.weight[:, rows].t())
