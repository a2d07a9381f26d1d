"""Each head has a stochastic gate that is open or closed, open gates cost, and what is left of a layer is scaled up."""

import math
from dataclasses import dataclass

import torch

from headprune.heads import attention_points
from headprune.method import GateMethod, LogUniform, OutputProjection, Pruning, Uniform, option, register
from headprune.relaxations import hard_concrete, open_probability, straight_through

BETA = 0.333  # temperature of the distribution


@register("layerwise_l0", paper="Shim, Choi, Sung and Choi 2021")
class LayerwiseL0(GateMethod):
    """Straight-through hard-concrete gates on a converged model; the cost is the plain sum over heads of P(open).

    docs/theory/layerwise-l0.md, with the paper's three stabilisers, each with a switch: the penalty grows from 0
    (`warmup`), gates start mostly open (`initial`), the heads that a layer keeps are scaled by the inverse of their
    fraction (`scaling`; κ in the clean form H / max(1, Σ z)). Kept are the heads with α ≥ 0, each layer its own
    number. Differences from the released code: it names the scaling and leaves it out, here it is on, and goes into the
    output projection on removal; the learning rate of the gates is absolute, not a multiple of the model's. One tensor
    of gates per layer, which matters to LAMB. A budget is reached by a search over the penalty, or `at_k` cuts the
    order of α; both are ours, the paper trains once per λ.
    """

    title = "layer-wise L0"
    family = "Learned gates: layer-wise"
    per_budget = False
    coefficient = "penalty"
    quantity = "penalty"

    @dataclass(frozen=True)
    class Options:
        learning_rate: float = option(
            0.03, "of α, constant (paper: 1e-3 with LAMB for 28,000 updates and more)", space=LogUniform(0.001, 0.3)
        )
        penalty: float = option(0.015, "λ, nats per open head (paper: 0.01 to 0.02 for 128 heads)")
        warmup: float = option(
            0.3, "fraction of the updates over which the penalty grows from 0 (paper: 1/20)", space=Uniform(0, 0.5)
        )
        initial: float = option(
            2.0, "α of every head at the start (paper: 2; without the stabiliser: 0)", space=Uniform(0, 4)
        )
        scaling: bool = option(True, "scale what a layer keeps by H / heads kept (released code: off)")
        at_k: bool = option(False, "keep exactly K heads, those of the largest α", trains=False, tuned=False)

        def __post_init__(self):
            if not 0 <= self.penalty < math.inf:
                raise ValueError(f"option 'penalty' is {self.penalty}; it must be finite and not negative")
            if not 0 <= self.warmup <= 1:
                raise ValueError(f"option 'warmup' is {self.warmup}; it is a fraction of the updates, 0 to 1")
            if not math.isfinite(self.initial):
                raise ValueError(f"option 'initial' is {self.initial}; it must be finite")

    def build(self, generator):
        sizes = [self.space.module_of.count(position) for position in range(len(self.space.modules))]
        start = self.options.initial
        layers = (torch.nn.Parameter(torch.full((size,), start, dtype=torch.float64)) for size in sizes)
        self.log_alpha = torch.nn.ParameterList(layers)  # one tensor per attention module

    def cooldown(self, total):
        """The last checkpoint: the penalty closes heads to the end."""
        return total

    def sample(self, progress):
        uniform = torch.rand(len(self.space), generator=progress.generator, dtype=torch.float64)
        soft = hard_concrete(torch.cat(list(self.log_alpha)), uniform.to(self.log_alpha[0].device), BETA)
        gates = straight_through((soft >= 0.5).to(soft.dtype), soft)
        return gates * self.scale(gates.detach())

    def scale(self, opened):
        """κ of every head's layer, H / max(1, open heads); ones without scaling (N,)."""
        if not self.options.scaling:
            return torch.ones_like(opened)
        module = torch.tensor(self.space.module_of, device=opened.device)
        kept = torch.zeros(len(self.space.modules), dtype=opened.dtype, device=opened.device)
        total = kept.index_add(0, module, torch.ones_like(opened))
        return (total / kept.index_add(0, module, opened).clamp(min=1))[module]

    def scheduled(self, update, total):
        """λ(k) = λ · (k + 1) / k_w during the first k_w updates, λ afterwards."""
        warm = round(self.options.warmup * total)
        grown = min(1.0, (update + 1) / warm) if warm else 1.0
        return grown * self.options.penalty

    def penalty(self, progress):
        """λ(k) · Ω."""
        weight = self.scheduled(progress.update, progress.total)
        return weight * open_probability(torch.cat(list(self.log_alpha)), BETA).sum()

    def keep(self, budget):
        """Open heads, or the top K; a scope that protects more heads than are open keeps these."""
        alpha = torch.cat(list(self.log_alpha))
        opened = max(int((alpha >= 0).sum()), self.scope.smallest(self.space))
        return self.largest(alpha, budget if self.options.at_k else opened)

    def gates(self, mask):
        kept = torch.tensor(mask.keep, dtype=torch.float32)
        return kept * self.scale(kept)

    @property
    def exact(self):
        return self.options.at_k

    def masks(self, model, batches, budgets, rng):
        """The scale of what a layer keeps goes into its output projection."""
        return {budget: self.folded(model, self.keep(budget)) for budget in budgets}

    def folded(self, model, mask):
        scale = self.scale(torch.tensor(mask.keep).double()).tolist()
        kappa = {head.module: value for head, value in zip(mask.space, scale, strict=True)}
        kept = mask.per_module()
        outputs = {
            point.name: OutputProjection(point.module.out_proj.weight.detach() * kappa[point.name], None)
            for point in attention_points(model)
            if kept.get(point.name) and kappa[point.name] != 1
        }
        return Pruning(mask, outputs)
