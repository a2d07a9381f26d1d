"""The contract of a treatment: what becomes of a cell whose method has found a mask.

Profiles are checked by what treatments say of themselves, so their files import torch within functions only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from headprune.heads import HeadMask

if TYPE_CHECKING:
    import torch
    from torch import nn

    from headprune.method import Batches, Pruning


class Settings(Protocol):
    """The settings of a treatment in a profile, as far as the treatment reads it."""

    @property
    def updates(self) -> int | None: ...
    @property
    def distillation(self) -> float: ...
    @property
    def temperature(self) -> float: ...


class MaskTreatment(ABC):
    """A treatment of masks; its docstring explains it in the documentation of the profile.

    :cvar name: as profiles say it
    :cvar suffix: of treated entries, `ft` in `dsp.joint+ft`
    :cvar keys: of the profile that mean something to it, beside name, of, arm, budgets, seeds and models
    :cvar treats_unpruned: whether it may be given the model that keeps all heads
    :cvar treats_joint: whether it may be given masks of methods that train the weights along
    :cvar refusal: why not
    :cvar trains: whether it runs a training for every cell
    """

    name: ClassVar[str]
    suffix: ClassVar[str]
    keys: ClassVar[frozenset[str]] = frozenset()
    treats_unpruned: ClassVar[bool] = False
    treats_joint: ClassVar[bool] = True
    refusal: ClassVar[str] = ""
    trains: ClassVar[bool]

    @abstractmethod
    def needs_dense(self, settings: Settings) -> bool:
        """Tells whether it starts from, or learns from, the unpruned model."""


class Repruning(MaskTreatment):
    """A treatment that prunes the unpruned model in another way.

    :cvar keeps_mask: whether the mask is still the method's, so that finding it costs what it did
    """

    trains = False
    keeps_mask: ClassVar[bool]

    def needs_dense(self, settings: Settings) -> bool:
        return True

    @abstractmethod
    def prune(self, model: nn.Module, mask: HeadMask, batches: Callable[[], Batches], rng: torch.Generator) -> Pruning:
        """Finds the other pruning.

        :param model: the unpruned model
        :param mask: that the method found for it
        :param batches: gives the train examples that methods see
        :param rng: another one for every cell
        """


class Retraining(MaskTreatment):
    """A treatment that trains the pruned architecture.

    :cvar starts_pruned: whether from the weights of the pruned model; else from new ones, like an unpruned model
    """

    trains = True
    starts_pruned: ClassVar[bool]

    def mask(self, mask: HeadMask, rng: torch.Generator) -> HeadMask:
        """Gives the mask of the architecture: the method's, or another one.

        :param rng: another one for every cell
        """
        return mask

    def needs_dense(self, settings: Settings) -> bool:
        return False

    def arguments(self, settings: Settings, dense: Path) -> list[str]:
        """Further arguments of the training.

        :param dense: checkpoint of the unpruned model
        """
        return []
