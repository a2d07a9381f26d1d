"""The control that knows no module from another: K / A random heads in each."""

import torch

from headprune.heads import HeadSpace
from headprune.method import ScoreMethod, register


@register("random_balanced", paper="as a control; docs/theory/ablation.md#baselines")
class RandomBalanced(ScoreMethod):
    """Keeps K / A heads in each of the A modules, drawn uniformly; the remainder falls to random modules.

    Every head gets a random rank r within its module; the heads of low rank stay, and among those of the same rank
    chance decides: score −(r + u), u uniform in [0, 1). The masks are nested; each is uniform among the balanced masks
    of its size. A module with fewer heads than its share keeps them all and the others take the rest. When a scope
    protects attention types, all their heads stay and the modules of the other types share the removal.
    """

    title = "balanced random"
    family = "Reference and controls"

    def scores(self, model, batches, rng):
        module = torch.tensor(HeadSpace.prunable(model).module_of)
        scores = -torch.rand(len(module), generator=rng, dtype=torch.float64)
        for number in module.unique():
            heads = (module == number).nonzero().flatten()
            scores[heads] -= torch.randperm(len(heads), generator=rng).double()
        return scores
