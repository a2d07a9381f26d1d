"""The contract of a task: it needs no torch, fairseq or pandas, so that a profile is checked at once.

The parts that need them it imports when asked: `outputs` for tables, figures and reports, `work` for jobs.
"""

from __future__ import annotations

import hashlib
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from headprune.data.kinds import CorpusKind
from headprune.data.lengths import Bound
from headprune.results.vocabulary import OutputKind
from headprune.settings import Calibration, Evaluation, GivenSubject, ModelKeys, PreparedData, Speed

if TYPE_CHECKING:
    from headprune.tasks.outputs import Outputs
    from headprune.tasks.work import Work


class Task(ABC):
    """A task with its model family and its metrics. Stateless.

    :cvar name: the value of `track` in profiles and tables
    :cvar a_corpus: what a dataset is, with its article, for the headings of documents
    :cvar a_model: what a model is, likewise
    :cvar dataset: the kind of section that describes a dataset
    :cvar model: the kind of section that describes a model
    :cvar given_dataset: the kind of section that describes data which somebody has prepared; None: there is none
    :cvar given_model: the kind of section that describes a model which somebody has trained; None: likewise
    :cvar metric: of the test set, the one that stands for quality
    :cvar metrics: units of the metrics that are the task's own, by name
    :cvar kinds: of outputs, those that do not come along
    :cvar checkpoints: `module:NAME` of a `headprune.removal.CheckpointKind`, for classes that the library lacks
    :cvar corpora: those that `headprune data` lists, fetches and counts; None: it knows none
    :cvar latency: what `latency_ms` is the time of
    :cvar examples: what those are called that methods see
    :cvar distils: True if models can learn from the distributions of another: these are over words
    """

    name: ClassVar[str]
    a_corpus: ClassVar[str]
    a_model: ClassVar[str]
    dataset: ClassVar[type[PreparedData]]
    model: ClassVar[type[ModelKeys]]
    given_dataset: ClassVar[type[PreparedData] | None] = None
    given_model: ClassVar[type[GivenSubject] | None] = None
    metric: ClassVar[str]
    metrics: ClassVar[Mapping[str, str]]
    kinds: ClassVar[Mapping[str, OutputKind]] = {}
    checkpoints: ClassVar[tuple[str, ...]] = ()
    corpora: ClassVar[CorpusKind | None] = None
    latency: ClassVar[str]
    examples: ClassVar[str]
    distils: ClassVar[bool] = True

    @abstractmethod
    def bounds(
        self, models: Mapping[str, Any], evaluation: Evaluation, calibration: Calibration, speed: Speed
    ) -> dict[str, Bound]:
        """The demands on the splits of a dataset, by split.

        :param models: the sections of the models that read it, by name
        """

    @abstractmethod
    def update(self, model: Any, dataset: Any) -> tuple[int, int]:
        """For an estimate of the time: tokens of a batch, and parameters that every token goes through.

        :param model: its section
        :param dataset: likewise
        """

    def takes(self, section: Mapping[str, Any]) -> bool:
        """Return whether the plain section of a dataset that names no track is of this task."""
        return False

    def unreadable(self, dataset: Any, other: Any) -> str:
        """The reason why models of one dataset cannot find masks on the text of another; empty: `work.rereading` can.

        :param dataset: the section of the models' own dataset
        :param other: that of a dataset of the same task
        """
        return f"models of track {self.name!r} find their masks on their own dataset"

    @property
    @abstractmethod
    def outputs(self) -> Outputs:
        """The reader of the outputs of models; imports no torch."""

    @property
    @abstractmethod
    def work(self) -> Work:
        """The work of jobs for the task; imports torch and fairseq."""

    @property
    def units(self) -> dict[str, str]:
        """Units of metrics that all tasks have, as this one has them: the time of a sentence, or of a token."""
        sides = ("prune_forward_sentences", "prune_backward_sentences")
        return {"latency_ms": f"ms per {self.latency}"} | dict.fromkeys(sides, self.examples)

    @cached_property
    def provenance(self) -> dict[str, str]:
        """The digest of code beyond the library that results depend on: the sha256 of a task that is not of it."""
        module = sys.modules[type(self).__module__]
        if module.__name__.split(".")[0] == __name__.split(".")[0]:
            return {}
        total, folder = hashlib.sha256(), Path(str(module.__file__)).parent
        for path in sorted(folder.rglob("*.py")):
            total.update(f"{path.relative_to(folder).as_posix()}\0".encode() + path.read_bytes() + b"\0")
        return {"task": total.hexdigest()}
