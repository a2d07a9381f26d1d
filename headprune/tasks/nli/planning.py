"""The bounds and costs of natural language inference that are known before anything has run."""

from __future__ import annotations

from collections.abc import Mapping

from headprune.data.lengths import Bound
from headprune.settings import Calibration, Evaluation
from headprune.tasks.nli.sections import JudgedDataset, JudgingModel

TYPICAL = 64  # subwords of a pair, where the model has positions for as many


def bounds(models: Mapping[str, JudgingModel], evaluation: Evaluation, calibration: Calibration) -> dict[str, Bound]:
    """The most tokens of a pair, by split, where models read longer ones than a batch may hold."""
    longest = max((model.architecture.positions for model in models.values()), default=0)
    asked = {
        "train": Bound(calibration.max_tokens, "calibration.max_tokens"),
        "valid": Bound(evaluation.max_tokens, "evaluation.max_tokens"),
        "test": Bound(evaluation.max_tokens, "evaluation.max_tokens"),
    }
    return {split: bound for split, bound in asked.items() if bound.tokens < longest}


def update(model: JudgingModel, dataset: JudgedDataset) -> tuple[int, int]:
    """Tokens of a batch, and parameters that every token goes through, attention included."""
    a = model.architecture
    layer = 4 * a.width**2 + 2 * a.width * a.feed_forward
    return model.training.batch_size * min(a.positions, TYPICAL), a.layers * layer
