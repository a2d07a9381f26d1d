"""Heads go by the empirical Fisher information of their gates; survivors are rescaled to make up for them."""

from dataclasses import dataclass

import torch

from headprune.heads import HeadSpace
from headprune.importance import gate_gradients
from headprune.method import Integers, LogUniform, Pruning, Ranking, ScoreMethod, option, register
from headprune.scoring.reconstruction import rescaled_gates, scale_heads


@register("fisher", paper="Kwon et al. 2022, heads only")
class Fisher(ScoreMethod):
    """Removes the heads R that raise ½ Σ_{i,j∈R} F_ij least, F = E[g gᵀ] with g = ∂L/∂m, then rescales the others.

    docs/theory/reconstruction.md#fisher. The diagonal of F ranks all heads; within each module, swaps at equal counts
    lower the sum over the module's whole block of F; scales by least squares bring the module's output nearest to the
    unpruned model's. Released code differs: it counts FLOPs or latency instead of heads (its latency search changes the
    budget inside the loop), prunes FFN filters as well, takes F over mini-batches of 32 (`group`) and does not scale
    the first attention (`skip_first`). Here g is of single examples, swaps go on until none helps, and what is fitted
    is the output of the attention module, without the residual stream.
    """

    title = "Fisher"
    family = "Reconstruction"

    @dataclass(frozen=True)
    class Options:
        rearrange: bool = option(True, "swap heads within modules by the off-diagonal Fisher information")
        rescale: bool = option(True, "scale the kept heads' outputs by least squares")
        group: int = option(
            1,
            "successive examples whose mean gradient enters F as one (the released code: 32)",
            space=Integers(1, 32, log=True),
        )
        limit: float = option(
            10.0, "rescaling stops at the first module that needs a scale beyond ± this", space=LogUniform(2, 100)
        )
        skip_first: bool = option(
            False, "do not rescale the first module of the forward pass (the released code: true)"
        )

        def __post_init__(self):
            if self.group < 1:
                raise ValueError(f"option 'group' is {self.group}; it must be at least 1")
            if not self.limit >= 1:
                raise ValueError(f"option 'limit' is {self.limit}; it must be at least 1, the scale before the fit")

    def scores(self, model, batches, rng):
        return self._information(model, batches).diagonal()

    def masks(self, model, batches, budgets, rng):
        information, space = self._information(model, batches), HeadSpace.of(model)
        ranking = Ranking.by_score(space, information.diagonal())
        found = {budget: ranking.mask(budget, self.scope) for budget in budgets}
        if self.options.rearrange:
            found = {budget: _rearranged(mask, information) for budget, mask in found.items()}
        if self.options.rescale:
            return {budget: self._rescaled(model, mask, batches) for budget, mask in found.items()}
        return found

    def _information(self, model, batches):
        """F = E[g gᵀ] (N, N), float64."""
        # (positions, batch, heads) of every module → (batch, N)
        examples = [torch.cat([g.double().sum(0) for g in gate_gradients(model, b)], dim=1).cpu() for b in batches]
        if not examples:
            raise ValueError("method 'fisher' needs at least one example; the batches are empty")
        gradients = torch.stack([group.mean(0) for group in torch.cat(examples).split(self.options.group)])
        return gradients.t() @ gradients / len(gradients)

    def _rescaled(self, model, mask, batches):
        gates = rescaled_gates(model, mask, batches, self.options.limit, self.options.skip_first)
        return Pruning(mask, scale_heads(model, gates))


def _rearranged(mask, information):
    """The mask after swaps within every module; all modules keep their counts."""
    kept, start = [], 0
    for count in (mask.space.module_of.count(module) for module in range(len(mask.space.modules))):
        own = slice(start, start + count)
        removed = [i for i, keep in enumerate(mask.keep[own]) if not keep]
        gone = swapped(information[own, own], removed)
        kept += [start + i for i in range(count) if i not in gone]
        start += count
    return mask.space.keep(kept)


def swapped(form, removed):
    """Makes the swap that lowers Σ_{i,j∈R} form_ij most, until none does.

    :param form: symmetric (heads, heads)
    :param removed: R, the heads to begin with
    :returns: as many heads, their sum never larger
    """
    gone, least = sorted(removed), -1e-12 * form.diagonal().sum()
    while gone and len(gone) < len(form):
        left = [i for i in range(len(form)) if i not in gone]
        pull = 2 * form[:, gone].sum(1)
        leave, enter = (form.diagonal() - pull)[gone], (form.diagonal() + pull)[left]
        change = leave.unsqueeze(1) + enter - 2 * form[gone][:, left]  # (removed, kept): swap one for the other
        if not change.min() < least:
            break
        out, into = divmod(int(change.argmin()), len(left))
        gone = sorted({*gone, left[into]} - {gone[out]})
    return gone
