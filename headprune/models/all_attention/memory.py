"""What a model remembers of the segments before: hidden states, and in evaluation their keys and values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from headprune.models.all_attention.attention import Past


@dataclass
class LayerMemory:
    """The last M inputs of one layer, detached."""

    states: Tensor  # (memory, batch, model)
    past: Past | None = None  # keys and values of `states`, computed with the weights that `stamp` stands for
    stamp: Any = None

    def followed_by(self, states: Tensor, present: Past | None, stamp: Any) -> LayerMemory:
        """The memory after a segment.

        :param states: this memory's states and those of the segment [memory + tgt, batch, model]
        :param present: keys and values of `states`, if they are to be kept
        """
        length = len(self.states)
        kept = None if present is None else present.latest(length)
        return LayerMemory(states.detach()[len(states) - length :].clone(), kept, stamp)


def empty_memory(layers: int, length: int, like: Tensor) -> list[LayerMemory]:
    """Zeros, which are attended to.

    :param like: embeddings of a segment [tgt, batch, model], for batch size, dtype and device
    """
    zeros = torch.zeros(length, *like.shape[1:], dtype=like.dtype, device=like.device)
    return [LayerMemory(zeros) for _ in range(layers)]


def fits(memory: list[LayerMemory], like: Tensor) -> bool:
    """Whether a memory is one of these rows: same batch size, dtype and device."""
    states = memory[0].states
    return states.shape[1:] == like.shape[1:] and states.dtype == like.dtype and states.device == like.device
