"""The bounds of translation that are known before anything has run."""

from __future__ import annotations

from collections.abc import Mapping

from headprune.data.lengths import Bound, strictest
from headprune.settings import Calibration, Evaluation
from headprune.tasks.translation.given import GivenTranslation
from headprune.tasks.translation.sections import Model


def bounds(
    models: Mapping[str, Model | GivenTranslation], evaluation: Evaluation, calibration: Calibration
) -> dict[str, Bound]:
    """The most tokens of a sentence, by split."""
    evaluated = Bound(evaluation.max_tokens, "evaluation.max_tokens")
    always = {"train": Bound(calibration.max_tokens, "calibration.max_tokens"), "valid": evaluated, "test": evaluated}
    return strictest({name: model.limits for name, model in models.items()}, always)
