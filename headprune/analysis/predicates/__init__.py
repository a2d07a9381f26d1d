"""The predicates that claims are made of."""

from typing import Any

from headprune.analysis.predicates.base import Comparison, Predicate
from headprune.analysis.predicates.heads import DropOne, OneHead, OneHeadOf, Survival, SurvivalByDepth
from headprune.analysis.predicates.quality import Compare, ExactCount, Loss, Proportional, Saving

ALL: tuple[type[Any], ...] = (
    Compare,
    Loss,
    Saving,
    Proportional,
    ExactCount,
    Survival,
    SurvivalByDepth,
    OneHead,
    OneHeadOf,
    DropOne,
)

__all__ = ["ALL", "Comparison", "Predicate"]
