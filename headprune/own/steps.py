"""The steps of a long computation, told one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Tell = Callable[[int, int, str], None]  # steps done, steps in all, what comes next


@dataclass
class Steps:
    """Counts the steps.

    :param total: of them; where it is not known before, as many as there may be
    """

    tell: Tell
    total: int
    done: int = -1

    def __call__(self, what: str) -> None:
        """The next step begins."""
        self.done += 1
        self.within(what)

    def within(self, what: str) -> None:
        """Tells how far the step is that is under way."""
        self.tell(min(self.done, self.total), self.total, what)
