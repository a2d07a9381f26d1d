"""A model trained under head dropout, whose heads are then ranked: one training serves every budget."""

from dataclasses import dataclass

import torch

from headprune.heads import HeadSpace
from headprune.importance import head_importance, normalise_per_module
from headprune.method import GateMethod, Ranking, Uniform, option, register


def v_shape(fraction, rate, valley):
    """`rate` at 0 and at 1, 0 at `valley`, linear in between."""
    if fraction < valley:
        return rate * (1 - fraction / valley)
    return rate * (fraction - valley) / (1 - valley) if valley < 1 else 0.0


def head_dropout(uniform, rate, rescale):
    """Gates of one module: a head whose uniform number is below `rate` is dropped, the one with the largest never.

    :param uniform: numbers in [0, 1) (H,)
    :param rescale: survivors are multiplied by H / survivors, so that the gates always sum to H
    :returns: (H,)
    """
    survivors = uniform >= min(rate, uniform.max().item())
    gates = survivors.to(uniform.dtype)
    return gates * (len(gates) / gates.sum()) if rescale else gates


@register("drophead", paper="Zhou et al. 2020, Scheduled DropHead")
class DropHead(GateMethod):
    """Drops heads at random, module by module, at a rate of V shape; afterwards, gradient importance ranks them.

    docs/theory/further-methods.md#drophead. No code was read. There are no parameters, nothing is learnt about single
    heads: the training makes the model robust to missing ones. A draw holds for the whole forward pass; a module always
    has a head left, else the scale H / survivors would be infinite. The ranking is that of gradient_importance in one
    shot.
    """

    title = "DropHead"
    family = "Learned gates: penalties and others"
    modes = ("joint", "continued")
    per_budget = False

    @dataclass(frozen=True)
    class Options:
        rate: float = option(
            0.2, "probability of dropping a head at the first and last update", space=Uniform(0.05, 0.5)
        )
        valley: float = option(0.5, "fraction of the updates after which the rate is 0", space=Uniform(0.1, 0.9))
        rescale: bool = option(True, "multiply the surviving heads of a module by H / survivors")
        per_module: bool = option(True, "divide importance by the norm of the module's", trains=False)

        def __post_init__(self):
            for name in ("rate", "valley"):
                if not 0 <= (value := getattr(self, name)) <= 1:
                    raise ValueError(f"option {name!r} is {value}; it lies between 0 and 1")

    def build(self, generator):
        self.sizes = list(self.space.full.per_module().values())

    def cooldown(self, total):
        """The last checkpoint: validation, with all heads, cannot see the robustness that the second arm builds."""
        return total

    def sample(self, progress):
        rate = v_shape(progress.fraction, self.options.rate, self.options.valley)
        uniform = torch.rand(len(self.space), generator=progress.generator, dtype=torch.float64)
        return torch.cat([head_dropout(part, rate, self.options.rescale) for part in uniform.split(self.sizes)])

    def keep(self, budget):
        """All heads, for validation; which of them a smaller budget keeps is known to `masks` only."""
        if budget != len(self.space):
            raise ValueError(f"drophead knows no order of heads before `masks`; budget {budget} is not N")
        return self.space.full

    def masks(self, model, batches, budgets, rng):
        whole = HeadSpace.of(model)
        scores = head_importance(model, batches)
        if self.options.per_module:
            scores = normalise_per_module(scores, whole)
        position = {head: i for i, head in enumerate(whole)}
        ranking = Ranking.by_score(self.space, scores[[position[head] for head in self.space]])
        return {budget: ranking.mask(budget, self.scope) for budget in budgets}
