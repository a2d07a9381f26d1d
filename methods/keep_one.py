"""Heads that stand in best for all others of their module stay longest."""

from dataclasses import dataclass

import torch

from headprune.heads import HeadSpace
from headprune.method import ScoreMethod, option, register
from headprune.scoring.masked_losses import masked_losses, spread_examples


@register("keep_one", paper="Michel, Levy and Neubig 2019, section 3.3")
class KeepOne(ScoreMethod):
    """Scores a head by −L when it is the only one left in its module, all other modules intact.

    docs/theory/ablation.md#keep-one. The paper reports, of every module, the best head and the difference in BLEU or
    accuracy, and ranks no heads by it; the ranking across modules is ours. Modules that the model can do without rank
    high as a whole, for whatever one head is kept the loss is low: read it as a diagnostic of redundancy within
    modules.
    """

    title = "keep-one"
    family = "Ablation and near-oracles"

    @dataclass(frozen=True)
    class Options:
        sentences: int = option(0, "use only so many examples, evenly spread; 0: all that are given")

        def __post_init__(self):
            if self.sentences < 0:
                raise ValueError(f"option 'sentences' is {self.sentences}; it must not be negative")

    def scores(self, model, batches, rng):
        masks = torch.tensor([mask.keep for mask in HeadSpace.prunable(model).keep_one()])  # (N, N)
        return -masked_losses(model, spread_examples(batches, self.options.sentences), masks)
