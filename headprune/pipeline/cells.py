"""Cells, the units of results, and jobs, the units of scheduling."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headprune.naming import cell_id
from headprune.results.jobs import JOBS


@dataclass(frozen=True)
class Cell:
    """One (model, method arm, draw, treatment, budget, seed)."""

    model: str
    method: str
    arm: str
    draw: int  # 0: the method is not drawn repeatedly
    budget: int
    seed: int
    n_heads: int
    treatment: str = ""  # suffix of the treatment, `ft`; empty: none
    treatment_draw: int = 0

    @property
    def full_arm(self) -> str:
        """The arm as it stands in the tables, `joint+ft`: draws are arms of their own."""
        arm = "-".join(part for part in (self.arm, _draw(self.draw)) if part)
        treatment = "-".join(part for part in (self.treatment, _draw(self.treatment_draw)) if part)
        return f"{arm}+{treatment}" if treatment else arm

    @property
    def id(self) -> str:
        return cell_id(self.model, self.method, self.full_arm, self.budget, self.seed)

    @property
    def untreated(self) -> Cell:
        """The cell whose mask a treatment takes."""
        return replace(self, treatment="", treatment_draw=0)


def _draw(number: int) -> str:
    return f"draw{number}" if number else ""


@dataclass(frozen=True)
class Job:
    """One process.

    :param kind: a key of `headprune.results.jobs.JOBS`
    :param label: of a method entry, the name of a batch of them, or the kind of an ablation
    :param trial: of the tuning of an entry, counted from 0
    """

    kind: str
    model: str = ""
    dataset: str = ""
    label: str = ""
    budget: int | None = None
    seed: int | None = None
    trial: int | None = None

    @property
    def name(self) -> str:
        """`gates/tiny/dsp.joint/k4/s1`"""
        return f"{self.kind}/{JOBS[self.kind].place.format(**vars(self))}"

    @property
    def receipt(self) -> str:
        """File that tells how it ended, below the results folder of the profile."""
        return f"jobs/{self.name}.json"
