"""The memory of a search: keys and values of hypotheses and sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

MORE_SLOTS = 64


@dataclass
class TargetMemory:
    """Keys and values of the tokens of all hypotheses of a sentence, which share what they have in common.

    The tokens of a sentence's hypotheses are a tree. A token has a slot, where its keys and values stay when the order
    of hypotheses changes; what changes is which slots a hypothesis sees. Slots that none sees any more are given away
    from time to time.
    """

    layers: list[Tensor]  # (sentences, slots, 2 · width) each
    mask: Tensor  # 0 where a hypothesis sees a slot, −∞ elsewhere (sentences, hypotheses, slots used)
    room: int  # slots to use before those that none sees are given away

    @classmethod
    def empty(cls, sentences: int, widths: Sequence[int], like: Tensor) -> TargetMemory:
        """Memory with room for the first token of one hypothesis a sentence."""
        layers = [like.new_empty(sentences, MORE_SLOTS, 2 * width) for width in widths]
        return cls(layers, like.new_zeros(sentences, 1, 1), MORE_SLOTS)

    def descend(self, parents: Tensor) -> None:
        """A slot for a new token of every hypothesis.

        :param parents: which of the last step's hypotheses each continues (sentences, hypotheses)
        """
        sentences, rows = parents.shape
        inherited = self.mask.gather(1, parents.unsqueeze(-1).expand(-1, -1, self.mask.shape[-1]))
        if inherited.shape[-1] + rows > self.room:
            inherited = self._with_room(inherited)
        own = torch.full((rows, rows), float("-inf"), dtype=inherited.dtype, device=inherited.device).fill_diagonal_(0)
        self.mask = torch.cat([inherited, own.expand(sentences, -1, -1)], -1)

    def pairs(self, layer: int, new: Tensor) -> Tensor:
        """Keys and values of a layer, after those of the newest tokens are written.

        :param new: (sentences · hypotheses, 2 · width)
        :returns: (sentences, slots used, 2 · width)
        """
        sentences, rows, used = self.mask.shape
        found = self.layers[layer][:, :used]
        found[:, used - rows :] = new.view(sentences, rows, -1)
        return found

    def close(self, gaps: Tensor, movers: Tensor, left: int) -> None:
        """Moves sentences to the places of some that are done, and drops all but the first `left`."""
        used = self.mask.shape[-1]
        for layer in self.layers:
            layer[gaps, :used] = layer[movers, :used]
        self.layers = [layer[:left] for layer in self.layers]
        self.mask[gaps] = self.mask[movers]
        self.mask = self.mask[:left]

    def _with_room(self, mask: Tensor) -> Tensor:
        """Moves the slots that are seen to the front, and makes room behind them.

        :returns: the mask over the slots that are left
        """
        seen = (mask == 0).any(1)  # (sentences, slots)
        most = int(seen.sum(1).max())
        self.room = most + max(MORE_SLOTS, 8 * mask.shape[1], most // 2)
        places = seen.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :most]  # (sentences, most)
        for number, layer in enumerate(self.layers):
            sentences, slots, width = layer.shape
            rows = places + slots * torch.arange(sentences, device=places.device).unsqueeze(1)
            moved = layer.flatten(0, 1).index_select(0, rows.flatten()).view(sentences, most, width)
            if self.room > slots:
                self.layers[number] = layer.new_empty(sentences, self.room, width)
            self.layers[number][:, :most] = moved
        return mask.gather(2, places.unsqueeze(1).expand(-1, mask.shape[1], -1))


@dataclass
class SourceMemory:
    """Keys and values of the encoder's states, once a sentence: its hypotheses are the queries of one product."""

    layers: list[Tensor | None]  # (sentences, source, 2 · width) each; None: no cross-attention, or one without heads
    mask: Tensor | None  # −∞ at padding (sentences, 1, 1, source)

    def close(self, gaps: Tensor, movers: Tensor, left: int) -> None:
        """See `TargetMemory.close`."""
        for number, layer in enumerate(self.layers):
            if layer is not None:
                layer[gaps] = layer[movers]
                self.layers[number] = layer[:left]
        if self.mask is not None:
            self.mask[gaps] = self.mask[movers]
            self.mask = self.mask[:left]
