"""`headprune.prune`: masked equals removed on every family, exactly K heads, and nothing else is touched."""

from __future__ import annotations

import copy
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from model_families import FAMILIES, family
from torch import Tensor, nn

import headprune
from headprune.amounts import heads_to_keep
from headprune.check.families import FAMILIES as CHECKED
from headprune.cost import macs, parameters
from headprune.gates import clear_mask, set_mask
from headprune.heads import HeadSpace, attention_points
from headprune.importance import forget
from headprune.method import Ranking, load_methods
from headprune.pruning import PrunedModel
from headprune.pruning.choosing import places_of

TOLERANCE = 1e-5  # of logits, fp32
Build = Callable[..., Any]
Batch = dict[str, Any]

__all__ = ["family"]  # a fixture


def outputs(model: Any, batch: Batch) -> Tensor:
    """The output of a model for a batch, from an empty memory."""
    forget(model)
    with torch.no_grad():
        found = model(**batch["net_input"])
    forget(model)
    return found if isinstance(found, Tensor) else found[0]


def assert_masked_equals_removed(model: Any, batches: list[Batch], result: PrunedModel) -> None:
    set_mask(model, result.mask)
    for batch in batches:
        kept = batch["target"].ne(1) if batch["target"].dim() > 1 else slice(None)
        found, expected = outputs(result.model, batch)[kept], outputs(model, batch)[kept]
        torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)
    clear_mask(model)


@pytest.mark.parametrize("family", FAMILIES, indirect=True)
@pytest.mark.parametrize("keep", [0, 1, "60%", "100%"])
def test_masked_equals_removed_on_every_family(family: tuple[Any, list[Batch]], keep: int | str) -> None:
    model, batches = family
    result = headprune.prune(model, batches, keep=keep)
    assert result.mask.count == heads_to_keep(keep, len(HeadSpace.of(model)))
    assert HeadSpace.of(result.model).names == result.mask.names()
    assert result.masked_vs_removed < 1e-4  # nats, of examples of up to eight words
    assert_masked_equals_removed(model, batches, result)


def test_masked_equals_removed_with_a_memory() -> None:
    tiny = next(kind for kind in CHECKED if kind.name == "all-attention")
    model, batches = tiny.model(), tiny.batches()
    result = headprune.prune(model, batches, "magnitude", 2)
    assert_masked_equals_removed(model, batches, result)
    assert result.macs[1] < result.macs[0]


SCORES = [entry.name for entry in load_methods().values() if entry.kind == "score" and entry.method.prunes]


@pytest.mark.parametrize("method", SCORES)
def test_every_score_method_prunes(method: str) -> None:
    """Exactly K heads are left, and every method says something of every head, unless it searches for masks alone."""
    tiny = CHECKED[0]
    model, batches = tiny.model(), tiny.batches()
    result = headprune.prune(model, batches, method, 4)
    assert len(HeadSpace.of(result.model)) == result.mask.count == 4
    assert method == "evolutionary" if result.scores is None else result.scores.shape == (10,)


def test_weights_that_make_up_for_heads_are_taken_over(build: Build, batches: list[Batch]) -> None:
    """The method of the contract gives the mask and the weights; the same, applied by hand, give the same logits."""
    model = build()
    entry = load_methods()["fluctuation"]
    generator = torch.Generator().manual_seed(1)
    found = entry.method(entry.options({})).masks(model, batches, [9], generator)[9]
    whole = copy.deepcopy(model)
    for point in attention_points(whole):
        if point.name in found.outputs:
            point.module.out_proj.bias.data.copy_(found.outputs[point.name].bias)
    result = headprune.prune(model, batches, "fluctuation", 9)
    assert result.mask == found.mask
    assert_masked_equals_removed(whole, batches, result)


def test_scores_and_places_agree_with_the_mask(build: Build, batches: list[Batch]) -> None:
    """The K highest are kept, of scores and of places in an order of removal."""
    for method in ("magnitude", "gradient_importance"):
        result = headprune.prune(build(), batches, method, 7)
        assert result.scores is not None
        best = sorted(range(24), key=lambda head, of=result.scores: (-of[head].item(), head))[:7]
        assert result.mask == result.mask.space.keep(best)


def test_sizes_are_counted_before_and_after(build: Build, batches: list[Batch]) -> None:
    """4·d·d_h + 3·d_h parameters a head (docs/theory/removal.md#accounting); MACs at the mean lengths of all examples,
    the end of the sentence included."""
    model = build()
    result = headprune.prune(model, batches, "random", 10)
    assert result.parameters == (parameters(model), parameters(model) - 14 * (4 * 32 * 8 + 3 * 8))
    sources = torch.cat([batch["net_input"]["src_lengths"] for batch in batches]).double()
    targets = torch.cat([batch["target"].ne(1).sum(1) for batch in batches]).double()
    lengths = round(sources.mean().item()), round(targets.mean().item())
    assert result.macs == (macs(model, *lengths), macs(result.model, *lengths))


def test_the_model_that_was_given_is_left_whole(
    build: Build, batches: list[Batch], unchanged: Callable[[Any], Any]
) -> None:
    """Its weights, gradients and modes, also where modules are in different ones; a mask that was set is taken off."""
    model = build().train()
    model.decoder.eval()
    expected = outputs(build(), batches[0])
    set_mask(model, HeadSpace.of(model).keep([1]))
    with unchanged(model):
        result = headprune.prune(model, batches, "fisher", 5)
    assert result.model.training
    assert not {id(p) for p in model.parameters()} & {id(p) for p in result.model.parameters()}
    assert torch.equal(outputs(model.eval(), batches[0]), expected)


@pytest.mark.parametrize("method", ["gradient_importance", "fisher"])
def test_pruning_in_place_gives_the_same_model(build: Build, batches: list[Batch], method: str) -> None:
    model = build()
    copied = headprune.prune(model, batches, method, 5)
    result = headprune.prune(model, batches, method, 5, inplace=True)
    assert result.model is model
    assert result.mask == copied.mask
    assert result.parameters == copied.parameters
    assert torch.equal(outputs(model, batches[0]), outputs(copied.model, batches[0]))


def test_a_pruned_model_is_pruned_further(build: Build, batches: list[Batch]) -> None:
    half = headprune.prune(build(), batches, keep=12).model
    result = headprune.prune(half, batches, keep="50%")
    assert result.mask.count == 6
    assert set(result.mask.names()) < set(HeadSpace.of(half).names)
    assert_masked_equals_removed(half, batches, result)


def test_types_and_minimum_protect_heads(build: Build, batches: list[Batch]) -> None:
    result = headprune.prune(build(), batches, keep=6, min_per_module=1)
    assert set(result.mask.per_module().values()) == {1}
    result = headprune.prune(build(), batches, keep=16, types=["encoder"])
    assert result.mask.per_module() == dict.fromkeys(result.mask.space.modules, 4) | {"encoder.0": 0, "encoder.1": 0}


def test_equal_seeds_give_equal_masks_and_the_global_random_numbers_stay(build: Build, batches: list[Batch]) -> None:
    model, state = build(), torch.get_rng_state()  # building draws
    masks = [headprune.prune(model, batches, "random", 5, seed=seed).mask for seed in (1, 1, 2)]
    assert masks[0] == masks[1] != masks[2]
    assert torch.equal(torch.get_rng_state(), state)


@given(st.integers(0, 500), st.integers(0, 1000))
def test_shares_are_rounded_to_the_nearest_head_halves_up(total: int, tenths: int) -> None:
    """Exact fractions: no other number of heads is nearer, and of two that are equally near it is the larger."""
    share = Fraction(tenths, 1000)
    kept = heads_to_keep(f"{tenths / 10}%", total)
    assert 0 <= kept <= total
    assert -Fraction(1, 2) <= share * total - kept < Fraction(1, 2)


@given(st.integers(0, 500), st.data())
def test_numbers_are_taken_as_they_are(total: int, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, total))
    assert heads_to_keep(number, total) == heads_to_keep(str(number), total) == number
    assert heads_to_keep(np.int64(number), total) == number  # type: ignore[arg-type]


@given(st.permutations(range(9)))
def test_places_are_the_order_of_removal_read_backwards(order: list[int]) -> None:
    """The head at place i is the one that goes as number i; the masks of the ranking keep the highest places."""
    space = HeadSpace.from_names([f"encoder.{layer}.{head}" for layer in range(3) for head in range(3)])
    ranking = Ranking(space, tuple(order))
    places = places_of(ranking)
    assert [int(places[head]) for head in order] == list(range(9))
    assert all(
        ranking.mask(kept) == space.keep((places >= 9 - kept).nonzero().flatten().tolist()) for kept in range(10)
    )


class OwnAttention(nn.Module):
    """Causal self-attention in plain torch, in fairseq's shape."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.num_heads, self.head_dim = heads, width // heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, query: Tensor) -> tuple[Tensor, None]:
        split = (len(query), query.shape[1], self.num_heads, self.head_dim)
        q, k, v = (p(query).view(split).permute(1, 2, 0, 3) for p in (self.q_proj, self.k_proj, self.v_proj))
        context = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(context.permute(2, 0, 1, 3).flatten(2)), None


class OwnModel(nn.Module):
    """A language model that knows nothing of fairseq."""

    padding_idx = 1

    def __init__(self, attention: Callable[[], nn.Module], layers: int = 2) -> None:
        super().__init__()
        self.embedding, self.output = nn.Embedding(44, 16), nn.Linear(16, 44)
        self.layers = nn.ModuleList(nn.ModuleDict({"attention": attention()}) for _ in range(layers))

    def forward(self, src_tokens: Tensor) -> Tensor:
        x = self.embedding(src_tokens).transpose(0, 1)
        for layer in self.layers:
            x = x + layer["attention"](x)[0]
        return self.output(x.transpose(0, 1))

    def get_normalized_probs(self, output: Tensor, log_probs: bool) -> Tensor:
        return output.log_softmax(-1)


def own_batches(batches: list[Batch]) -> list[Batch]:
    return [
        {"net_input": {"src_tokens": batch["net_input"]["prev_output_tokens"]}, "target": batch["target"]}
        for batch in batches
    ]


def test_a_model_that_knows_nothing_of_fairseq(batches: list[Batch]) -> None:
    torch.manual_seed(1)
    model, batches = OwnModel(lambda: OwnAttention(16, 4)).eval(), own_batches(batches)
    for keep in (0, 3, 8):
        assert_masked_equals_removed(model, batches, headprune.prune(model, batches, keep=keep))


class Fused(nn.Module):
    """torch's own attention, positions first."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(16, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return self.inner(x, x, x)[0], None


class BatchFirst(OwnAttention):
    """A module that has the batch first where it calls its output projection."""

    def forward(self, query: Tensor) -> tuple[Tensor, None]:
        split = (len(query), query.shape[1], self.num_heads, self.head_dim)
        context = self.v_proj(query).view(split).permute(1, 0, 2, 3)
        return self.out_proj(context.flatten(2)).transpose(0, 1), None


class Uncalled(OwnAttention):
    """A module that reads the weights of its output projection and does not call it."""

    def forward(self, query: Tensor) -> tuple[Tensor, None]:
        return nn.functional.linear(self.v_proj(query), self.out_proj.weight), None


class Unscaled(OwnAttention):
    """A module whose function is one of the number of its heads."""

    def forward(self, query: Tensor) -> tuple[Tensor, None]:
        return self.out_proj(self.v_proj(query)) * self.num_heads, None


SHARED = OwnAttention(16, 4)
MODELS = {
    "no attention": (lambda: nn.Sequential(nn.Linear(2, 2), nn.LSTM(2, 2)), "no attention module.*1 Linear, 1 LSTM"),
    "no module": (lambda: {"encoder": 1}, "the model is a dict"),
    "projections in one": (lambda: OwnModel(Fused), "MultiheadAttention, has no q_proj, k_proj, v_proj"),
    "shared": (lambda: OwnModel(lambda: SHARED), r"layers\.0\.attention and layers\.1\.attention are one"),
    "batch first": (lambda: OwnModel(lambda: BatchFirst(16, 4)), "positions first as in fairseq"),
    "projection not called": (lambda: OwnModel(lambda: Uncalled(16, 4)), "does not call its `out_proj`"),
    "heads counted": (lambda: OwnModel(lambda: Unscaled(16, 4)), "computes something else than with them silenced"),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_of_another_shape_are_refused(batches: list[Batch], name: str) -> None:
    build, message = MODELS[name]
    with pytest.raises((ValueError, TypeError), match=message):
        headprune.prune(build(), own_batches(batches), "gradient_importance", 1)  # type: ignore[arg-type]


def test_what_a_model_lacks_is_named(batches: list[Batch], monkeypatch: pytest.MonkeyPatch) -> None:
    model = OwnModel(lambda: OwnAttention(16, 4))
    monkeypatch.delattr(OwnModel, "get_normalized_probs")
    with pytest.raises(ValueError, match=r"OwnModel has no `get_normalized_probs\(output, log_probs\)`"):
        headprune.prune(model, own_batches(batches), "magnitude", 4)


def test_two_modules_of_one_place_are_refused(batches: list[Batch]) -> None:
    pair = nn.ModuleDict({"left": OwnAttention(16, 4), "right": OwnAttention(16, 4)})
    with pytest.raises(ValueError, match="left and right are both encoder.0"):
        headprune.prune(pair, own_batches(batches), keep=1)


def test_models_that_are_none_or_silence_heads_themselves_are_refused(build: Build, batches: list[Batch]) -> None:
    several = nn.Module()
    several.models = nn.ModuleList([build(), build()])
    with pytest.raises(ValueError, match="holds 2: prune one of its `models`"):
        headprune.prune(several, batches, keep=1)
    gated = build(gate_method="dsp", gate_budget=5, gate_total_updates=10)
    with pytest.raises(ValueError, match="silences heads itself, by its `gate_method`"):
        headprune.prune(gated, batches, keep=1)


def test_losses_that_are_no_numbers_are_refused(build: Build, batches: list[Batch]) -> None:
    model = build()
    model.decoder.layers[0].fc1.bias.data[0] = float("nan")
    with pytest.raises(ValueError, match="not all finite"):
        headprune.prune(model, batches, keep=1)


def test_a_model_without_heads_has_nothing_to_prune(build: Build, batches: list[Batch]) -> None:
    empty = headprune.prune(build(), batches, keep=0).model
    with pytest.raises(ValueError, match="no heads left"):
        headprune.prune(empty, batches, keep=0)


CALLS = {
    "a name with a slip": ({"method": "gradient_importanse"}, "did you mean 'gradient_importance'"),
    "gates": ({"method": "dsp"}, "learns its gates while a model trains.*confidence, drop_one"),
    "the reference": ({"method": "unpruned"}, "removes nothing; available: confidence"),
    "an option with a slip": ({"estimater": "batch"}, "did you mean 'estimator'"),
    "an option's value": ({"estimator": "bach"}, "available: example, position"),
    "too many": ({"keep": 25}, "outside 0…24"),
    "fewer than none": ({"keep": -1}, "takes a number of heads"),
    "a fraction": ({"keep": 0.6}, "'60%'"),
    "a flag": ({"keep": True}, "takes a number of heads"),
    "words": ({"keep": "half"}, "takes a number of heads"),
    "more than all": ({"keep": "101%"}, "within 0%…100%"),
    "protected heads": ({"keep": 5, "min_per_module": 1}, "less than the 6 heads that types and min_per_module"),
    "a type": ({"types": ["encoders"]}, "types are encoder, cross, decoder"),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls_that_cannot_be_done_are_refused_before_anything_is_computed(build: Build, name: str) -> None:
    """There is no forward pass: the batch would not survive one."""
    arguments, message = CALLS[name]
    with pytest.raises(ValueError, match=message):
        headprune.prune(build(), [{"net_input": {"src_tokens": 0}, "target": torch.zeros(1)}], **arguments)


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ({"net_input": {}, "target": 1}, "put it into a list"),
        ([], "batches are empty"),
        ([[1]], "batch 0 has list"),
        ([{"net_input": {}}], "needs `net_input`"),
    ],
)
def test_batches_of_another_shape_are_refused(build: Build, batches: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        headprune.prune(build(), batches, keep=3)


def test_batches_may_be_an_iterator(build: Build, batches: list[Batch]) -> None:
    assert headprune.prune(build(), iter(batches), keep=3).mask == headprune.prune(build(), batches, keep=3).mask
