"""The memory of the segments before: hidden states, and in evaluation what its weights made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from headprune.models.all_attention.attention import Past


@dataclass
class LayerMemory:
    """The last M inputs of one layer, detached."""

    states: Tensor  # (memory, batch, model)
    past: Past | None = None  # what the weights made of `states`

    def followed_by(self, states: Tensor, present: Past | None) -> LayerMemory:
        """The memory after a segment.

        :param states: this memory's states and those of the segment [memory + tgt, batch, model]
        :param present: what the weights made of `states`, if it is to be kept
        """
        length = len(self.states)
        kept = None if present is None else present.latest(length)
        return LayerMemory(states.detach()[len(states) - length :].clone(), kept)


def empty_memory(layers: int, length: int, like: Tensor) -> list[LayerMemory]:
    """Zeros, which are attended to.

    :param like: embeddings of a segment [tgt, batch, model], for batch size, dtype and device
    """
    zeros = torch.zeros(length, *like.shape[1:], dtype=like.dtype, device=like.device)
    return [LayerMemory(zeros) for _ in range(layers)]


def fits(memory: list[LayerMemory], like: Tensor) -> bool:
    """True if a memory is one of these rows: same batch size, dtype and device."""
    states = memory[0].states
    return states.shape[1:] == like.shape[1:] and states.dtype == like.dtype and states.device == like.device


class Copies:
    """Tensors as they were. Only a comparison tells for sure whether they have changed: a write through `.data`, or to
    storage that they share with others, leaves no trace on a tensor."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._layout = _layout(tensors)
        self._values = [values.detach().clone() for values in _gathered(tensors)]

    def match(self, tensors: Sequence[Tensor]) -> bool:
        """True if these are the same, number by number."""
        return self._layout == _layout(tensors) and all(map(torch.equal, self._values, _gathered(tensors)))


def _layout(tensors: Sequence[Tensor]) -> list[tuple[torch.Size, torch.dtype, torch.device]]:
    return [(tensor.shape, tensor.dtype, tensor.device) for tensor in tensors]


def _gathered(tensors: Sequence[Tensor]) -> list[Tensor]:
    """On a CPU the tensors; elsewhere all in one, so that a comparison waits for the device once."""
    if all(tensor.device.type == "cpu" for tensor in tensors):
        return list(tensors)
    return [torch.cat([tensor.detach().flatten() for tensor in tensors])]
