"""The bounds and costs of translation that are known before anything has run."""

from __future__ import annotations

from collections.abc import Mapping

from headprune.data.lengths import Bound
from headprune.settings import Calibration, Evaluation
from headprune.tasks.translation.sections import Dataset, Model

POSITIONS = 1024  # fairseq leaves longer sentences out of training, and stops at them in validation


def bounds(models: Mapping[str, Model], evaluation: Evaluation, calibration: Calibration) -> dict[str, Bound]:
    """The most tokens of a sentence, by split."""
    training = [
        Bound(model.training.max_tokens, f"models.{name}.training.max_tokens") for name, model in models.items()
    ]
    fairseq = Bound(POSITIONS, "fairseq trains on no longer ones")
    evaluated = Bound(evaluation.max_tokens, "evaluation.max_tokens")
    calibrated = Bound(calibration.max_tokens, "calibration.max_tokens")
    asked = {
        "train": [fairseq, *training, calibrated],
        "valid": [fairseq, *training, evaluated],
        "test": [evaluated],
    }
    return {split: min(each, key=lambda bound: bound.tokens) for split, each in asked.items()}


def update(model: Model, dataset: Dataset) -> tuple[int, int]:
    """Tokens of a batch, and parameters that every token goes through, attention included."""
    a = model.architecture
    layer = 4 * a.width**2 + 2 * a.width * a.feed_forward
    embeddings = dataset.vocabulary * a.width
    parameters = a.encoder_layers * layer + a.decoder_layers * (layer + 4 * a.width**2) + 2 * embeddings
    return model.training.max_tokens, parameters
