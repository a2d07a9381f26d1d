"""What a profile asks of the splits of its datasets: how long a sentence may be, how much text there must be."""

from __future__ import annotations

from collections.abc import Mapping

from headprune.config.models import LanguageModel
from headprune.config.schema import Config
from headprune.data.lengths import Bound

POSITIONS = 1024  # fairseq leaves longer sentences out of training, and stops at them in validation


def bounds(config: Config, dataset: str) -> dict[str, Bound]:
    """By split: of pairs the most tokens of a sentence, of text the least of the split."""
    models = {name: model for name, model in config.models.items() if model.dataset == dataset}
    if config.datasets[dataset].track == "lm":
        return {split: max(asked, key=_tokens) for split, asked in _of_text(config, models).items() if asked}
    training = [
        Bound(model.training.max_tokens, f"models.{name}.training.max_tokens")
        for name, model in models.items()
        if not isinstance(model, LanguageModel)
    ]
    fairseq = Bound(POSITIONS, "fairseq trains on no longer ones")
    evaluation = Bound(config.evaluation.max_tokens, "evaluation.max_tokens")
    calibration = Bound(config.calibration.max_tokens, "calibration.max_tokens")
    asked = {
        "train": [fairseq, *training, calibration],
        "valid": [fairseq, *training, evaluation],
        "test": [evaluation],
    }
    return {split: min(each, key=_tokens) for split, each in asked.items()}


def _of_text(config: Config, models: Mapping[str, object]) -> dict[str, list[Bound]]:
    """Rows are filled with at least a token each, and calibration takes windows of two segments."""
    train, read = [], Bound(config.evaluation.rows, "evaluation.rows")
    valid = [read, Bound(config.speed.batch_size, "speed.batch_size")]
    for name, model in models.items():
        assert isinstance(model, LanguageModel)
        rows = Bound(model.training.rows * model.training.workers, f"models.{name}.training.rows, of every worker")
        train += [rows, Bound(2 * model.architecture.segment, f"models.{name}.architecture.segment, twice")]
        valid.append(rows)
    return {"train": train, "valid": valid, "test": [read]}


def _tokens(bound: Bound) -> int:
    return bound.tokens
