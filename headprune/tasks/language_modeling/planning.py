"""The bounds and costs of language modeling that are known before anything has run."""

from __future__ import annotations

from collections.abc import Mapping

from headprune.data.lengths import Bound
from headprune.settings import Evaluation, Speed
from headprune.tasks.language_modeling.sections import LanguageModel


def bounds(models: Mapping[str, LanguageModel], evaluation: Evaluation, speed: Speed) -> dict[str, Bound]:
    """The fewest tokens, by split: rows are filled with at least a token each, and calibration takes windows of two
    segments."""
    train, read = [], Bound(evaluation.rows, "evaluation.rows")
    valid = [read, Bound(speed.batch_size, "speed.batch_size")]
    for name, model in models.items():
        rows = Bound(model.training.rows * model.training.workers, f"models.{name}.training.rows, of every worker")
        train += [rows, Bound(2 * model.architecture.segment, f"models.{name}.architecture.segment, twice")]
        valid.append(rows)
    asked = {"train": train, "valid": valid, "test": [read]}
    return {split: max(each, key=lambda bound: bound.tokens) for split, each in asked.items() if each}


def update(model: LanguageModel) -> tuple[int, int]:
    """Tokens of a batch, and parameters that every token goes through, attention included."""
    a = model.architecture
    seen = (a.segment + a.memory) * a.width * 3  # scores of content and position, and the sum of values
    layer = 7 * a.width**2 + 2 * a.width * (a.persistent + a.feed_forward) + seen
    return model.training.rows * a.segment, a.layers * layer
