"""The bases of the sections of what somebody has: a model in a checkpoint, which stands for architecture and training,
and the data that fairseq-preprocess made of its text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from headprune.data.lengths import Bounds
from headprune.data.splits import SPLITS
from headprune.data.staging import STATISTICS
from headprune.heads import HeadSpace
from headprune.settings.base import Text, Whole
from headprune.settings.datasets import PreparedData
from headprune.settings.paths import Place
from headprune.settings.training import ModelKeys, Optimisation, Shape

if TYPE_CHECKING:
    from headprune.checkpoints import Outline

Seed = Annotated[Whole, Field(ge=0, lt=2**31)]
Share = Annotated[float, Field(gt=0, lt=1)]

# Keys of models that are trained, and why a checkpoint has none of them.
OF_TRAINED = {
    "architecture": "the checkpoint tells it",
    "training": "the model is trained; `further_training` says how gates, and what is left of it, are",
}


class BinarisedData(PreparedData):
    """A folder that fairseq-preprocess wrote, as it lies, for models from checkpoints. docs/own-models.md

    :cvar reading: further keys that say how the data are read
    """

    reading: ClassVar[frozenset[str]] = frozenset()

    data_bin: Place = Field(
        description="the folder of fairseq-preprocess; a relative path begins at the folder of the profile's file"
    )
    divide_valid: dict[Literal["train", "test"], Share] = Field(
        default_factory=dict,
        max_length=2,
        description="shares of the folder's valid split that stand for splits which it lacks, the same for all models; "
        "what is left stays valid",
    )

    @model_validator(mode="after")
    def _something_left(self) -> BinarisedData:
        if sum(self.divide_valid.values()) >= 1:
            raise ValueError(f"divide_valid: {self.divide_valid} leaves nothing of valid")
        return self

    @property
    def origin(self) -> str:
        return f"data_bin {self.data_bin}"

    @property
    def recipe(self) -> dict[str, Any]:
        """The way the data are read and divided, wherever they lie."""
        return self.model_dump(include={"track", "divide_valid", *self.reading})

    def check_prepared(self, folder: Path, bounds: Bounds) -> None:
        try:
            statistics = json.loads((folder / STATISTICS).read_text(encoding="utf-8"))
            same = statistics["recipe"]["given"] == self.recipe
        except (OSError, KeyError, TypeError, AttributeError, json.JSONDecodeError):
            return
        if same:
            self.check_lengths(statistics, bounds)

    def check_lengths(self, statistics: Mapping[str, Any], bounds: Bounds) -> None:
        """Asks whether what was prepared can be read.

        :param statistics: as `prepare` counts it
        :raises ValueError: something is longer than what will read it takes.
        """
        raise NotImplementedError

    def require_splits(self, held: Sequence[str]) -> None:
        """Asks whether the splits of the folder, with those that are divided off, are all that a profile needs.

        :param held: splits of the folder
        :raises ValueError: a split that neither the folder nor `divide_valid` has, or both have.
        """
        for split in SPLITS:
            if split in held and split in self.divide_valid:
                raise ValueError(f"divide_valid.{split}: {self.data_bin} has a split {split!r}; leave the key out")
            if split not in held and split not in self.divide_valid:
                remedy = "" if split == "valid" else f"; `divide_valid: {{{split}: 0.5}}` takes half of its valid split"
                raise ValueError(
                    f"{self.data_bin} has no split {split!r}; its splits: {', '.join(held) or 'none'}{remedy}"
                )


class GivenShape(Shape):
    """The architecture of a model in a checkpoint, read when it is asked for.

    :raises ValueError: whatever is asked, the file holds no model whose heads can be removed.
    :raises FileNotFoundError: likewise, there is no such file.
    """

    checkpoint: Text = Field(description="the file")

    @property
    def outline(self) -> Outline:
        """All that the file tells of the model."""
        from headprune.checkpoints import outline_of  # imports torch, which other profiles do without

        return outline_of(Path(self.checkpoint))

    @property
    def head_space(self) -> HeadSpace:
        return HeadSpace.from_names(self.outline.heads)

    @property
    def n_heads(self) -> int:
        return len(self.outline.heads)


class GivenSubject(ModelKeys):
    """A model that is given as a checkpoint: opened, checked and pruned, never trained anew. docs/own-models.md"""

    checkpoint: Place | None = Field(
        None, description="of fairseq, for every seed; a relative path begins at the folder of the profile's file"
    )
    checkpoints: dict[Seed, Place] | None = Field(
        None, min_length=1, max_length=1000, description="by seed, where several trainings stand for the seeds"
    )
    further_training: Optimisation | None = Field(
        None, description="how gates, and what is left of the model, are trained; null: nothing is"
    )

    @model_validator(mode="before")
    @classmethod
    def _given_alone(cls, values: Any) -> Any:
        for key, why in OF_TRAINED.items():
            if isinstance(values, Mapping) and key in values:
                raise ValueError(f"{key} beside a checkpoint: {why}")
        return values

    @model_validator(mode="after")
    def _one_kind(self) -> GivenSubject:
        if (self.checkpoint is None) == (self.checkpoints is None):
            raise ValueError("one of `checkpoint`, for every seed, and `checkpoints`, by seed, is needed")
        return self

    @property
    def places(self) -> tuple[tuple[int | None, str], ...]:
        """The files with their seeds; None: every seed."""
        return ((None, self.checkpoint),) if self.checkpoint is not None else tuple((self.checkpoints or {}).items())

    def place(self, seed: int) -> str:
        """The file that stands for a seed.

        :raises ValueError: there is none.
        """
        found = self.checkpoint or (self.checkpoints or {}).get(seed)
        if found is None:
            raise ValueError(f"checkpoints: there is none of seed {seed}; those of {sorted(self.checkpoints or {})}")
        return found

    def told(self, seed: int) -> dict[str, Any]:
        own = self.model_dump(exclude_defaults=True, exclude={"budgets", "seeds", "checkpoints"})
        return own | {"checkpoint": self.place(seed)}

    def content(self, seed: int) -> str:
        return GivenShape(checkpoint=self.place(seed)).outline.sha256

    @property
    def trains(self) -> bool:
        """True if gates, or what is left of the model, can be trained."""
        return self.further_training is not None

    @property
    def shape(self) -> GivenShape:
        """The model in its file, that of all seeds."""
        return GivenShape(checkpoint=self.places[0][1])

    @property
    def architecture(self) -> Shape:
        """The shape of the model, that of all seeds."""
        return self.shape

    @property
    def training(self) -> Optimisation:
        """The way in which the model trains on.

        :raises ValueError: nothing says so.
        """
        if self.further_training is None:
            raise ValueError("a model from a checkpoint without `further_training` does not train on")
        return self.further_training

    def check(self, dataset: PreparedData) -> None:
        """Asks whether the checkpoints are models of the task, and of these data; nothing is prepared or written.

        :raises ValueError: one is not; names key, value and rule.
        :raises FileNotFoundError: there is no file, or no data.
        """
        raise NotImplementedError
