"""Heads are removed one by one, each time the one that is missed least: a near-oracle."""

from dataclasses import dataclass

import torch

from headprune.heads import HeadSpace
from headprune.method import Ranking, ScoreMethod, option, register
from headprune.scoring.masked_losses import importance_orders, masked_losses, spread_examples, without


@register("greedy", paper="backward elimination, a near-oracle; docs/theory/further-methods.md#greedy")
class Greedy(ScoreMethod):
    """At every step the loss without each surviving head is measured and the head of the lowest loss goes.

    At each budget, one-shot gradient importance (on all the examples given, with and without normalisation per module)
    is measured on the same examples and its mask taken where it is better: on the selection loss, greedy is never
    worse. The masks of different budgets are therefore not always nested; `rank` gives the pure greedy order.
    """

    family = "Ablation and near-oracles"

    @dataclass(frozen=True)
    class Options:
        sentences: int = option(256, "examples that losses are measured on, evenly spread; 0: all that are given")
        step: int = option(1, "heads removed between two measurements")

        def __post_init__(self):
            if self.sentences < 0:
                raise ValueError(f"option 'sentences' is {self.sentences}; it must not be negative")
            if self.step < 1:
                raise ValueError(f"option 'step' is {self.step}; it must be at least 1")

    def rank(self, model, batches, rng):
        space, data = HeadSpace.prunable(model), spread_examples(batches, self.options.sentences)
        alive, removal = set(range(len(space))), []
        while free := [head for head in sorted(alive) if self.scope.order(space, [head], alive)]:
            order = free
            if len(free) > 1:
                losses = masked_losses(model, data, without(alive, free, len(space))).tolist()
                order = [
                    head for _, head in sorted(zip(losses, free, strict=True), key=lambda pair: (pair[0], -pair[1]))
                ]
            taken = self.scope.order(space, order, alive)[: self.options.step]
            removal += taken
            alive -= set(taken)
        return Ranking(space, (*removal, *sorted(alive, reverse=True)))  # whatever is left is protected

    def masks(self, model, batches, budgets, rng):
        ranking = self.rank(model, batches, rng)
        others = [Ranking(ranking.space, order) for order in importance_orders(model, batches)]
        found = {k: [r.mask(k, self.scope) for r in (ranking, *others)] for k in budgets}
        distinct = list(dict.fromkeys(mask.keep for masks in found.values() for mask in masks))
        data = spread_examples(batches, self.options.sentences)
        losses = masked_losses(model, data, torch.tensor(distinct, dtype=torch.float32).view(-1, len(ranking.space)))
        loss = dict(zip(distinct, losses.tolist(), strict=True))
        return {budget: min(masks, key=lambda mask: loss[mask.keep]) for budget, masks in found.items()}
