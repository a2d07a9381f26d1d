"""The control every method has to beat: a uniform K-subset."""

import torch

from headprune.heads import HeadSpace
from headprune.method import ScoreMethod, register


@register("random", paper="Prasanna et al. 2020; Budhraja et al. 2020 (as a control)")
class Random(ScoreMethod):
    """Removes heads in a uniformly random order: every K-subset is equally likely, and the subsets are nested.

    docs/theory/ablation.md#baselines. Draw it several times (`draws` in the configuration): one draw says little.
    """

    family = "Reference and controls"

    def scores(self, model, batches, rng):
        return torch.rand(len(HeadSpace.prunable(model)), generator=rng, dtype=torch.float64)
