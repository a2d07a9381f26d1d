"""Statistics of the attention probabilities of heads, averaged over query positions.

fairseq's attention passes its probabilities through `dropout_module`, where a hook reads them. Padding is never a
query, and has probability 0 as a key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from headprune.gates import call_projections, install
from headprune.heads import AttentionPoint, HeadSpace
from headprune.importance import forget


@dataclass(frozen=True)
class AttentionMap:
    """Attention probabilities of one module on one batch."""

    point: AttentionPoint
    weights: Tensor  # (batch, heads, tgt, src), float64; rows of real queries sum to 1
    queries: Tensor  # (batch, tgt), true where the query is not padding
    end: Tensor  # (batch, src), true where the key is the end-of-sentence symbol

    @property
    def visible(self) -> Tensor:
        """True where a query may look at a key: some head gives it a weight (batch, tgt, src)."""
        return (self.weights > 0).any(1)


Statistic = Callable[[AttentionMap], tuple[Tensor, Tensor]]


def attention_maps(model: Any, batch: Mapping[str, Any]) -> list[AttentionMap]:
    """The attention probabilities of a forward pass, of every module with heads, in head-space order.

    The model computes in the mode it is in, under the mask that is set.

    :raises ValueError: attention without `dropout_module`, or a module that the forward pass does not call.
    """
    net = batch["net_input"]
    tokens = {"encoder": net["src_tokens"], "decoder": net.get("prev_output_tokens", net["src_tokens"])}
    with _recording(model) as (points, recorded), torch.no_grad():
        model(**net)
    maps = []
    for point, seen in zip(points, recorded, strict=True):
        if not seen:
            raise ValueError(f"the forward pass does not reach the attention probabilities of module {point.name}")
        asking = "encoder" if point.type == "encoder" else "decoder"
        asked = "decoder" if point.type == "decoder" else "encoder"
        queries = tokens[asking].ne(_dictionary(model, asking).pad())
        end = tokens[asked].eq(_dictionary(model, asked).eos())
        weights = seen[0].double().view(len(queries), point.module.num_heads, *seen[0].shape[-2:])
        if end.shape[1] != weights.shape[-1]:  # keys that are no tokens: a memory, persistent vectors
            end = end.new_zeros(len(end), weights.shape[-1])
        maps.append(AttentionMap(point, weights, queries, end))
    return maps


@contextmanager
def _recording(model: nn.Module) -> Iterator[tuple[list[AttentionPoint], list[list[Tensor]]]]:
    """Within the context, every module appends its attention probabilities to its list."""
    points = [point for point in install(model) if point.indices]
    for point in points:
        if not hasattr(point.module, "dropout_module"):
            raise ValueError(f"module {point.name}, {type(point.module).__name__}, has no `dropout_module` to read at")
    recorded: list[list[Tensor]] = [[] for _ in points]
    call_projections(points, always=True)
    hooks = [
        point.module.dropout_module.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
        for point, seen in zip(points, recorded, strict=True)
    ]
    try:
        yield points, recorded
    finally:
        for hook in hooks:
            hook.remove()
        call_projections(points, always=any(point.module.out_proj.gate is not None for point in points))


def _dictionary(model: nn.Module, side: str) -> Any:
    """The dictionary of the encoder's or the decoder's tokens; a model with only one has it on both sides."""
    for part in (getattr(model, side, None), *model.modules()):
        if getattr(part, "dictionary", None) is not None:
            return part.dictionary  # type: ignore[union-attr]
    raise ValueError(f"{type(model).__name__} has no part with a `dictionary`: padding cannot be told from words")


def largest_weight(map: AttentionMap) -> tuple[Tensor, Tensor]:
    """The largest weight among the keys other than the end-of-sentence symbol (Voita et al. 2019, section 4).

    :returns: the statistic (batch, heads, tgt), and at which queries it is defined (batch, tgt)
    """
    words = ~map.end.unsqueeze(1)  # (batch, 1, src)
    values = map.weights.masked_fill(~words.unsqueeze(1), 0).amax(-1)
    return values, (map.visible & words).any(-1)


def normalised_entropy(map: AttentionMap) -> tuple[Tensor, Tensor]:
    """−Σ p log p / log n over the n keys that a query may look at, 0…1; not defined for n = 1
    (docs/theory/further-methods.md#entropy).

    :returns: the statistic (batch, heads, tgt), and at which queries it is defined (batch, tgt)
    """
    count = map.visible.sum(-1)  # (batch, tgt)
    entropy = torch.special.entr(map.weights).sum(-1)
    return entropy / count.clamp(min=2).double().log().unsqueeze(1), count > 1


def head_means(model: nn.Module, batches: Iterable[Mapping[str, Any]], statistic: Statistic) -> Tensor:
    """The mean of a statistic over all query positions that are no padding and where it is defined, in evaluation mode,
    from an empty memory.

    :returns: float64 (N,) in head-space order; 0 for a module where it is defined nowhere
    :raises ValueError: no batches, a model without heads, or see `attention_maps`.
    """
    HeadSpace.prunable(model)
    training, totals = model.training, None
    model.eval()
    try:
        forget(model)
        for batch in batches:
            own = torch.cat([_sums(map, statistic) for map in attention_maps(model, batch)], dim=1)  # (2, N)
            totals = own if totals is None else totals + own
    finally:
        model.train(training)
    if totals is None:
        raise ValueError("attention statistics need at least one batch")
    return (totals[0] / totals[1].clamp(min=1)).cpu()


def _sums(map: AttentionMap, statistic: Statistic) -> Tensor:
    """The sum of the statistic of every head, and the number of positions it was summed over (2, heads)."""
    values, defined = statistic(map)
    valid = (map.queries & defined).unsqueeze(1).expand_as(values)  # (batch, heads, tgt)
    return torch.stack([values.masked_fill(~valid, 0).sum((0, 2)), valid.sum((0, 2)).double()])
