"""Heads whose removal alone raises the loss least go first."""

from dataclasses import dataclass

import torch

from headprune.heads import HeadSpace
from headprune.method import ScoreMethod, option, register
from headprune.scoring.masked_losses import masked_losses, spread_examples


@register("drop_one", paper="Michel, Levy and Neubig 2019, section 3.2")
class DropOne(ScoreMethod):
    """Scores a head by what the model loses without it, all others intact: L(1 − e_h) − L(1); negative if it harms.

    docs/theory/ablation.md#drop-one; sorted, it is the oracle order that is described there. The paper reports the
    difference in BLEU or accuracy and evaluates head by head; here it is the cross-entropy of the training examples
    given, all masks stacked.
    """

    title = "drop-one"
    family = "Ablation and near-oracles"

    @dataclass(frozen=True)
    class Options:
        sentences: int = option(0, "use only so many examples, evenly spread; 0: all that are given")

        def __post_init__(self):
            if self.sentences < 0:
                raise ValueError(f"option 'sentences' is {self.sentences}; it must not be negative")

    def scores(self, model, batches, rng):
        masks = torch.tensor([mask.keep for mask in HeadSpace.prunable(model).drop_one()])  # (N, N)
        data = spread_examples(batches, self.options.sentences)
        return masked_losses(model, data, masks) - masked_losses(model, data, masks.new_ones(1, len(masks)))
