"""The bounds of translation that are known before anything has run."""

from __future__ import annotations

from collections.abc import Mapping

from headprune.data.lengths import Bound
from headprune.settings import Calibration, Evaluation
from headprune.tasks.translation.given import GivenTranslation
from headprune.tasks.translation.sections import Model


def bounds(
    models: Mapping[str, Model | GivenTranslation], evaluation: Evaluation, calibration: Calibration
) -> dict[str, Bound]:
    """The most tokens of a sentence, by split."""
    asked = [(name, model.limits) for name, model in models.items()]
    evaluated = Bound(evaluation.max_tokens, "evaluation.max_tokens")
    last = {"train": Bound(calibration.max_tokens, "calibration.max_tokens"), "valid": evaluated, "test": evaluated}
    found = {}
    for split, bound in last.items():
        own = (Bound(each.tokens, each.reason.format(name)) for name, limits in asked for each in limits.get(split, ()))
        found[split] = min([*own, bound], key=lambda each: each.tokens)
    return found
