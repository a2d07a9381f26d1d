"""The reference: every head is kept."""

import torch

from headprune.heads import HeadSpace
from headprune.method import ScoreMethod, register


@register("unpruned")
class Unpruned(ScoreMethod):
    """Keeps all heads; goes through the same code path as every other method, at the budget K = N.

    docs/theory/ablation.md#baselines.
    """

    family = "Reference and controls"
    prunes = False

    def scores(self, model, batches, rng):
        return torch.ones(len(HeadSpace.prunable(model)))
