"""The context that a job works in, built once from its specification."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from headprune.config import Ablation, Calibration, Evaluation, Execution, Method, Speed, Treatment, model_from
from headprune.data.lengths import Bound
from headprune.heads import HeadSpace, Scope
from headprune.method import Batches, Entry, load_methods
from headprune.method.registry import BUILT_IN
from headprune.models.devices import device
from headprune.pipeline.cells import Cell
from headprune.pipeline.records import DamagedError, Record, find, hint, load
from headprune.pipeline.specification import Specification
from headprune.pipeline.store import UpstreamError, require_ok, require_whole
from headprune.results.layout import CellFolder, RunFolder
from headprune.settings import AnySubject
from headprune.tasks import TASKS
from headprune.tasks.work import Work


@dataclass(frozen=True)
class Arm:
    """A method as a profile lists it: what is registered of it, and its section of the profile."""

    entry: Entry
    settings: Method

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def label(self) -> str:
        """`dsp.joint`"""
        return self.settings.label

    @property
    def scope(self) -> Scope:
        """Heads that it may remove."""
        return self.settings.scope

    @property
    def joint(self) -> bool:
        """True if it trains from new weights, with no unpruned model before it."""
        return self.settings.mode == "joint"

    def protected(self, space: HeadSpace) -> int:
        """Number of heads of types that it may not remove: they count in the budget and have no gates."""
        return len(space) - len(self.scope.candidates(space))


@dataclass(frozen=True)
class Beginning:
    """The weights that a training of a new model begins with.

    :param checkpoint: of them; None: they are random
    :param seconds: that their own training took here
    """

    checkpoint: Path | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Context:
    """The context of every job.

    :param told: its specification, which signatures are made of
    :param job: its name
    """

    told: Specification
    kind: str
    job: str
    run: RunFolder
    dataset: str

    @classmethod
    def of(cls, told: Specification) -> Context:
        """The context of a job by its specification."""
        return Context(told, told["kind"], told["job"], RunFolder(Path(told["results"])), told["dataset"])

    @property
    def bounds(self) -> dict[str, Bound]:
        """Lengths that are asked of the splits of the dataset; no part of the specification."""
        asked = hint(self.run.bounds).get(self.dataset, {})
        return {split: Bound(**values) for split, values in asked.items()}


@dataclass(frozen=True)
class ModelContext(Context):
    """The context of a job that has to do with a model. Sections that its kind is not told are the defaults, or None.

    :param cells: those that it computes, or computes a part of
    """

    model: str
    seed: int
    settings: AnySubject
    cells: tuple[Cell, ...] = ()
    evaluation: Evaluation = field(default_factory=Evaluation)
    calibration: Calibration = field(default_factory=Calibration)
    speed: Speed = field(default_factory=Speed)
    treatment: Treatment | None = None
    ablation: Ablation | None = None

    @classmethod
    def of(cls, told: Specification) -> ModelContext:
        """The context of a job by its specification."""
        general = Context.of(told)
        sections: dict[str, Callable[..., Any]] = {
            "evaluation": Evaluation,
            "calibration": Calibration,
            "speed": Speed,
            "treatment": Treatment,
            "ablation": Ablation,
        }
        return ModelContext(
            **vars(general),
            model=told["model"],
            seed=told["seed"],
            settings=model_from(told["settings"]),
            cells=tuple(Cell(**cell) for cell in told.get("cells", ())),
            **{key: section(**told[key]) for key, section in sections.items() if key in told},
        )

    @cached_property
    def arms(self) -> tuple[Arm, ...]:
        """The methods whose masks it finds, or treats, with the options that a tuning tries or has chosen.

        :raises UpstreamError: there is no record of a choice, or a damaged one.
        """
        if "methods" not in self.told:
            return ()
        registry = load_methods(BUILT_IN, *self.told["directories"])
        methods = (Method(**method) for method in self.told["methods"])
        return tuple(Arm(registry[method.name], self._tuned(method)) for method in methods)

    def _tuned(self, method: Method) -> Method:
        """An entry with the options of the trial that the job computes, or of the one that was chosen."""
        further = self.told.get("options", {})
        if method.tuned:
            record = find(self.run.choice(self.model, method.label), "chosen")
            require_ok(record, f"the tuning of {method.label}")
            further = record["options"]
        return method.model_copy(update={"options": {**method.options, **further}}) if further else method

    @property
    def work(self) -> Work:
        """The work of the model's task."""
        return TASKS[self.settings.track].work

    @property
    def space(self) -> HeadSpace:
        """All heads of the model."""
        return self.settings.architecture.head_space

    @property
    def execution(self) -> Execution:
        return execution_of(self.run)

    @cached_property
    def corpus(self) -> Any:
        """The prepared dataset, as its track reads it, the same for the whole job; its test set is sealed but in jobs
        that test.

        :raises UpstreamError: it is not there, or damaged.
        """
        path = self.run.statistics(self.dataset)
        try:
            if not isinstance(load(path), dict):
                raise DamagedError(f"{path} holds no JSON object")
        except DamagedError as error:
            raise UpstreamError(f"{error}; `headprune retry` has it made again") from None
        return self.work.corpus(self.run.dataset(self.dataset), device(), self.kind != "test")

    @cached_property
    def calibrating(self) -> Any:
        """The corpus whose train examples methods see: that of the model, or another text as its models read it."""
        if self.calibrated_on == self.dataset:
            return self.corpus
        return self.work.rereading(self.corpus, self.run.dataset(self.calibrated_on))

    def batches(self) -> Batches:
        """The train examples that methods see: the same for all methods of a seed."""
        return self.work.calibration(self.calibrating, self.settings.architecture, self.calibration, self.seed)

    @property
    def calibrated_on(self) -> str:
        """The dataset whose train examples methods see."""
        return self.calibration.corpus or self.dataset

    @property
    def dense(self) -> Path:
        """Record of the unpruned model."""
        return self.run.dense(self.model, self.seed)

    @property
    def checkpoint(self) -> Path:
        """The unpruned model."""
        return self.dense.with_suffix(".pt")

    def trained(self) -> Record:
        """The record of the unpruned model that the job starts from.

        :raises UpstreamError: its training failed, or its checkpoint is lost or another one than was trained.
        """
        record = find(self.dense, "trained")
        require_ok(record, "training of the unpruned model")
        require_whole(self.dense, record)
        return record

    def beginning(self) -> Beginning:
        """The weights that trainings of new models begin with.

        :raises UpstreamError: they were to be made, and are not; or they are lost or others than were made.
        """
        if self.settings.begins_with is None:
            return Beginning()
        path = self.run.pretrained(self.model, self.settings.begins_with.seed_for(self.seed))
        record = find(path, "pretrained")
        require_ok(record, "the job of the weights that trainings begin with")
        require_whole(path, record)
        return Beginning(path.with_suffix(".pt"), record["seconds"] or 0.0)

    def folder(self, cell: Cell) -> CellFolder:
        """Files of a cell."""
        return self.run.cell(cell.id)

    def scratch(self, signature: str) -> Path:
        """The folder of a training, named by its signature, so that nothing but the same run resumes from it."""
        return self.run.training(self.job, signature)


def execution_of(run: RunFolder) -> Execution:
    """The section `execution` of the profile when the run started; no result depends on it."""
    try:
        return Execution(**hint(run.execution))
    except ValueError:  # damaged: the next call of Snakemake writes it anew
        return Execution()
