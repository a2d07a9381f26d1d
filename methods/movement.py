"""Heads whose weights training moves towards zero go, one after the other."""

from dataclasses import dataclass

import torch

from headprune.method import GateMethod, Uniform, option, register
from headprune.relaxations import cubic_budget, straight_through


@register("movement", paper="Lagunas et al. 2021; Sanh, Wolf and Rush 2020")
class MovementPruning(GateMethod):
    """Straight-through scores, as many open as a budget that falls from N to K on a cubic ramp while the model trains.

    docs/theory/further-methods.md#movement. The gradient of a head's score is Σ (dL/dW ⊙ W) over its output block W_O^h
    as masked, so that descent adds up −Σ dL/dW ⊙ W: weights that training moves away from zero score high. Blocks are
    whole heads, and of a head the output block, which silences it; Lagunas et al. score blocks of Q, K, V and O and
    rows of the feed-forward layers. The scores start at 0 and only their order counts, so the learning rate has no
    influence.
    """

    family = "Learned gates: penalties and others"
    modes = ("joint", "continued")
    quantity = "heads asked for"

    @dataclass(frozen=True)
    class Options:
        learning_rate: float = option(0.01, "of the scores, constant; without influence, see the fidelity card")
        start: float = option(0.1, "fraction of the updates up to which all heads are kept", space=Uniform(0, 0.4))
        end: float = option(0.7, "fraction of the updates from which on K are kept", space=Uniform(0.5, 0.9))

        def __post_init__(self):
            if not 0 <= self.start <= self.end <= 1:
                raise ValueError(
                    f"options start={self.start}, end={self.end}: fractions of the updates with 0 ≤ start ≤ end ≤ 1"
                )

    def build(self, generator):
        self.scores = torch.nn.Parameter(torch.zeros(len(self.space), dtype=torch.float64))

    def cooldown(self, total):
        return round(self.options.end * total)

    def scheduled(self, update, total):
        start = round(self.options.start * total)
        return cubic_budget(update, start, self.cooldown(total), len(self.space), self.budget)

    def sample(self, progress):
        kept = self.scheduled(progress.update, progress.total)
        return straight_through(self.scores.new_tensor(self.largest(self.scores, kept).keep), self.scores)

    def keep(self, budget):
        return self.largest(self.scores, budget)
