"""The loss of a model under many masks, with the masks stacked along the batch axis.

Gates may differ from example to example (`gates.GatedProjection`), so that M masks on a batch of B examples are a
forward pass over M · B examples. A layer runs once for all masks that agree on the heads up to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from headprune.gates import clear_mask, set_gates
from headprune.heads import HeadSpace
from headprune.importance import (
    forget,
    goes_on,
    head_importance,
    normalise_per_module,
    output_losses,
    padding_index,
)
from headprune.scoring.prefix_tree import PrefixTree, layers_of

Batch = Mapping[str, Any]


def masked_losses(
    model: nn.Module, batches: Iterable[Batch], masks: Tensor, *, positions: int = 4096, reuse: bool = True
) -> Tensor:
    """Mean cross-entropy per target token (of a classifier: per example) under every mask, in evaluation mode.

    Equals `set_mask` and forward passes over all batches, mask by mask, but for rounding: where batches go on from one
    another (`start` is False), every mask has a memory of its own, empty before the first batch. Leaves all gates open
    and the memory of evaluation empty.

    :param batches: mini-batches as `importance.example_losses` takes them
    :param masks: (M, N) zeros and ones, or any gates, in head-space order
    :param positions: a forward pass holds at most so many positions (padding included) on the longer of its sides; a
        single copy of a batch is never split. Bounds the memory
    :param reuse: run every layer once for masks that agree on the heads up to it (`prefixes`), where the model is one
        of fairseq's Transformers; False: run the whole model for every mask
    :returns: nats (M,), float64
    :raises ValueError: a model without heads, masks of another shape, no target tokens, or a loss that is NaN.
    """
    _require_shape(masks, len(HeadSpace.prunable(model)))
    masks, training = masks.detach().float().cpu(), model.training
    losses, tokens = torch.zeros(len(masks), dtype=torch.float64), 0
    if not len(masks):
        return losses
    model.eval()
    try:
        with torch.no_grad():
            for stream in _streams(model, batches):
                tokens += sum(int(batch["target"].ne(padding_index(model)).sum()) for batch in stream)
                forwards = _forwards(model, stream, reuse)
                for rows in forwards[0].order(masks).split(min(_copies(batch, positions) for batch in stream)):
                    forget(model)
                    for forward in forwards:
                        losses[rows] += _summed(model, forward(masks[rows]), forward.batch["target"], len(rows))
    finally:
        clear_mask(model)
        forget(model)
        model.train(training)
    return _means(losses, tokens)


def _means(losses: Tensor, tokens: int) -> Tensor:
    """The losses of every mask (M,), summed, as means of as many tokens.

    :raises ValueError: there are no tokens, or a loss is NaN: what sorts masks by it would put it anywhere.
    """
    if not tokens:
        raise ValueError("a loss needs at least one target token; the batches are empty")
    if unknown := int(losses.isnan().sum()):
        raise ValueError(f"losses under {unknown} of {len(losses)} masks are NaN: the model's outputs are not finite")
    return losses / tokens


def _require_shape(masks: Tensor, heads: int) -> None:
    """Refuse masks that are not (M, N)."""
    if masks.dim() != 2 or masks.shape[1] != heads:
        raise ValueError(f"masks of shape {tuple(masks.shape)} for {heads} heads: expected (M, {heads})")


def _forwards(model: nn.Module, stream: Sequence[Batch], reuse: bool) -> list[_Whole | PrefixTree]:
    """The forward pass of every batch of a stream; with a tree of prefixes where its layers can be reused."""
    layers = layers_of(model, stream[0]) if reuse and len(stream) == 1 else None
    first = _Whole(model, stream[0]) if layers is None else PrefixTree(model, stream[0], layers)
    return [first, *(_Whole(model, batch) for batch in stream[1:])]


def _streams(model: nn.Module, batches: Iterable[Batch]) -> Iterator[list[Batch]]:
    """The batches, those together that go on from one another; the first of each begins with an empty memory."""
    stream: list[Batch] = []
    for batch in batches:
        if stream and goes_on(batch, model):
            stream.append(batch)
            continue
        if stream:
            yield stream
        inputs = batch["net_input"]
        stream = [{**batch, "net_input": {**inputs, "start": True}} if "start" in inputs else batch]
    if stream:
        yield stream


class _Whole:
    """The whole model on one batch, once for every mask. Example b under mask m is row b · M + m."""

    def __init__(self, model: Any, batch: Batch) -> None:
        self.model, self.batch, self.size = model, batch, len(batch["target"])

    def order(self, masks: Tensor) -> Tensor:
        return torch.arange(len(masks))

    def __call__(self, masks: Tensor) -> Any:
        """Output of the model under every mask (M, N)."""
        set_gates(self.model, masks.repeat(self.size, 1))
        return self.model(**_stack(self.batch["net_input"], len(masks)))


def _copies(batch: Batch, positions: int) -> int:
    """The number of copies of a batch that fit into one forward pass."""
    tensors = [value for value in batch["net_input"].values() if isinstance(value, Tensor)]
    return max(1, positions // max(1, *(tensor.numel() for tensor in [*tensors, batch["target"]])))


def _stack(inputs: Mapping[str, Any], copies: int) -> dict[str, Any]:
    """Every example `copies` times in a row."""
    return {k: v.repeat_interleave(copies, 0) if isinstance(v, Tensor) else v for k, v in inputs.items()}


def _summed(model: Any, output: Any, target: Tensor, copies: int) -> Tensor:
    """Loss of every mask, summed over the examples of a batch (M,)."""
    losses = output_losses(model, output, target.repeat_interleave(copies, 0))
    return losses.double().view(-1, copies).sum(0).cpu()


def spread_examples(batches: Sequence[Batch], count: int) -> list[Batch]:
    """So many examples at even distances over all batches, which are sorted by length more often than not; 0: all.

    Only `net_input` and `target` of a batch that is cut are kept.

    :raises ValueError: batches that go on from one another, of which an example would get another's memory.
    """
    total = sum(len(batch["target"]) for batch in batches)
    if not count or count >= total:
        return list(batches)
    if any(goes_on(batch) for batch in batches):
        raise ValueError(
            f"batches that go on from one another (`start` is False) cannot be thinned to {count} examples"
        )
    positions = [(2 * k + 1) * total // (2 * count) for k in range(count)]
    chosen: list[Batch] = []
    start = 0
    for batch in batches:
        end = start + len(batch["target"])
        rows = torch.tensor([i - start for i in positions if start <= i < end], device=batch["target"].device)
        if len(rows):
            inputs = {k: v[rows] if isinstance(v, Tensor) else v for k, v in batch["net_input"].items()}
            chosen.append({"net_input": inputs, "target": batch["target"][rows]})
        start = end
    return chosen


def without(kept: Iterable[int], each: Sequence[int], total: int) -> Tensor:
    """The masks that keep `kept`, each without one more head.

    :returns: (len(each), total)
    """
    masks = torch.zeros(len(each), total)
    masks[:, list(kept)] = 1
    masks[torch.arange(len(each)), list(each)] = 0
    return masks


def importance_orders(model: nn.Module, batches: Iterable[Batch]) -> list[tuple[int, ...]]:
    """Orders of removal by one-shot gradient importance (docs/theory/importance.md#one-shot), with and without
    per-module normalisation.

    Searches start from them. Ties go to the score before normalisation, then to the later head.
    """
    raw = head_importance(model, batches)
    both = (normalise_per_module(raw, HeadSpace.of(model)).tolist(), raw.tolist())
    return [tuple(sorted(range(len(raw)), key=lambda h, s=s: (s[h], both[1][h], -h))) for s in both]  # type: ignore[misc]
