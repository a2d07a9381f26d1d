"""The four estimators against finite differences, loops over examples, and the contexts themselves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from fairseq.data import Dictionary
from model_families import classifier, for_classifier, for_language_model, language_model
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from headprune.gates import clear_mask, set_gates, set_mask
from headprune.heads import HeadMask, HeadSpace, attention_points
from headprune.importance import (
    ESTIMATORS,
    example_losses,
    gate_gradients,
    head_importance,
    normalise_per_module,
    padding_index,
)
from headprune.removal import remove_heads
from tests.found import Found, rows

Build = Callable[..., Any]
Batch = dict[str, Any]
Rebatch = Callable[..., list[Batch]]
SIZE = 5  # examples of the batch

pytestmark = pytest.mark.usefixtures("exact_softmax")


@pytest.fixture
def model(build: Build) -> Any:
    return build(seed=3).double()


@pytest.fixture
def batch(make_batch: Callable[..., Batch]) -> Batch:
    return make_batch(seed=4, size=SIZE, longest=7)


def losses(model: Any, batch: Batch) -> Tensor:
    """Cross-entropy of each example by torch's own function (batch,)."""
    logits = model(**batch["net_input"])[0]
    pad = model.decoder.dictionary.pad()
    return F.cross_entropy(logits.transpose(1, 2), batch["target"], ignore_index=pad, reduction="none").sum(1)


def slopes(model: Any, batch: Batch, at: Tensor) -> Tensor:
    """Central differences of every example's loss in every gate, around the gates `at` (batch, N)."""
    step, columns = 1e-4, []
    with torch.no_grad():
        for position in range(len(at)):
            ends = []
            for sign in (1, -1):
                gates = at.clone()
                gates[position] += sign * step
                set_gates(model, gates)
                ends.append(losses(model, batch))
            columns.append((ends[0] - ends[1]) / (2 * step))
    clear_mask(model)
    return torch.stack(columns, 1)


def test_example_losses_are_cross_entropies(model: Any, batch: Batch) -> None:
    with torch.no_grad():
        torch.testing.assert_close(example_losses(model, batch), losses(model, batch), rtol=1e-12, atol=0)
    assert padding_index(model) == model.decoder.dictionary.pad() == 1


@pytest.mark.parametrize("pre_norm", [False, True], ids=["post-norm", "pre-norm"])
def test_example_and_signed_equal_finite_differences(build: Build, batch: Batch, pre_norm: bool) -> None:
    """Relative 1e-6 in float64; step 1e-4."""
    model = build(seed=3, pre_norm=pre_norm).double()
    expected = slopes(model, batch, torch.ones(24, dtype=torch.float64))
    found = head_importance(model, [batch], "example")
    torch.testing.assert_close(found, expected.abs().mean(0), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(head_importance(model, [batch], "signed"), expected.mean(0), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(head_importance(model, [batch], "batch"), expected.mean(0).abs(), rtol=1e-6, atol=1e-8)


def test_under_a_mask_it_is_the_slope_at_the_mask(
    model: Any, batch: Batch, random_mask: Callable[..., HeadMask]
) -> None:
    """Masked heads have one, too: the slope of opening them again."""
    mask = random_mask(HeadSpace.of(model), 10, seed=1)
    expected = slopes(model, batch, torch.tensor(mask.keep, dtype=torch.float64)).abs().mean(0)
    set_mask(model, mask)
    torch.testing.assert_close(head_importance(model, [batch]), expected, rtol=1e-6, atol=1e-8)


def test_mask_is_still_set_afterwards(model: Any, batch: Batch) -> None:
    set_mask(model, HeadSpace.of(model).keep([1, 2, 12]))
    with torch.no_grad():
        before = losses(model, batch)
        head_importance(model, [batch])
        assert torch.equal(losses(model, batch), before)


def contexts(model: Any, batch: Batch) -> list[Tensor]:
    """<C_h, dL/dC_h> of every position, example and head (docs/theory/importance.md#score), by hooks on the output
    projections."""
    caught: list[Tensor] = []

    def keep(_: Any, inputs: tuple[Tensor]) -> None:
        inputs[0].retain_grad()
        caught.append(inputs[0])

    modules = [point.module for point in attention_points(model)]
    handles = [module.out_proj.register_forward_pre_hook(keep) for module in modules]
    for module in modules:
        module.skip_embed_dim_check = True  # fairseq's own path, which calls the projection
    losses(model, batch).sum().backward()
    for handle in handles:
        handle.remove()
    # modules run in the order encoder, then self and cross of every decoder layer
    order = [caught[i] for i in (0, 1, 3, 5, 2, 4)]
    return [(c * c.grad).unflatten(-1, (4, 8)).sum(-1).detach() for c in order]


def queries(batch: Batch, kind: str) -> int:
    """Positions at which modules of a type ask: the source's in the encoder, the target's elsewhere."""
    return int(batch["net_input"]["src_lengths"].sum()) if kind == "encoder" else int(batch["ntokens"])


def test_all_estimators_equal_the_products_of_contexts_and_gradients(build: Build, model: Any, batch: Batch) -> None:
    """(positions, batch, heads), reduced as the definitions say; float64, relative 1e-9."""
    products = contexts(build(seed=3, stock=True).double(), batch)
    for found, expected in zip(gate_gradients(model, batch), products, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    sums = torch.cat([p.sum(0) for p in products], -1)  # (batch, N)
    kinds = [point.type for point in attention_points(model)]
    expected = {
        "example": sums.abs().mean(0),
        "position": torch.cat(
            [p.abs().sum((0, 1)) / queries(batch, kind) for p, kind in zip(products, kinds, strict=True)]
        ),
        "batch": sums.mean(0).abs(),
        "signed": sums.mean(0),
    }
    assert set(expected) == set(ESTIMATORS)
    for estimator, scores in expected.items():
        torch.testing.assert_close(head_importance(model, [batch], estimator), scores, rtol=1e-9, atol=1e-12)


def lengthy(words: Dictionary) -> list[Batch]:
    """Three batches with 74 source and 89 target tokens, ends of sentences included; right-padded."""
    draw, batches = torch.Generator().manual_seed(5), []

    def padded(sentences: list[Tensor]) -> Tensor:
        return pad_sequence(sentences, batch_first=True, padding_value=words.pad())

    def sentence(length: int) -> Tensor:
        symbols = torch.randint(words.nspecial, len(words), (length,), generator=draw)
        symbols[-1] = words.eos()
        return symbols

    for sources, targets in (([9, 7, 4, 6], [8, 8, 11, 5]), ([3, 12, 8], [9, 14, 6]), ([5, 10, 10], [10, 12, 6])):
        read, written = [sentence(n) for n in sources], [sentence(n) for n in targets]
        net = {
            "src_tokens": padded(read),
            "src_lengths": torch.tensor(sources),
            "prev_output_tokens": padded([row.roll(1) for row in written]),
        }
        batches.append({"net_input": net, "target": padded(written)})
    return batches


FAMILIES: dict[str, tuple[Callable[..., Any], Callable[[Batch], Batch]]] = {
    "classifier": (classifier, for_classifier),
    "decoder-only": (language_model, for_language_model),
}


@rows(
    Found(
        "encoder of a translator",
        wrong=89,
        right=74,
        source="docs/theory/importance.md#estimators, Michel's forks",
        case=("", "encoder"),
    ),
    Found(
        "decoder of a translator",
        wrong=74,
        right=89,
        source="docs/theory/importance.md#estimators",
        case=("", "decoder"),
    ),
    Found(
        "cross-attention of a translator",
        wrong=74,
        right=89,
        source="docs/theory/importance.md#estimators",
        case=("", "cross"),
    ),
    Found(
        "language model",
        wrong=74,
        right=89,
        source="docs/theory/importance.md#estimators",
        case=("decoder-only", "decoder"),
    ),
    Found(
        "classifier of whole examples",
        wrong=10,
        right=74,
        source="docs/theory/importance.md#estimators",
        case=("classifier", "encoder"),
    ),
)
def test_position_importance_is_per_position_of_the_module(build: Build, dictionary: Dictionary, found: Found) -> None:
    """Sums over positions by autograd through one gate per position, set by hand, over the positions of the module's
    own queries that are not padding; float64, relative 1e-9. With the other side's count every value is off."""
    family, kind = found.case
    model, batches = build(seed=3), lengthy(dictionary)
    if family:
        make, convert = FAMILIES[family]
        model, batches = make(dictionary), [convert(batch) for batch in batches]
    model.double()
    scores = head_importance(model, batches, "position")
    ours = torch.tensor([head.type == kind for head in HeadSpace.of(model)])
    sums = torch.stack([absolute_slopes(model, batch) for batch in batches]).sum(0)
    torch.testing.assert_close(scores[ours], sums[ours] / found.right, rtol=1e-9, atol=0)
    assert (scores[ours] / (sums[ours] / found.wrong) - 1).abs().min() > 0.1


def absolute_slopes(model: Any, batch: Batch) -> Tensor:
    """Σ over positions and examples of |dL/dm| (N,), from gates that a hook multiplies into the contexts."""
    gates: dict[Any, Tensor] = {}

    def gated(projection: Any, inputs: tuple[Tensor]) -> Tensor:
        blocks = inputs[0].unflatten(-1, (4, -1))
        gates[projection] = blocks.new_ones(blocks.shape[:-1]).requires_grad_()
        return (blocks * gates[projection].unsqueeze(-1)).flatten(-2)

    points = attention_points(model)
    set_gates(model, torch.ones(4 * len(points)))  # fairseq's own path, which calls the projection
    handles = [point.module.out_proj.register_forward_pre_hook(gated) for point in points]
    example_losses(model, batch).sum().backward()
    for handle in handles:
        handle.remove()
    clear_mask(model)
    return torch.cat([gates[point.module.out_proj].grad.abs().sum((0, 1)) for point in points])  # type: ignore[union-attr]


@pytest.mark.parametrize("estimator", ["example", "signed", "position", "batch"])
def test_score_does_not_depend_on_the_batch_size(model: Any, batch: Batch, rebatch: Rebatch, estimator: Any) -> None:
    """The loop over single examples and every other batch size give the same, within 1e-6."""
    whole = head_importance(model, [batch], estimator)
    for size in (1, 2, 3):
        torch.testing.assert_close(head_importance(model, rebatch(batch, size), estimator), whole, rtol=1e-6, atol=1e-9)


def test_mini_batches_are_of_neighbours_in_the_corpus(model: Any, batch: Batch, rebatch: Rebatch) -> None:
    """Whatever order they are read in; the last of an odd number counts as one. Float64 sums, relative 1e-6."""
    singles = [single | {"id": torch.tensor([number])} for number, single in enumerate(rebatch(batch, 1))]
    slopes = torch.stack([head_importance(model, [single], "signed") for single in singles])
    expected = torch.stack([pair.sum(0).abs() for pair in slopes.split(2)]).sum(0) / len(singles)
    found = head_importance(model, singles[::-1], "batch", mini_batch=2)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


def test_batch_estimator_depends_on_the_batch_size(model: Any, batch: Batch) -> None:
    """It is `example` with single examples; smaller with more, as positive and negative slopes cancel."""
    singles = head_importance(model, [batch], "batch", mini_batch=1)
    torch.testing.assert_close(singles, head_importance(model, [batch], "example"), rtol=1e-6, atol=1e-9)
    whole = head_importance(model, [batch], "batch")
    assert (whole <= singles + 1e-9).all()
    assert (whole < 0.9 * singles).any()


def test_position_is_at_least_example(model: Any, batch: Batch) -> None:
    space = HeadSpace.of(model)
    per_position = head_importance(model, [batch], "position") * torch.tensor([queries(batch, h.type) for h in space])
    assert (per_position >= head_importance(model, [batch], "example") * SIZE - 1e-9).all()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_padding_changes_nothing(model: Any, batch: Batch, rebatch: Rebatch, estimator: Any) -> None:
    (padded,) = rebatch(batch, SIZE, extra=4)
    assert padded["target"].shape[1] == batch["target"].shape[1] + 4
    expected = head_importance(model, [batch], estimator)
    torch.testing.assert_close(head_importance(model, [padded], estimator), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("training", [True, False])
def test_model_is_left_as_it_was(build: Build, batch: Batch, unchanged: Callable[[Any], Any], training: bool) -> None:
    """Weights, gradients and mode; dropout is off within, so that two calls agree."""
    model = build().train(training)
    for parameter in model.encoder.parameters():
        parameter.grad = torch.ones_like(parameter)
    with unchanged(model):
        first = head_importance(model, [batch])
        assert torch.equal(head_importance(model, [batch]), first)


def test_frozen_weights_and_no_grad_do_not_matter(build: Build, batch: Batch) -> None:
    model = build()
    expected = head_importance(model, [batch])
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    with torch.no_grad():
        assert torch.equal(head_importance(model, [batch]), expected)


def test_model_is_left_as_it_was_after_an_error(build: Build, batch: Batch) -> None:
    model = build().train()

    def broken() -> Any:
        yield batch
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        head_importance(model, broken())
    assert model.training


def test_batches_need_no_more_than_input_and_target(model: Any, batch: Batch) -> None:
    """A batch that `example_losses` takes is enough for the estimators that do not count tokens."""
    least = {key: batch[key] for key in ("net_input", "target")}
    assert torch.equal(head_importance(model, [least]), head_importance(model, [batch]))


def test_scores_of_a_pruned_model_are_those_of_its_heads(build: Build, batch: Batch) -> None:
    """Physically removed heads have no score; the others have what they have under the mask, within 1e-6."""
    model = build().double()
    mask = HeadSpace.of(model).keep([0, 3, 4, 9, 10, 17])
    set_mask(model, mask)
    masked = head_importance(model, [batch])[torch.tensor(mask.keep).bool()]
    found = head_importance(remove_heads(model, mask), [batch])
    torch.testing.assert_close(found, masked, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_modules_that_layer_dropout_leaves_out_have_derivative_zero(build: Build, batch: Batch, seed: int) -> None:
    """They have it in training; the others' are those of a model without the layers left out, within 1e-9."""
    model = build(encoder_layerdrop=0.5, decoder_layerdrop=0.5, dropout=0.0).double().train()
    called: list[Any] = []
    for point in attention_points(model):
        point.module.register_forward_hook(lambda module, *_: called.append(module))
    torch.manual_seed(seed)
    found = gate_gradients(model, batch)
    ran = [point.module in called for point in attention_points(model)]
    assert [tuple(gradient.shape[1:]) for gradient in found] == [(SIZE, 4)] * 6
    assert not all(ran)
    assert not any(gradient.any() for gradient, runs in zip(found, ran, strict=True) if not runs)
    shorter = build(dropout=0.0).double().train()
    for side, whole in ((shorter.encoder, model.encoder), (shorter.decoder, model.decoder)):
        kept = [i for i in range(2) if whole.layers[i].self_attn in called]
        side.layers = torch.nn.ModuleList([side.layers[i] for i in kept])
    expected = gate_gradients(shorter, batch) if any(ran) else []
    ours = [gradient for gradient, runs in zip(found, ran, strict=True) if runs]
    for gradient, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-9, atol=1e-12)


def test_without_any_layer_all_derivatives_are_zero(build: Build, batch: Batch) -> None:
    model = build(encoder_layerdrop=1.0, decoder_layerdrop=1.0).requires_grad_(False).train()
    found = gate_gradients(model, batch)
    sides = [batch["net_input"]["src_tokens"].shape[1]] * 2 + [batch["target"].shape[1]] * 4
    assert [tuple(gradient.shape) for gradient in found] == [(positions, SIZE, 4) for positions in sides]
    assert not any(gradient.any() for gradient in found)


def test_unknown_estimators_are_refused(model: Any, batch: Batch) -> None:
    with pytest.raises(ValueError, match=r"unknown estimator 'exmaple'; available: example, position, batch, signed"):
        head_importance(model, [batch], "exmaple")  # type: ignore[arg-type]


def test_no_examples_are_refused(model: Any) -> None:
    with pytest.raises(ValueError, match="at least one example"):
        head_importance(model, [])


def test_normalising_by_hand() -> None:
    names = ["encoder.0.0", "encoder.0.1", "cross.0.0", "cross.0.1", "decoder.0.0", "decoder.0.1", "decoder.0.2"]
    space = HeadSpace.from_names(names)
    scores = torch.tensor([3.0, 4.0, 0.0, 0.0, 1.0, -2.0, 2.0])
    expected = [0.6, 0.8, 0, 0, 1 / 3, -2 / 3, 2 / 3]
    assert normalise_per_module(scores, space).tolist() == pytest.approx(expected, abs=1e-12)
    alive = torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0])
    expected = [1, 0, 0, 0, 1 / math.sqrt(5), 0, 2 / math.sqrt(5)]
    assert normalise_per_module(scores, space, alive).tolist() == pytest.approx(expected, abs=1e-12)
