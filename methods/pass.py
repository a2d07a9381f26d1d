"""Stochastic gates that are to be zero or one, as many of each as the budget says; closed heads get second chances."""

from dataclasses import dataclass

import torch

from headprune.method import GateMethod, Integers, LogUniform, Uniform, option, register
from headprune.relaxations import hard_concrete, open_probability

LIMIT = 5.0  # of |log α|: a head at −5 is closed
ROUNDING = 1e-9


def binary_penalty(log_alpha, budget):
    """Σ P(0 < m < 1) + |N − K − Σ P(m = 0)| + |K − Σ P(m = 1)|: zero where the gates are a mask of K ones.

    :param log_alpha: log-odds of hard-concrete gates (N,)
    """
    closed, whole = 1 - open_probability(log_alpha), 1 - open_probability(-log_alpha)  # P(m = 0), P(m = 1)
    heads = len(log_alpha)
    return heads - closed.sum() - whole.sum() + (heads - budget - closed.sum()).abs() + (budget - whole.sum()).abs()


@register("pass", paper="Ding et al. 2024 (PASS)")
class Pass(GateMethod):
    """Hard-concrete gates with a penalty that asks for K ones and N − K zeros, and doubles until the mask has them.

    docs/theory/further-methods.md#pass. Between epochs log α is clamped to ±5, and a closed head, at −5, is opened
    with a probability that falls by a tenth each time. Differences from the released code: that probability is the same
    for all heads, where the release multiplies it by their attention confidence, which a gate method does not see; an
    epoch is a fixed fraction of the updates; the penalty stands beside the mean loss, not the sum over tokens; the
    final mask is the top K of log α.
    """

    title = "PASS"
    family = "Learned gates: penalties and others"

    @dataclass(frozen=True)
    class Options:
        learning_rate: float = option(0.2, "of log α, constant (released code: 0.2)", space=LogUniform(0.02, 2))
        coefficient: float = option(
            3e-5,
            "weight of the penalty at first (released: 0.1 on a loss summed over tokens)",
            space=LogUniform(1e-6, 0.1),
        )
        epochs: int = option(60, "epochs that the training counts as (60 in DSP's setting)", space=Integers(10, 100))
        reopen: float = option(
            0.5,
            "probability of opening a closed head after the first epoch (released: by confidence)",
            space=Uniform(0, 1),
        )
        decay: float = option(0.9, "factor of that probability from epoch to epoch", space=Uniform(0.5, 1))

        def __post_init__(self):
            if not 0 <= self.coefficient < float("inf"):
                raise ValueError(f"option 'coefficient' is {self.coefficient}; it must be finite and not negative")
            if self.epochs < 1:
                raise ValueError(f"option 'epochs' is {self.epochs}; it must be at least 1")
            for name in ("reopen", "decay"):
                if not 0 <= (value := getattr(self, name)) <= 1:
                    raise ValueError(f"option {name!r} is {value}; it lies between 0 and 1")

    def build(self, generator):
        self.logits = self.logits_parameter(generator)
        self.register_buffer(
            "offset", torch.zeros_like(self.logits.detach())
        )  # parameters are the optimiser's to write
        self.register_buffer("weight", torch.tensor(self.options.coefficient, dtype=torch.float64))
        self.register_buffer("epoch", torch.tensor(0))

    def cooldown(self, total):
        """The last checkpoint: until the penalty is met, heads close and open."""
        return total

    @property
    def log_alpha(self):
        """The log-odds of the gates: what was learnt, and what clamping and opening have added to it (N,)."""
        return self.logits + self.offset

    def sample(self, progress):
        if (epoch := progress.update * self.options.epochs // progress.total) > self.epoch:
            self._turn(epoch, progress.generator)
        uniform = torch.rand(len(self.space), generator=progress.generator, dtype=torch.float64)
        return hard_concrete(self.log_alpha, uniform.to(self.logits.device))

    @torch.no_grad()
    def _turn(self, epoch, generator):
        """Begins an epoch: doubles the penalty if it is not met, clamps log α and opens closed heads."""
        log_alpha = self.log_alpha
        closed = log_alpha <= -LIMIT + ROUNDING
        if closed.sum() != len(self.space) - self.budget:
            self.weight *= 2
        chance = self.options.reopen * self.options.decay ** (epoch - 1)
        again = torch.rand(len(self.space), generator=generator).to(closed.device) < chance
        self.offset += log_alpha.clamp(-LIMIT, LIMIT).masked_fill(closed & again, LIMIT) - log_alpha
        self.epoch.fill_(epoch)

    def penalty(self, progress):
        return self.weight.item() * binary_penalty(self.log_alpha, self.budget)

    def keep(self, budget):
        return self.largest(self.log_alpha, budget)
