"""Head spaces, masks and budgets, by hand and on fairseq's own models."""

from __future__ import annotations

import itertools
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from fairseq.models.transformer_lm import TransformerLanguageModel, TransformerLanguageModelConfig
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from headprune.heads import TYPES, Budget, Head, HeadMask, HeadSpace, Scope, attention_points
from headprune.method import Ranking
from headprune.removal import remove_heads

SPACE = HeadSpace.from_names(["encoder.0.0", "encoder.0.1", "cross.0.0", "cross.0.1", "cross.1.0", "decoder.0.0"])


class Attention(nn.Module):
    """An attention module as `attention_points` sees it."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.num_heads, self.out_proj = heads, nn.Linear(4, 4)


def layers(count: int, **heads: int) -> nn.ModuleList:
    return nn.ModuleList(nn.ModuleDict({name: Attention(n) for name, n in heads.items()}) for _ in range(count))


@pytest.mark.parametrize("stock", [True, False])
def test_order_is_encoder_cross_decoder_each_by_layer_and_head(build: Callable[..., Any], stock: bool) -> None:
    expected = [f"{kind}.{layer}.{h}" for kind in ("encoder", "cross", "decoder") for layer in (0, 1) for h in range(4)]
    space = HeadSpace.of(build(stock=stock))
    assert list(space.names) == expected
    assert len(space) == 24
    assert space.modules == ("encoder.0", "encoder.1", "cross.0", "cross.1", "decoder.0", "decoder.1")
    assert space.module_of == tuple(position for position in range(6) for _ in range(4))


def test_paths_lead_to_the_modules(build: Callable[..., Any]) -> None:
    model = build(stock=True)
    for point in attention_points(model):
        side = "encoder" if point.type == "encoder" else "decoder"
        attribute = "encoder_attn" if point.type == "cross" else "self_attn"
        assert point.path == f"{side}.layers.{point.layer}.{attribute}"
        assert point.module is getattr(getattr(model, side).layers[point.layer], attribute)


def test_layers_are_ordered_as_numbers_not_as_text() -> None:
    model = nn.ModuleDict({"encoder": layers(12, self_attn=1)})
    assert HeadSpace.of(model).names == tuple(f"encoder.{layer}.0" for layer in range(12))


def test_modules_may_differ_in_their_number_of_heads() -> None:
    parts = {"decoder": layers(1, self_attn=1, encoder_attn=3), "encoder": layers(1, self_attn=2)}
    space = HeadSpace.of(nn.ModuleDict(parts))
    assert space.module_of == (0, 0, 1, 1, 1, 2)
    assert space.modules == ("encoder.0", "cross.0", "decoder.0")


def test_language_model_has_decoder_heads_only(task: Namespace) -> None:
    cfg = TransformerLanguageModelConfig(decoder_embed_dim=16, decoder_layers=2, decoder_attention_heads=2)
    cfg.decoder_input_dim = cfg.decoder_output_dim = cfg.decoder_ffn_embed_dim = 16
    cfg.tokens_per_sample = cfg.max_target_positions = 16
    model = TransformerLanguageModel.build_model(cfg, task)
    assert HeadSpace.of(model).names == ("decoder.0.0", "decoder.0.1", "decoder.1.0", "decoder.1.1")


def test_space_of_a_pruned_model_holds_the_kept_names(build: Callable[..., Any], random_mask: Callable[..., Any]):
    model = build()
    for kept in (0, 1, 5, 12, 23, 24):
        mask = random_mask(HeadSpace.of(model), kept, seed=kept)
        assert HeadSpace.of(remove_heads(model, mask)).names == mask.names()


def test_model_without_attention_is_refused() -> None:
    with pytest.raises(ValueError, match="Linear has no attention module"):
        HeadSpace.of(nn.Linear(2, 2))


def test_names_and_space_are_a_round_trip() -> None:
    assert HeadSpace.from_names(SPACE.names) == SPACE
    assert HeadSpace.from_names(reversed(SPACE.names)) != SPACE
    assert next(iter(SPACE)) == Head("encoder", 0, 0)
    assert Head("cross", 2, 1).name == "cross.2.1"
    assert Head("cross", 2, 1).module == "cross.2"


@given(
    st.lists(st.builds(Head, st.sampled_from(["encoder", "cross", "decoder"]), *[st.integers(0, 99)] * 2), unique=True)
)
def test_any_names_are_a_round_trip(heads: list[Head]) -> None:
    assert HeadSpace.from_names(head.name for head in heads).heads == tuple(heads)


@pytest.mark.parametrize("name", ["encoder.0", "encoder.0.x", "self.0.0", "encoder.-1.0", "Encoder.0.0", "cross.1.2.3"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not `type.layer.head`"):
        HeadSpace.from_names([name])


def test_repeated_heads_are_refused() -> None:
    with pytest.raises(ValueError, match="repeated"):
        HeadSpace.from_names(["cross.0.0", "cross.0.0"])


@pytest.mark.parametrize(
    "values", [(1, 0, 1, 1, 0, 0), [1.0, 0.0, 1.0, 1.0, 0.0, 0.0], [True, False, True, True, 0, 0]]
)
@pytest.mark.parametrize("kind", [tuple, list, np.array, torch.tensor])
def test_masks_of_all_sorts_of_numbers(values: Any, kind: Callable[[Any], Any]) -> None:
    mask = HeadMask(SPACE, kind(values))
    assert mask.keep == (1, 0, 1, 1, 0, 0)
    assert all(type(value) is int for value in mask.keep)
    assert mask == HeadMask(SPACE, (1, 0, 1, 1, 0, 0))
    assert hash(mask) == hash(HeadMask(SPACE, (1, 0, 1, 1, 0, 0)))


@pytest.mark.parametrize("bad", [2, -1, 0.5, 1e-9, float("nan"), float("inf"), "1", "x", None, [1]])
def test_masks_hold_zeros_and_ones_only(bad: Any) -> None:
    with pytest.raises(ValueError, match="zeros and ones only"):
        HeadMask(SPACE, [1, 0, bad, 1, 0, 0])


@pytest.mark.parametrize("keep", [torch.tensor([1, 0, 1, 1, 0, 0.5]), np.array([1, 0, 1, 1, 0, 2]), "101100"])
def test_whole_values_of_other_kinds_are_refused(keep: Any) -> None:
    with pytest.raises(ValueError, match="zeros and ones only"):
        HeadMask(SPACE, keep)


@pytest.mark.parametrize("keep", [[], [1] * 5, [1] * 7, torch.ones(2, 6), np.ones((3, 2))])
def test_masks_have_the_length_of_their_space(keep: Any) -> None:
    with pytest.raises(ValueError, match="a mask over 6 heads needs 6 values, got"):
        HeadMask(SPACE, keep)


def test_what_a_mask_tells() -> None:
    mask = HeadMask(SPACE, (1, 0, 1, 1, 0, 0))
    assert mask.count == 3
    assert mask.names() == ("encoder.0.0", "cross.0.0", "cross.0.1")
    assert mask.per_module() == {"encoder.0": 1, "cross.0": 2, "cross.1": 0, "decoder.0": 0}
    assert mask.kept_indices() == {"encoder.0": (0,), "cross.0": (0, 1), "cross.1": (), "decoder.0": ()}


def test_kept_indices_are_the_original_ones() -> None:
    mask = HeadMask(HeadSpace.from_names(["encoder.0.2", "encoder.0.5"]), (0, 1))
    assert mask.kept_indices() == {"encoder.0": (5,)}


def test_full_mask_and_positions() -> None:
    assert SPACE.full.count == 6
    assert SPACE.keep(range(6)) == SPACE.full
    assert SPACE.keep([5, 0, 5]).keep == (1, 0, 0, 0, 0, 1)
    assert SPACE.keep([]).count == 0
    for positions in ([6], [-1]):
        with pytest.raises(ValueError, match="not all within 0…5"):
            SPACE.keep(positions)


@given(st.lists(st.booleans(), min_size=len(SPACE), max_size=len(SPACE)))
def test_counts_agree(keep: list[bool]) -> None:
    mask = HeadMask(SPACE, keep)
    assert mask.count == sum(keep) == len(mask.names()) == sum(mask.per_module().values())
    assert SPACE.keep(i for i, kept in enumerate(keep) if kept) == mask


def test_masks_without_one_head_and_with_one_head_of_a_module() -> None:
    space = HeadSpace.from_names(["encoder.0.0", "encoder.0.1", "encoder.0.2", "cross.1.0", "cross.1.1"])
    assert [mask.keep for mask in space.drop_one()] == [
        (0, 1, 1, 1, 1),
        (1, 0, 1, 1, 1),
        (1, 1, 0, 1, 1),
        (1, 1, 1, 0, 1),
        (1, 1, 1, 1, 0),
    ]
    assert [mask.keep for mask in space.keep_one()] == [
        (1, 0, 0, 1, 1),
        (0, 1, 0, 1, 1),
        (0, 0, 1, 1, 1),
        (1, 1, 1, 1, 0),
        (1, 1, 1, 0, 1),
    ]


@pytest.mark.parametrize("kept", [-1, 5])
def test_budgets_outside_the_model_are_refused(kept: int) -> None:
    with pytest.raises(ValueError, match=f"budget {kept} is outside 0…4"):
        Budget(kept, 4)


@pytest.mark.parametrize("kept", [True, 2.0, "2", None])
def test_budgets_are_whole_numbers(kept: Any) -> None:
    with pytest.raises(ValueError, match="whole number of heads"):
        Budget(kept, 4)


# scopes, by brute force over all masks of a small space

UNEVEN = HeadSpace.from_names(
    ["encoder.0.0", "encoder.0.1", "encoder.0.2", "cross.0.0", "cross.0.1", "cross.1.0", "decoder.0.0", "decoder.0.1"]
)
scopes = st.builds(
    Scope,
    st.lists(st.sampled_from(TYPES), min_size=1, unique=True).map(tuple),
    st.integers(0, 4),
)
orders = st.permutations(range(len(UNEVEN)))
masks = st.lists(st.booleans(), min_size=len(UNEVEN), max_size=len(UNEVEN)).map(lambda keep: HeadMask(UNEVEN, keep))


def permitted(scope: Scope, mask: HeadMask) -> bool:
    """True by the definition: no head of another type is gone, no module is below its minimum, or its size."""
    sizes, kept = UNEVEN.full.per_module(), mask.per_module()
    for module, size in sizes.items():
        least = min(scope.min_per_module, size) if module.split(".")[0] in scope.types else size
        if kept[module] < least:
            return False
    return True


ALL_MASKS = [HeadMask(UNEVEN, keep) for keep in itertools.product((0, 1), repeat=len(UNEVEN))]


@given(scopes, masks)
def test_a_scope_allows_what_its_definition_allows(scope: Scope, mask: HeadMask) -> None:
    assert scope.allows(mask) == permitted(scope, mask)


@given(scopes)
def test_candidates_subspace_and_the_smallest_budget(scope: Scope) -> None:
    positions = [i for i, name in enumerate(UNEVEN.names) if name.split(".")[0] in scope.types]
    assert list(scope.candidates(UNEVEN)) == positions
    assert scope.subspace(UNEVEN).names == tuple(UNEVEN.names[i] for i in positions)
    assert scope.smallest(UNEVEN) == min(mask.count for mask in ALL_MASKS if permitted(scope, mask))


@given(scopes, orders, masks)
def test_an_order_of_removal_skips_what_a_scope_protects(scope: Scope, removal: list[int], mask: HeadMask) -> None:
    """One by one: a head goes if the mask without it is allowed where the mask with it was left of `kept`."""
    kept = {i for i, keep in enumerate(mask.keep) if keep}
    left, gone = set(kept), list[int]()
    for head in (head for head in removal if head in kept):
        others = [i for i in left - {head} if UNEVEN.heads[i].module == UNEVEN.heads[head].module]
        if UNEVEN.heads[head].type in scope.types and len(others) >= scope.min_per_module:
            left.remove(head)
            gone.append(head)
    assert scope.order(UNEVEN, [head for head in removal if head in kept], kept) == tuple(gone)


@given(scopes, orders, st.integers(0, len(UNEVEN)))
def test_a_ranking_is_cut_to_the_best_mask_that_a_scope_allows(scope: Scope, removal: list[int], budget: int) -> None:
    """It is the one whose heads go last, compared from the last one on, of all masks with K heads that are allowed."""
    ranking, place = Ranking(UNEVEN, tuple(removal)), {head: i for i, head in enumerate(removal)}

    def worth(mask: HeadMask) -> int:
        return sum(2 ** place[i] for i, keep in enumerate(mask.keep) if keep)

    allowed = [mask for mask in ALL_MASKS if mask.count == budget and permitted(scope, mask)]
    if not allowed:
        with pytest.raises(ValueError, match=f"budget {budget} is less than the {scope.smallest(UNEVEN)} heads"):
            ranking.mask(budget, scope)
        return
    found = ranking.mask(budget, scope)
    assert found == max(allowed, key=worth)
    assert found.count == budget


def test_the_heads_of_a_minimum_are_the_last_of_their_module() -> None:
    ranking = Ranking(UNEVEN, (2, 0, 1, 4, 3, 5, 7, 6))
    scope = Scope(("encoder", "cross"), 1)
    assert ranking.mask(5, scope).names() == ("encoder.0.1", "cross.0.0", "cross.1.0", "decoder.0.0", "decoder.0.1")


@given(scopes, st.data())
def test_a_mask_over_the_scope_is_one_over_the_model(scope: Scope, data: st.DataObject) -> None:
    inside = scope.subspace(UNEVEN)
    keep = data.draw(st.lists(st.booleans(), min_size=len(inside), max_size=len(inside)))
    whole = scope.embed(HeadMask(inside, keep), UNEVEN)
    wanted = dict.fromkeys(UNEVEN.names, 1) | dict(zip(inside.names, map(int, keep), strict=True))
    assert whole == HeadMask(UNEVEN, list(wanted.values()))


def test_no_scope_is_all_heads() -> None:
    assert Scope().candidates(UNEVEN) == tuple(range(len(UNEVEN)))
    assert Scope().subspace(UNEVEN) == UNEVEN
    assert Scope().smallest(UNEVEN) == 0
    assert Scope(min_per_module=1).smallest(UNEVEN) == len(UNEVEN.modules)


@pytest.mark.parametrize(
    ("types", "least", "message"),
    [
        (("decodr",), 0, "encoder, cross, decoder; got 'decodr'"),
        (("cross", "self"), 0, "encoder, cross, decoder; got 'self'"),
        ((), 0, "encoder, cross, decoder; got none"),
        (("cross",), -1, "min_per_module is -1; it must not be negative"),
    ],
)
def test_bad_scopes_are_refused(types: tuple[str, ...], least: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Scope(types, least)
