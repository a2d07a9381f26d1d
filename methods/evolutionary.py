"""A population of masks that exchange heads, for every budget: a near-oracle."""

from dataclasses import dataclass

import torch

from headprune.heads import HeadSpace
from headprune.method import Ranking, ScoreMethod, Uniform, option, register
from headprune.scoring.masked_losses import importance_orders, masked_losses, spread_examples


@register("evolutionary", paper="genetic search; docs/theory/further-methods.md#evolutionary")
class Evolutionary(ScoreMethod):
    """Minimises the loss over the masks of exactly K heads, by swaps, crossover and survival of the best.

    The first generation is the two masks of one-shot gradient importance (with and without normalisation per module)
    and random swaps of them. The best of parents and children survive, so that the result is never worse than
    importance on the selection loss. No mask is measured twice. Each budget has its own random numbers: what other
    budgets are asked for changes nothing. There is no ranking: the masks are not nested.
    """

    family = "Ablation and near-oracles"

    @dataclass(frozen=True)
    class Options:
        population: int = option(20, "masks that survive a generation")
        generations: int = option(20, "rounds of as many children as there are survivors")
        crossover: float = option(0.5, "probability that a child has two parents", space=Uniform(0, 1))
        sentences: int = option(256, "examples that losses are measured on, evenly spread; 0: all that are given")

        def __post_init__(self):
            for name, least in (("population", 2), ("generations", 0), ("sentences", 0)):
                if getattr(self, name) < least:
                    raise ValueError(f"option {name!r} is {getattr(self, name)}; it must be at least {least}")
            if not 0 <= self.crossover <= 1:
                raise ValueError(f"option 'crossover' is {self.crossover}; it is a probability, 0 to 1")

    def masks(self, model, batches, budgets, rng):
        space, data, known = HeadSpace.of(model), spread_examples(batches, self.options.sentences), {}

        def by_loss(masks):
            """The masks without repetition, the best first."""
            masks = list(dict.fromkeys(masks))
            if new := [kept for kept in masks if kept not in known]:
                rows = torch.tensor([space.keep(kept).keep for kept in new], dtype=torch.float32)
                known.update(zip(new, masked_losses(model, data, rows).tolist(), strict=True))
            return sorted(masks, key=lambda kept: (known[kept], sorted(kept)))

        rankings = [Ranking(space, order) for order in importance_orders(model, batches)]
        base, found = int(torch.randint(2**31, (), generator=rng)), {}
        for budget in budgets:
            masks = [ranking.mask(budget, self.scope) for ranking in rankings]
            seeds = [frozenset(i for i, keep in enumerate(mask.keep) if keep) for mask in masks]
            generator = torch.Generator().manual_seed(base + budget)
            choice = 0 < budget < len(space)
            found[budget] = space.keep(self._evolve(space, seeds, by_loss, generator) if choice else seeds[0])
        return found

    def _evolve(self, space, seeds, by_loss, generator):
        size, kept = self.options.population, len(seeds[0])
        most = 1 + min(kept, len(space) - kept) // 2  # swaps between a seed and a first mask
        first = list(seeds)
        for number in range(size - len(seeds)):
            mask = seeds[number % len(seeds)]
            for _ in range(1 + pick(most, generator)):
                mask = self._swap(space, mask, generator)
            first.append(mask)
        population = by_loss(first)[:size]
        for _ in range(self.options.generations):
            children = [self._child(space, population, generator) for _ in range(size)]
            population = by_loss(population + children)[:size]
        return population[0]

    def _child(self, space, population, generator):
        """A swap of one parent, or of a mix of two; each parent is the better of two drawn."""
        one, two = (population[min(pick(len(population), generator) for _ in range(2))] for _ in range(2))
        if torch.rand((), generator=generator) < self.options.crossover:
            union = one | two
            gone = self.scope.order(space, shuffled(one ^ two, generator), union)
            one = union - set(gone[: len(union) - len(one)])
        return self._swap(space, one, generator)

    def _swap(self, space, kept, generator):
        """Opens a removed head and removes a kept one, both random, within the scope."""
        removed = shuffled(set(range(len(space))) - kept, generator)
        if not removed:
            return kept
        gone = self.scope.order(space, shuffled(kept, generator), kept | {removed[0]})
        return (kept | {removed[0]}) - {gone[0]} if gone else kept


def pick(count, generator):
    return int(torch.randint(count, (), generator=generator))


def shuffled(heads, generator):
    heads = sorted(heads)
    return [heads[i] for i in torch.randperm(len(heads), generator=generator).tolist()]
