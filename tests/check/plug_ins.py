"""Bodies of method files: correct ones, and what turns a piece of a class into one."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

from headprune.check import CheckReport, Result

SCORER = """
@register("mine", paper="Someone 2026")
class Mine(ScoreMethod):
    "Scores."
"""
GATES = """
@register("mine", paper="Someone 2026")
class Mine(GateMethod):
    "Gates."

    @dataclass(frozen=True)
    class Options:
        learning_rate: float = option(0.1, "of the logits")

    def build(self, generator):
        self.logits = self.logits_parameter(generator)

    def sample(self, progress):
        return straight_through(top_k(self.logits, self.budget), self.logits.sigmoid())

    def keep(self, budget):
        return self.largest(self.logits, budget)
"""

CheckBody = Callable[[str], CheckReport]
Write = Callable[..., Path]


def scorer(methods: str) -> str:
    return SCORER + textwrap.indent(textwrap.dedent(methods), "    ")


def gates(methods: str) -> str:
    return GATES + textwrap.indent(textwrap.dedent(methods), "    ")


def failure(report: CheckReport, title: str) -> Result:
    """The one failed check whose title contains these words."""
    (found,) = [result for result in report.failures if title in result.title]
    return found


CORRECT = scorer(
    """
    @dataclass(frozen=True)
    class Options:
        share: float = option(0.5, "weight of the gradient; the rest is noise")

    def scores(self, model, batches, rng):
        noise = torch.rand(len(HeadSpace.of(model)), generator=rng)
        return self.options.share * head_importance(model, batches) + (1 - self.options.share) * noise
    """
)
