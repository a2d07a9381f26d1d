"""The masks of a method, found when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from headprune.method import Pruning, ScoreMethod
from headprune.method.guards import undisturbed
from headprune.own.workpiece import Workpiece


@dataclass
class Judge:
    """A method that judges the heads of a model.

    One whose masks are cuts of a ranking judges once. Any other is asked for the masks that are needed and no more.

    :param before: called before it judges
    """

    work: Workpiece
    before: Callable[[], Any] = lambda: None
    found: dict[int, Pruning] = field(default_factory=dict)

    @property
    def nested(self) -> bool:
        """True if all masks are cuts of one ranking, so that with fewer heads no other one comes back."""
        return self.work.request.loaded.method.masks is ScoreMethod.masks  # type: ignore[attr-defined]

    @property
    def terms(self) -> dict[str, Any]:
        """All that masks depend on, beside model and examples."""
        entry = self.work.request.loaded
        return {"name": entry.name, "options": asdict(entry.options(self.work.request.options)), "file": entry.sha256}

    def find(self, budgets: Iterable[int]) -> None:
        """Has the method find the masks of these numbers of heads, if it has not yet.

        :raises ConductError: it changed the model or the state of the process.
        :raises ValueError: a mask misses its budget.
        """
        missing = [budget for budget in budgets if budget not in self.found]
        if not missing:
            return
        self.before()
        entry, request = self.work.request.loaded, self.work.request
        method = entry.method(entry.options(request.options))
        rng, batches = torch.Generator().manual_seed(request.seed), self.work.calibration()
        asked = range(len(self.work.space) + 1) if self.nested else missing
        with undisturbed(entry.name, self.work.model):
            masks = method.masks(self.work.model, batches, list(asked), rng)
        for budget in missing:
            if (count := Pruning.of(masks[budget]).mask.count) != budget:
                raise ValueError(f"{entry.name} keeps {count} heads, it was asked to keep {budget}")
        self.found |= {budget: Pruning.of(mask) for budget, mask in masks.items()}

    def pruning(self, budget: int) -> Pruning:
        """The mask that keeps so many heads, with the weights that make up for the others."""
        self.find([budget])
        return self.found[budget]
