"""The prepared strings as batches."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import headprune.models.compat  # noqa: F401

from fairseq.tasks.translation import TranslationConfig, TranslationTask

from headprune.models.devices import placed
from headprune.tasks.prepared import PreparedCorpus
from toy_task.data import SIDES


class StringCorpus(PreparedCorpus):
    """The strings as `toy_task.data.prepare` wrote them."""

    @property
    def length(self) -> int:
        """Symbols of a string, and its end."""
        return int(self.statistics["recipe"]["length"]) + 1

    @cached_property
    def task(self) -> TranslationTask:
        cfg = TranslationConfig(data=str(self.binarised), source_lang=SIDES["src"], target_lang=SIDES["tgt"])
        cfg.train_subset, cfg.dataset_impl, cfg.required_seq_len_multiple = "train", None, 1
        return TranslationTask.setup_task(cfg)

    def batches(self, split: str, size: int, chosen: list[int] | None = None) -> list[dict[str, Any]]:
        """Strings of a split in its order, or those that are chosen.

        :raises ValueError: the test set is sealed.
        """
        self.require_open(split)
        if split not in self.task.datasets:
            self.task.load_dataset(split)
        dataset = self.task.datasets[split]
        chosen = list(range(len(dataset))) if chosen is None else chosen
        groups = [chosen[first : first + size] for first in range(0, len(chosen), size)]
        return [placed(dataset.collater([dataset[number] for number in group]), self.device) for group in groups]
