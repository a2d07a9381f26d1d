"""Heads go whose absence the rest of their module makes up for best; the rest takes over."""

from dataclasses import dataclass

import torch

from headprune.heads import HeadSpace, attention_points
from headprune.method import LogUniform, Pruning, Ranking, ScoreMethod, option, register
from headprune.scoring.exchange import exchanged
from headprune.scoring.reconstruction import (
    context_moments,
    damped_inverse,
    head_channels,
    output_weight,
    reconstruct_weights,
    reconstruction_error,
    removal_cost,
    remove_channels,
)


@register("obs", paper="Kurtic, Frantar and Alistarh 2023 (ZipLM), at head granularity")
class OptimalBrainSurgeon(ScoreMethod):
    """Second-order removal with weight update: greedily the head of the least tr(W_S ((G⁻¹)_SS)⁻¹ W_Sᵀ) goes.

    The cost is the mean squared change of the module's output, with damped G = E[c cᵀ] over the contexts of the
    unpruned model, after the surviving columns of W_O have taken over what they can. Every step updates W_O and G⁻¹ of
    its module by block elimination (docs/theory/reconstruction.md#obs). No code of the authors was read. ZipLM prunes
    for a speed-up and searches the number of heads per module; here all heads cost the same and modules compete by
    their costs.
    """

    title = "OBS"
    family = "Reconstruction"

    @dataclass(frozen=True)
    class Options:
        damping: float = option(
            0.01, "added to the diagonal of G, as a fraction of the diagonal's mean", space=LogUniform(0.0001, 1)
        )
        per_module: bool = option(False, "divide costs by the mean squared output of the module, E‖W_O c‖²")
        exchange: bool = option(False, "then exchange kept and removed heads while that lowers the cost of the mask")

        def __post_init__(self):
            if not 0 < self.damping < float("inf"):
                raise ValueError(f"option 'damping' is {self.damping}; it must be positive")

    def rank(self, model, batches, rng):
        return self._greedy(model, context_moments(model, batches))

    def masks(self, model, batches, budgets, rng):
        moments, damping = context_moments(model, batches), self.options.damping
        ranking = self._greedy(model, moments)
        masks = {budget: ranking.mask(budget, self.scope) for budget in budgets}
        if self.options.exchange:
            modules = self._modules(model, moments)
            masks = {budget: self._exchanged(mask, modules) for budget, mask in masks.items()}
        return {k: Pruning(mask, reconstruct_weights(model, mask, moments, damping)) for k, mask in masks.items()}

    def _exchanged(self, mask, modules):
        """The mask after exchanges of heads; masks of different budgets need not be nested any more."""
        space = mask.space
        every = frozenset(range(len(space)))
        removed = exchanged(
            frozenset(head for head, keep in enumerate(mask.keep) if not keep),
            [modules.index(module) for module in modules],
            lambda module, heads: modules[module].cost(sorted(heads)) if heads else 0.0,
            lambda heads: self.scope.allows(space.keep(every - heads)),
        )
        return space.keep(every - removed)

    def _modules(self, model, moments):
        """The module of every head, as it is before any goes (N,)."""
        found = []
        for point in (point for point in attention_points(model) if point.indices):
            found += [_Module(point, moments[point.name], len(found), self.options)] * len(point.indices)
        return found

    def _greedy(self, model, moments):
        space, modules, costs = HeadSpace.of(model), self._modules(model, moments), {}
        for module in dict.fromkeys(modules):
            costs |= module.costs()
        removal = []
        while costs:
            order = sorted(costs, key=lambda head: (costs[head], -head))
            head = (self.scope.order(space, order, costs) or order)[0]  # at last the protected ones, best kept
            modules[head].remove(head)
            del costs[head]
            costs |= modules[head].costs()
            removal.append(head)
        return Ranking(space, tuple(removal))


class _Module:
    """The rest of one attention module: W_O, G⁻¹, and the channels of its heads by position in the space."""

    def __init__(self, point, moments, start, options):
        self.weight, self.inverse = output_weight(point), damped_inverse(moments.second, options.damping)
        self.left = {start + i: head_channels(point, [i]) for i in range(len(point.indices))}
        self.unit = (reconstruction_error(self.weight, moments.second) or 1.0) if options.per_module else 1.0

    def costs(self):
        """The cost of every head that is left, by position."""
        return {head: self.cost([head]) for head in self.left}

    def cost(self, heads):
        """The cost of removing these heads together."""
        channels = torch.cat([self.left[head] for head in heads])
        return removal_cost(self.weight, self.inverse, channels) / self.unit

    def remove(self, head):
        self.weight, self.inverse = remove_channels(self.weight, self.inverse, self.left.pop(head))
