"""Cells, the units of results, and jobs, the units of scheduling."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from headprune.naming import cell_id

PRUNING = ("score", "gates", "search", "treat", "retrain")  # kinds of jobs that find masks


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
    """One process. `receipt` is relative to the results folder of the profile."""

    kind: str
    model: str = ""
    dataset: str = ""
    label: str = ""  # of a method entry, or the name of a batch of them
    budget: int | None = None
    seed: int | None = None

    @property
    def name(self) -> str:
        parts = [self.dataset or self.model, self.label]
        parts += [
            f"k{self.budget}" if self.budget is not None else "",
            f"s{self.seed}" if self.seed is not None else "",
        ]
        return "/".join([self.kind, *(part for part in parts if part)])

    @property
    def receipt(self) -> str:
        return f"jobs/{self.name}.json"


def trial_path(folder: Path, model: str, method: str, seed: int, signature: str) -> Path:
    """Of the record of a training that serves several budgets; its model lies beside it.

    :param folder: results of the profile
    """
    return folder / "trials" / model / f"{method}-s{seed}-{signature}.json"


def ablation_path(folder: Path, model: str, kind: str, seed: int) -> Path:
    """Of what an ablation found."""
    return folder / "ablations" / model / f"{kind}-s{seed}.json"


def execution_path(folder: Path) -> Path:
    """Of how the jobs of a run are to be run."""
    return folder / "progress" / "execution.json"
