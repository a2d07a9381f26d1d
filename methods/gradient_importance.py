"""Heads whose gates move the loss least go first."""

from dataclasses import dataclass

import torch

from headprune.gates import clear_mask, set_mask
from headprune.heads import HeadSpace
from headprune.importance import head_importance, normalise_per_module
from headprune.method import Ranking, ScoreMethod, option, register

ESTIMATORS = ("example", "position", "batch", "signed")


@register("gradient_importance", paper="Michel, Levy and Neubig 2019, eq. 2")
class GradientImportance(ScoreMethod):
    """I_h = E_x |∂L(x)/∂m_h|, divided by the norm of its module, in one shot or re-estimated after every step.

    docs/theory/importance.md. Released code differs (numbers are those of docs/theory/defects.md): Michel's forks take
    the absolute value per position, the MT baseline of the DSP repository takes none (D1), and pruned heads distort
    their module's norm there (D3). Here the paper's formula is the default and pruned heads are zeroed before the norm.
    In the iterative form the last head of a module has score 1 by construction; such ties are broken by the score
    before normalisation.
    """

    title = "gradient"
    family = "Data-free and gradient scores"

    @dataclass(frozen=True)
    class Options:
        estimator: str = option("example", "where the absolute value is taken", choices=ESTIMATORS)
        iterative: bool = option(False, "re-estimate with the mask applied after every step", tuned=False)
        step: int = option(4, "heads removed between two estimates (the paper's MT scripts: 4)")
        per_module: bool = option(True, "divide by the Euclidean norm of the module's scores")

        def __post_init__(self):
            if self.step < 1:
                raise ValueError(f"option 'step' is {self.step}; it must be at least 1")

    def rank(self, model, batches, rng):
        space = HeadSpace.prunable(model)
        alive, removal = set(range(len(space))), []
        while alive:
            set_mask(model, space.keep(alive))
            raw = head_importance(model, batches, self.options.estimator)
            score = self._normalised(raw, space, alive)
            order = sorted(alive, key=lambda head: (score[head].item(), raw[head].item(), -head))
            allowed = self.scope.order(space, order, alive) or tuple(order)
            taken = allowed[: self.options.step] if self.options.iterative else order
            removal += taken
            alive -= set(taken)
        clear_mask(model)
        return Ranking(space, tuple(removal))

    def _normalised(self, raw, space, alive):
        if not self.options.per_module:
            return raw
        left = torch.tensor([float(head in alive) for head in range(len(space))], dtype=torch.float64)
        return normalise_per_module(raw, space, left)
