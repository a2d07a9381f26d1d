"""A model under many masks, every layer run once for all masks that agree on the heads up to it.

What a layer gives depends on the gates of its own heads and of those below, the *prefix* of a mask. Masks that are
ordered by their prefixes form a tree, and every node of it is computed once: of the masks without one head each, half
of the layers on average are those of the unpruned model. Works on fairseq's own Transformers, whose layers are called
one after the other with nothing in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from headprune.gates import call_projections, install, set_module_gates
from headprune.heads import AttentionPoint

Prefix = tuple[tuple[float, ...], ...]  # gates of the first layers' heads, layer by layer
INPUTS = {"src_tokens", "src_lengths", "prev_output_tokens"}


def layers_of(model: Any, batch: Mapping[str, Any]) -> list[Any] | None:
    """The layers in the order of computation, the encoder's first; None where something else than fairseq's code may
    happen in them or between them."""
    from fairseq.models import transformer, transformer_lm  # takes seconds, and whoever has a model has done it
    from fairseq.modules import transformer_layer

    if not isinstance(model, (transformer.TransformerModelBase, transformer_lm.TransformerLanguageModel)):
        return None
    stock = {
        "encoder": (transformer.TransformerEncoderBase, transformer_layer.TransformerEncoderLayerBase),
        "decoder": (transformer.TransformerDecoderBase, transformer_layer.TransformerDecoderLayerBase),
    }
    layers: list[Any] = []
    for name, (whole, single) in stock.items():
        if (part := getattr(model, name, None)) is not None:
            if type(part).forward is not whole.forward or any(
                type(x).forward is not single.forward for x in part.layers
            ):
                return None
            layers += part.layers
    return layers if set(batch["net_input"]) <= INPUTS else None


class PrefixTree:
    """A model on one batch, called with masks in the order of `order`.

    What the layers computed is kept for the prefixes of the last call. Memory: twice that of every layer's output.
    """

    def __init__(self, model: Any, batch: Mapping[str, Any], layers: Sequence[Any]) -> None:
        self.model, self.batch, self.size, self.layers = model, batch, len(batch["target"]), layers
        self.encoders = len(model.encoder.layers) if hasattr(model, "encoder") else 0
        points, start = install(model), 0
        call_projections(points, always=True)
        self.heads: list[list[int]] = [[] for _ in layers]  # of every layer, positions in the head space
        self.points: list[list[AttentionPoint]] = [[] for _ in layers]
        inside = {module: number for number, layer in enumerate(layers) for module in layer.modules()}
        for point in points:
            number, end = inside[point.module], start + len(point.indices)
            self.heads[number] += range(start, end)
            self.points[number].append(point)
            start = end
        self.kept: list[dict[Prefix, Tensor]] = [{} for _ in layers]  # (positions, batch, model)
        self.wanted: list[list[Prefix]] = []

    def order(self, masks: Tensor) -> Tensor:
        """Positions of the masks such that those with a common prefix stand together.

        :param masks: (M, N)
        """
        keys = masks[:, [head for heads in self.heads for head in heads]].tolist()
        return torch.tensor(sorted(range(len(masks)), key=keys.__getitem__), dtype=torch.long)

    def __call__(self, masks: Tensor) -> Any:
        """The output under every mask: example b under mask m is row b · M + m.

        :param masks: (M, N)
        """
        gates = [[tuple(mask[heads].tolist()) for heads in self.heads] for mask in masks]
        self.wanted = [list(dict.fromkeys(tuple(g[: n + 1]) for g in gates)) for n in range(len(self.layers))]
        self.wanted[-1] = [(*g[:-1], (*g[-1], float(row))) for row, g in enumerate(gates)]  # equal masks stay apart
        self.kept[-1] = {}
        with _replaced(self.layers, [self._forward(number) for number in range(len(self.layers))]):
            output = self.model(**self.batch["net_input"])
        self.kept = [{p: known[p] for p in w} for known, w in zip(self.kept, self.wanted, strict=True)]
        return output

    def _forward(self, number: int) -> Callable[..., Any]:
        """A layer's forward pass over what is not known yet; beyond the last layer of a side everything is handed on,
        before it the layers find it in `kept`."""
        original, known, wanted = self.layers[number].forward, self.kept[number], self.wanted[number]
        first, last = number in (0, self.encoders), number in (self.encoders - 1, len(self.layers) - 1)

        def forward(x: Tensor, *args: Any, **kwargs: Any) -> Any:
            new = [prefix for prefix in wanted if prefix not in known]
            if new:
                below = [x if first else self.kept[number - 1][prefix[:-1]] for prefix in new]
                encoded = [] if number < self.encoders else self._encoded(new, *args[:1])
                self._set_gates(number, new)
                output = original(
                    _stacked(below),
                    *encoded,
                    *(_copied(value, len(new)) for value in args[len(encoded) :]),
                    **{k: v if k == "self_attn_mask" else _copied(v, len(new)) for k, v in kwargs.items()},
                )
                states = output[0] if isinstance(output, tuple) else output  # (positions, batch · new, model)
                known.update(zip(new, states.unflatten(1, (self.size, -1)).unbind(2), strict=True))
            states = _stacked([known[prefix] for prefix in wanted]) if last else x
            return states if number < self.encoders else (states, None, None)

        return forward

    def _encoded(self, prefixes: Sequence[Prefix], encoded: Tensor | None = None) -> list[Tensor | None]:
        """The encoder's output that a decoder layer attends to, a copy for every prefix."""
        if encoded is None:
            return [None]
        known = self.wanted[self.encoders - 1]
        which = torch.tensor([known.index(prefix[: self.encoders]) for prefix in prefixes], device=encoded.device)
        return [encoded.unflatten(1, (self.size, -1)).index_select(2, which).flatten(1, 2)]

    def _set_gates(self, number: int, prefixes: Sequence[Prefix]) -> None:
        count = len(self.heads[number])
        rows = torch.tensor([prefix[number][:count] for prefix in prefixes]).repeat(
            self.size, 1
        )  # (batch · new, heads)
        set_module_gates(self.points[number], rows)


def _stacked(states: Sequence[Tensor]) -> Tensor:
    """(positions, batch, model) of every prefix as (positions, batch · prefixes, model)."""
    return torch.stack(list(states), dim=2).flatten(1, 2)


def _copied(value: Any, copies: int) -> Any:
    """A padding mask (batch, positions) for every prefix; anything but a tensor as it is."""
    return value.repeat_interleave(copies, 0) if isinstance(value, Tensor) else value


@contextmanager
def _replaced(layers: Sequence[Any], forwards: Sequence[Callable[..., Any]]) -> Iterator[None]:
    """Within the context the layers compute by these functions."""
    before = [vars(layer).get("forward") for layer in layers]
    for layer, forward in zip(layers, forwards, strict=True):
        layer.forward = forward
    try:
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            if own is None:
                del layer.forward
            else:
                layer.forward = own
