"""Stochastic gates whose expected number is held at K by multipliers."""

from dataclasses import dataclass

import torch

from headprune.method import GateMethod, LogUniform, Uniform, option, register
from headprune.relaxations import hard_concrete, open_probability, reverse_gradient


@register("lagrangian_l0", paper="Wang, Wohlwend and Lei 2020 (FLOP); Xia, Zhong and Chen 2022 (CoFi)")
class LagrangianL0(GateMethod):
    """Hard-concrete gates with λ₁ (s − t) + λ₂ (s − t)², s the expected fraction of open heads, t its target.

    docs/theory/further-methods.md#lagrangian-l0. Model and gates descend, the multipliers ascend: λ₁ takes the price at
    which the constraint holds, λ₂ damps. Fractions make both independent of N. The target falls linearly from 1 to
    K / N. Differences from CoFi: gates on heads only, no distillation; log α starts at 2, not 10, from where a few
    hundred updates do not bring it down without overshooting. Kept are the heads with log α > 0, whose number is near K
    once the gates have polarised and is reported as it is; `at_k` cuts the order of log α instead.
    """

    title = "Lagrangian L0"
    family = "Learned gates: penalties and others"
    quantity = "heads asked for"

    @dataclass(frozen=True)
    class Options:
        learning_rate: float = option(
            0.1, "of log α and the multipliers, constant (CoFi: 0.01 over 20 epochs)", space=LogUniform(0.01, 1)
        )
        start: float = option(2.0, "log α of all heads at the start, ±0.01 (CoFi: 10)", space=Uniform(0, 5))
        beta: float = option(
            2 / 3, "temperature of the gates' distribution (CoFi: 2/3; Voita: 0.33)", space=Uniform(0.3, 0.9)
        )
        warmup: float = option(
            0.1, "fraction of the updates over which the target falls (CoFi: 2 of 20 epochs)", space=Uniform(0, 0.5)
        )
        at_k: bool = option(False, "keep exactly K heads, those of the largest log α", trains=False, tuned=False)

        def __post_init__(self):
            if not self.beta > 0:
                raise ValueError(f"option 'beta' is {self.beta}; a temperature must be positive")
            if not 0 <= self.warmup <= 1:
                raise ValueError(f"option 'warmup' is {self.warmup}; it is a fraction of the updates, 0 to 1")

    def build(self, generator):
        jitter = torch.randn(len(self.space), generator=generator, dtype=torch.float64)
        self.log_alpha = torch.nn.Parameter(self.options.start + 0.01 * jitter)
        self.multipliers = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def cooldown(self, total):
        """The last checkpoint: before, the constraint need not hold."""
        return total

    def sample(self, progress):
        uniform = torch.rand(len(self.space), generator=progress.generator, dtype=torch.float64)
        return hard_concrete(self.log_alpha, uniform.to(self.log_alpha.device), self.options.beta)

    def fallen(self, update, total):
        """The share of its way from 1 to K / N that the target has gone."""
        warmup = self.options.warmup
        return min(1.0, update / total / warmup) if warmup else 1.0

    def scheduled(self, update, total):
        heads = len(self.space)
        return heads - self.fallen(update, total) * (heads - self.budget)

    def penalty(self, progress):
        target = 1 - self.fallen(progress.update, progress.total) * (1 - self.budget / len(self.space))
        excess = open_probability(self.log_alpha, self.options.beta).mean() - target
        linear, quadratic = reverse_gradient(self.multipliers)
        return linear * excess + quadratic * excess**2

    def keep(self, budget):
        """Open heads, or the top K; a scope that protects more heads than are open keeps these."""
        opened = max(int((self.log_alpha > 0).sum()), self.scope.smallest(self.space))
        return self.largest(self.log_alpha, budget if self.options.at_k else opened)

    @property
    def exact(self):
        return self.options.at_k
