"""A prepared corpus of judged pairs as batches of fairseq's samples. No example is ever dropped without an error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import headprune.models.compat  # noqa: F401

import numpy as np
import torch
from fairseq.tasks.sentence_prediction import SentencePredictionConfig, SentencePredictionTask

from headprune.models.devices import placed
from headprune.models.roberta import HEAD
from headprune.tasks.batching import by_length, collated, drawn
from headprune.tasks.nli.arguments import BEGIN, SEPARATOR
from headprune.tasks.prepared import PreparedCorpus

WHOLE = 2**31 - 1  # positions that no example exceeds


class ExampleCorpus(PreparedCorpus):
    """A corpus as a `JudgedRecipe` prepared it."""

    def __init__(self, folder: str | Path, device: torch.device | str = "cpu", sealed: bool = False) -> None:
        super().__init__(folder, device, sealed)
        self._datasets: dict[tuple[str, int], Any] = {}

    @property
    def labels(self) -> list[str]:
        """The words that the classes of models stand for, in their order."""
        return list(self.statistics["labels"])

    def task(self, positions: int) -> SentencePredictionTask:
        """fairseq's task for models with so many positions; it keeps the order of the corpus."""
        cfg = SentencePredictionConfig(data=str(self.binarised), num_classes=len(self.labels), no_shuffle=True)
        cfg.init_token, cfg.separator_token = BEGIN, SEPARATOR
        cfg.max_positions, cfg.shorten_method = positions, "truncate"
        cfg.classification_head_name, cfg.regression_target, cfg.seed = HEAD, False, 1
        return SentencePredictionTask.setup_task(cfg)

    def dataset(self, split: str, positions: int) -> Any:
        """fairseq's dataset of a split; it must hold every example that was prepared.

        :param positions: of the model that reads it: a longer pair loses its end
        :raises ValueError: it does not, or is sealed.
        """
        self.require_open(split)
        if (split, positions) not in self._datasets:
            self._datasets[split, positions] = self.task(positions).load_dataset(split)
        dataset = self._datasets[split, positions]
        self.require_whole(split, len(dataset), "examples")
        return dataset

    def lengths(self, split: str, positions: int) -> np.ndarray:
        """Tokens of every example, the marks around its sentences included: (examples,)."""
        return np.asarray(self.dataset(split, positions).sizes[0])

    def shortened(self, split: str, positions: int) -> int:
        """The number of examples that lose their end to a model with so many positions."""
        return int((self.lengths(split, WHOLE) > positions).sum())

    def batches(
        self, split: str, positions: int, max_tokens: int, indices: Sequence[int] | None = None
    ) -> list[dict[str, Any]]:
        """All examples of a split (or those at `indices`), each once, sorted by length into batches.

        `target` has a label for every example (batch,), and `ntokens` is their number: the targets of a batch.

        :param max_tokens: of a batch, padding included
        :raises ValueError: an example alone exceeds `max_tokens`.
        """
        dataset, lengths = self.dataset(split, positions), self.lengths(split, positions)
        chosen = np.arange(len(dataset)) if indices is None else np.asarray(indices)
        batches = collated(dataset, split, *by_length(chosen, lengths[chosen]), max_tokens, "an example")
        return [placed(_labelled(batch), self.device) for batch in batches]

    def sample_train(self, examples: int, seed: int, positions: int, max_tokens: int) -> list[dict[str, Any]]:
        """Batches of a random sample of the train split, without repetition."""
        chosen = drawn(len(self.dataset("train", positions)), examples, seed)
        return self.batches("train", positions, max_tokens, chosen)


def _labelled(batch: dict[str, Any]) -> dict[str, Any]:
    """A batch of fairseq's, whose targets are the labels."""
    target = batch["target"].flatten()
    return {**batch, "target": target, "ntokens": len(target)}
