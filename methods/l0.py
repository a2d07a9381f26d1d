"""Each head has a stochastic gate, and open gates cost."""

import math
from dataclasses import dataclass

import torch

from headprune.method import GateMethod, LogUniform, Uniform, option, register
from headprune.relaxations import hard_concrete, open_probability


@register("l0", paper="Voita et al. 2019; Louizos, Welling and Kingma 2018")
class HardConcreteL0(GateMethod):
    """Hard-concrete gates with a penalty on the expected number of open ones; kept are the heads with log α > 0.

    docs/theory/hard-concrete.md. The penalty weighs the plain *sum* over heads of P(open) beside the *mean* loss per
    target: the λ_eff to which the coefficients of all code bases convert (`relaxations.effective_penalty`, D13).
    Differences from the released code, numbered as in docs/theory/defects.md: log α has its own constant learning rate
    everywhere (D14), no weight decay (D11), and is clipped apart (D12); validation closes heads as the final report
    does, instead of by real-valued gates. How many heads are left follows from the penalty: a budget is reached by a
    search over it, or `at_k` cuts the order of log α.
    """

    title = "L0"
    family = "Learned gates: penalties and others"
    per_budget = False
    coefficient = "penalty"
    quantity = "penalty"

    @dataclass(frozen=True)
    class Options:
        learning_rate: float = option(
            0.1, "of log α, constant (DSP, classification: 0.1; Voita: the model's own)", space=LogUniform(0.01, 1)
        )
        penalty: float = option(0.01, "λ_eff, cost of an open head (Voita's script: 0.0056; DSP: about 0.055)")
        warmup: float = option(
            0.0,
            "fraction of the updates over which the penalty grows linearly from 0 (paper: 0)",
            space=Uniform(0, 0.5),
        )
        at_k: bool = option(False, "keep exactly K heads, those of the largest log α", trains=False, tuned=False)

        def __post_init__(self):
            if not 0 <= self.penalty < math.inf:
                raise ValueError(f"option 'penalty' is {self.penalty}; it must be finite and not negative")
            if not 0 <= self.warmup <= 1:
                raise ValueError(f"option 'warmup' is {self.warmup}; it is a fraction of the updates, 0 to 1")

    def build(self, generator):
        """Glorot-uniform as of a (1, heads of a module, 1, 1) tensor: U(−b, b), b = √(6 / (H + 1))."""
        bound = math.sqrt(6 / (len(self.space) / len(self.space.modules) + 1))
        uniform = torch.rand(len(self.space), generator=generator, dtype=torch.float64)
        self.log_alpha = torch.nn.Parameter((2 * uniform - 1) * bound)

    def cooldown(self, total):
        """The last checkpoint: the penalty closes heads to the end."""
        return total

    def sample(self, progress):
        uniform = torch.rand(len(self.space), generator=progress.generator, dtype=torch.float64)
        return hard_concrete(self.log_alpha, uniform.to(self.log_alpha.device))

    def scheduled(self, update, total):
        warmup = self.options.warmup
        grown = min(1.0, update / total / warmup) if warmup else 1.0
        return grown * self.options.penalty

    def penalty(self, progress):
        return self.scheduled(progress.update, progress.total) * open_probability(self.log_alpha).sum()

    def keep(self, budget):
        """Open heads, or the top K; a scope that protects more heads than are open keeps these."""
        opened = max(int((self.log_alpha > 0).sum()), self.scope.smallest(self.space))
        return self.largest(self.log_alpha, budget if self.options.at_k else opened)

    @property
    def exact(self):
        return self.options.at_k
