"""The bounds and costs of language modeling by blocks that are known before anything has run."""

from __future__ import annotations

from collections.abc import Mapping

from headprune.data.lengths import Bound, strictest
from headprune.settings import Calibration, Evaluation
from headprune.tasks.language_blocks.sections import GivenLanguageModel


def bounds(
    models: Mapping[str, GivenLanguageModel], evaluation: Evaluation, calibration: Calibration
) -> dict[str, Bound]:
    """The most tokens of a block, by split."""
    evaluated = Bound(evaluation.max_tokens, "evaluation.max_tokens")
    always = {"train": Bound(calibration.max_tokens, "calibration.max_tokens"), "valid": evaluated, "test": evaluated}
    return strictest({name: model.limits for name, model in models.items()}, always)


def update(model: GivenLanguageModel) -> tuple[int, int]:
    """Tokens of a batch, and parameters, as many as the checkpoint has."""
    tokens = model.further_training.max_tokens if model.further_training is not None else 0
    return tokens, model.shape.outline.parameters
