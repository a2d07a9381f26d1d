"""The section on how jobs are run: attempts, limits, GPUs, points to resume from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, WithJsonSchema, field_validator

from headprune.naming import unknown
from headprune.results.jobs import JOBS
from headprune.settings import UPDATES, Name, Section, Whole

YEAR = 525_600  # minutes
MOST_MEMORY = 10**9  # MiB
Minutes = Annotated[Whole, WithJsonSchema({"type": "integer", "minimum": 1, "maximum": YEAR})]  # as `_kinds` has it
Mebibytes = Annotated[Whole, WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MOST_MEMORY})]


class Execution(Section):
    """The way jobs are run. None of it changes a result, so nothing runs again when it is changed."""

    attempts: int = Field(
        2, ge=1, le=20, description="how often a job may be killed, or exceed its time, before it fails"
    )
    minutes: dict[Name, Minutes] = Field(
        default_factory=dict,
        max_length=20,
        description="time of a first attempt by kind of job; the second has twice as much, …",
    )
    memory_mb: dict[Name, Mebibytes] = Field(
        default_factory=dict,
        max_length=20,
        description="memory of a first attempt by kind of job, for each worker of a training; the second has twice as "
        "much, …",
    )
    max_minutes: int | None = Field(
        None, ge=1, le=YEAR, description="most time that any attempt gets; trainings resume"
    )
    max_memory_mb: int | None = Field(None, ge=1, le=MOST_MEMORY, description="most memory that any attempt gets")
    gpus: Literal["none", "training", "all"] = Field(
        "none", description="jobs that ask for GPUs: those that train, one per worker, or all, one each"
    )
    checkpoint_updates: int = Field(
        1000, ge=1, le=UPDATES, description="updates between two states of a training to resume from"
    )
    checkpoint_minutes: float = Field(
        10, gt=0, le=YEAR, description="minutes between two such states, if that comes first"
    )

    warm: bool = Field(
        True, description="jobs on this machine begin as copies of a process that has imported what they need"
    )

    @field_validator("minutes", "memory_mb")
    @classmethod
    def _kinds(cls, values: dict[str, int], info: ValidationInfo) -> dict[str, int]:
        for kind, value in values.items():
            if kind not in JOBS:
                raise ValueError(unknown("kind of job", kind, JOBS))
            most = YEAR if info.field_name == "minutes" else MOST_MEMORY
            if not 1 <= value <= most:
                raise ValueError(f"{kind}: {value} must be at least 1 and at most {most:,}")
        return values

    def minutes_of(self, kind: str, attempt: int = 1) -> int:
        """Time limit of an attempt, counted from 1, at a job of a kind."""
        wanted = attempt * self.minutes.get(kind, JOBS[kind].minutes)
        return wanted if self.max_minutes is None else min(wanted, self.max_minutes)

    def memory_of(self, kind: str, attempt: int = 1, workers: int = 1) -> int:
        """Memory of an attempt, counted from 1, at a job of a kind, in MB.

        :param workers: processes that share a training, each of which needs its own
        """
        wanted = attempt * workers * self.memory_mb.get(kind, JOBS[kind].memory)
        return wanted if self.max_memory_mb is None else min(wanted, self.max_memory_mb)

    def gpus_of(self, kind: str, workers: int) -> int:
        """GPUs that a job asks for.

        :param workers: of a training
        """
        if JOBS[kind].step == "prepared" or self.gpus == "none":
            return 0
        return workers if JOBS[kind].trains else int(self.gpus == "all")
