"""Heads go whose output hardly varies; the output bias stands in for their mean."""

from dataclasses import dataclass

import torch

from headprune.heads import HeadSpace, attention_points
from headprune.method import Pruning, Ranking, ScoreMethod, option, register
from headprune.scoring.reconstruction import compensate_bias, context_moments, fluctuation, output_weight


@register("fluctuation", paper="An et al. 2024 (FLAP)")
class Fluctuation(ScoreMethod):
    """Scores a head by Σ_j Var(c_j) ‖W_O[:, j]‖² over its channels; b_O gains W_O^h E[C_h] of the removed heads.

    docs/theory/reconstruction.md#fluctuation. The released code ranks otherwise: it squares the terms of the sum,
    standardises them over the channels of a module and averages them within the head (17.4). FLAP prunes the channels
    of feed-forward layers along with the heads, of language models without output biases; here heads alone compete.
    Moments are taken over all unpadded positions, each counting once.
    """

    family = "Reconstruction"

    @dataclass(frozen=True)
    class Options:
        compensate: bool = option(True, "add the mean output of the removed heads to the output bias")
        standardise: bool = option(True, "subtract the mean and divide by the standard deviation of a module's scores")

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
        scores = [
            fluctuation(output_weight(point), moments[point.name].variance, len(point.indices))
            for point in attention_points(model)
            if point.indices
        ]
        return torch.cat([_standardised(own) for own in scores] if self.options.standardise else scores)


def _standardised(scores):
    """Mean 0 and standard deviation 1 within the module; equal scores, or a single one, become 0."""
    centred, deviation = scores - scores.mean(), scores.std(correction=0)
    return centred / deviation if deviation > 1e-12 * scores.abs().max() else torch.zeros_like(scores)
