"""The masks of a method, found when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from headprune.method import Pruning, ScoreMethod
from headprune.method.masks import masks_of
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

        :raises ConductError: it changed the model or the state of the process, or opened the data.
        :raises ValueError: see `masks_of`.
        """
        missing = [budget for budget in budgets if budget not in self.found]
        if not missing:
            return
        self.before()
        entry, request = self.work.request.loaded, self.work.request
        method = entry.method(entry.options(request.options))
        asked = range(len(self.work.space) + 1) if self.nested else missing
        batches, closed = self.work.calibration(), [request.data]
        self.found |= masks_of(method, self.work.model, batches, asked, request.seed, closed=closed)

    def pruning(self, budget: int) -> Pruning:
        """The mask that keeps so many heads, with the weights that make up for the others."""
        self.find([budget])
        return self.found[budget]
