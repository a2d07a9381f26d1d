"""Bias compensation: what the removed heads put out on average goes into the biases (docs/theory/reconstruction.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from headprune.heads import HeadMask
from headprune.treatments.base import Repruning

if TYPE_CHECKING:
    import torch
    from torch import nn

    from headprune.method import Batches, Pruning


class BiasCompensation(Repruning):
    """the output biases get the mean output of the removed heads"""

    name, suffix = "bias_compensation", "bc"
    treats_joint = False
    refusal = "the removed heads are closed already and leave nothing to compensate"
    keeps_mask = True

    def prune(self, model: nn.Module, mask: HeadMask, batches: Callable[[], Batches], rng: torch.Generator) -> Pruning:
        from headprune.method import Pruning  # imports torch
        from headprune.scoring.reconstruction import compensate_bias, context_moments

        return Pruning(mask, compensate_bias(model, mask, context_moments(model, batches())))
