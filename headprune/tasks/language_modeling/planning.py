"""The bounds and costs of language modeling that are known before anything has run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headprune.data.lengths import Bound
from headprune.settings import Evaluation, Speed
from headprune.tasks.language_modeling.given import GivenStreamModel
from headprune.tasks.language_modeling.sections import LanguageModel, TextDataset

AnyStreamModel = LanguageModel | GivenStreamModel


def bounds(models: Mapping[str, AnyStreamModel], evaluation: Evaluation, speed: Speed) -> dict[str, Bound]:
    """The fewest tokens, by split: rows are filled with at least a token each, and calibration takes windows of two
    segments."""
    train, read = [], Bound(evaluation.rows, "evaluation.rows")
    valid = [read, Bound(speed.batch_size, "speed.batch_size")]
    for name, model in models.items():
        given = isinstance(model, GivenStreamModel)
        key = f"models.{name}.segment" if given else f"models.{name}.architecture.segment"
        train.append(Bound(2 * model.architecture.segment, f"{key}, twice"))
        if model.trains:
            key = f"models.{name}.further_training" if given else f"models.{name}.training"
            training: Any = model.training
            rows = Bound(training.rows * training.workers, f"{key}.rows, of every worker")
            train.append(rows)
            valid.append(rows)
    asked = {"train": train, "valid": valid, "test": [read]}
    return {split: max(each, key=lambda bound: bound.tokens) for split, each in asked.items() if each}


def update(model: AnyStreamModel, dataset: TextDataset) -> tuple[int, int]:
    """Tokens of a batch, and parameters that every token goes through, attention and output layer included; of an
    adaptive softmax its first band, of one over a vocabulary that only the data know nothing."""
    a = model.architecture
    output = a.width * (a.cutoffs[0] if a.cutoffs else dataset.vocabulary or 0)
    seen = (a.segment + a.memory) * a.width * 3  # scores of content and position, and the sum of values
    layer = 7 * a.width**2 + 2 * a.width * (a.persistent + a.feed_forward) + seen
    training: Any = model.training if model.trains else None
    return (training.rows if training else 0) * a.segment, a.layers * layer + output
