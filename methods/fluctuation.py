"""Heads go whose output hardly varies; the output bias stands in for their mean."""

from dataclasses import dataclass

import torch

from headprune.heads import HeadSpace, attention_points
from headprune.method import Pruning, Ranking, ScoreMethod, option, register
from headprune.scoring.reconstruction import compensate_bias, context_moments, fluctuation, output_weight


@register("fluctuation", paper="An et al. 2024 (FLAP)")
class Fluctuation(ScoreMethod):
    """Scores a head by how much its channels fluctuate, Var(c_j) ‖W_O[:, j]‖²; b_O gains W_O^h E[C_h] of what goes.

    docs/theory/reconstruction.md#fluctuation. As released: of each channel the square, standardised over the channels
    of the module and averaged over those of the head (docs/theory/reconstruction.md#flap-released). `standardise` has
    two other forms, both of the sum over a head's channels, which is the formula as the paper is usually quoted. FLAP
    prunes the channels of feed-forward layers along with the heads, of language models without output biases; here
    heads alone compete. Moments are taken over all unpadded positions, each counting once.
    """

    family = "Reconstruction"

    @dataclass(frozen=True)
    class Options:
        compensate: bool = option(True, "add the mean output of the removed heads to the output bias")
        standardise: str = option(
            "channels",
            "`channels`: as released; `heads`: sums over channels, standardised over a module; `none`: these sums",
            choices=("channels", "heads", "none"),
        )

    def scores(self, model, batches, rng):
        return self._scores(model, context_moments(model, batches))

    def masks(self, model, batches, budgets, rng):
        moments = context_moments(model, batches)
        ranking = Ranking.by_score(HeadSpace.of(model), self._scores(model, moments))
        masks = {budget: ranking.mask(budget, self.scope) for budget in budgets}
        if not self.options.compensate:
            return masks
        return {budget: Pruning(mask, compensate_bias(model, mask, moments)) for budget, mask in masks.items()}

    def _scores(self, model, moments):
        points = [point for point in attention_points(model) if point.indices]
        return torch.cat([self._of_module(point, moments[point.name].variance) for point in points])

    def _of_module(self, point, variance):
        """The scores of the heads of one module (H,)."""
        channels, shape = fluctuation(output_weight(point), variance), (len(point.indices), -1)
        if self.options.standardise == "channels":
            return standardised(channels.square(), correction=1).unflatten(0, shape).mean(1)
        sums = channels.unflatten(0, shape).sum(1)
        return standardised(sums, correction=0) if self.options.standardise == "heads" else sums


def standardised(values, correction):
    """Mean 0 and standard deviation 1; equal values, or a single one, become 0.

    :param values: (n,)
    :param correction: 1: the unbiased deviation, over n − 1
    """
    if len(values) <= correction:
        return torch.zeros_like(values)
    centred, deviation = values - values.mean(), values.std(correction=correction)
    return centred / deviation if deviation > 1e-12 * values.abs().max() else torch.zeros_like(values)
