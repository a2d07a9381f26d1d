"""A prepared translation corpus as batches of fairseq's samples. No sentence is ever dropped without an error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import headprune.models.compat  # noqa: F401

import numpy as np
import torch
from fairseq.data import LanguagePairDataset
from fairseq.tasks.translation import TranslationConfig, TranslationTask

from headprune.data import decode, encode
from headprune.data.staging import raw_lines
from headprune.evaluation.scores import Score
from headprune.models.devices import placed
from headprune.models.streams import numbered
from headprune.tasks.batching import by_length, collated, drawn
from headprune.tasks.prepared import PreparedCorpus
from headprune.tasks.translation import metrics


class TranslationCorpus(PreparedCorpus):
    """A parallel corpus as `headprune.data.prepare` wrote it."""

    def __init__(self, folder: str | Path, device: torch.device | str = "cpu", sealed: bool = False) -> None:
        super().__init__(folder, device, sealed)
        self.pair = (self.statistics["corpus"]["source"], self.statistics["corpus"]["target"])

    @cached_property
    def task(self) -> TranslationTask:
        cfg = TranslationConfig(data=str(self.binarised), source_lang=self.pair[0], target_lang=self.pair[1])
        cfg.train_subset, cfg.dataset_impl, cfg.required_seq_len_multiple = "train", None, 1
        return TranslationTask.setup_task(cfg)

    def dataset(self, split: str) -> Any:
        """fairseq's dataset of a split; it must hold every pair that was prepared.

        :raises ValueError: it does not, or is sealed.
        """
        self.require_open(split)
        if split not in self.task.datasets:
            self.task.load_dataset(split)
        dataset = self.task.datasets[split]
        self.require_whole(split, len(dataset), "pairs")
        return dataset

    def references(self, split: str) -> list[str]:
        """Raw target sentences in corpus order.

        :raises ValueError: the split is sealed.
        """
        self.require_open(split)
        return raw_lines(self.folder, f"{split}.tgt")

    def text(self, tokens: Any) -> str:
        """A hypothesis as it is compared with references."""
        return decode(self.task.target_dictionary.string(tokens, escape_unk=True))

    def scores(self, hypotheses: Sequence[str], split: str) -> dict[str, Score]:
        """Every metric of translation, by name.

        :param hypotheses: of the whole split, in corpus order
        """
        return metrics.scores(hypotheses, self.references(split), self.pair[1])

    def lengths(self, split: str, indices: Iterable[int] | None = None) -> np.ndarray:
        """Tokens of the longer side of all pairs (or those at `indices`), end of sentence included: (pairs,)."""
        dataset = self.dataset(split)
        return np.array([dataset.num_tokens(int(i)) for i in (range(len(dataset)) if indices is None else indices)])

    def batches(self, split: str, max_tokens: int, indices: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """All pairs of a split (or those at `indices`), each once, sorted by length into batches.

        :param max_tokens: longer side of a batch, padding included
        :raises ValueError: a sentence alone exceeds `max_tokens`.
        """
        dataset = self.dataset(split)
        chosen = np.arange(len(dataset)) if indices is None else np.asarray(indices)
        lengths = self.lengths(split, chosen)
        batches = collated(dataset, split, *by_length(chosen, lengths), max_tokens, "a sentence")
        return [placed(batch, self.device) for batch in batches]

    def sample_train(self, sentences: int, seed: int, max_tokens: int) -> list[dict[str, Any]]:
        """Batches of a random sample of the train split, without repetition."""
        return self.batches("train", max_tokens, drawn(len(self.dataset("train")), sentences, seed))


class RereadCorpus(TranslationCorpus):
    """A corpus whose train split is the text of another one, cut and numbered by its own subwords and dictionary.

    It has nothing else to give out: its test set is sealed. Pieces that the dictionary lacks are unknown.

    :param own: the corpus whose models are to read it
    :param other: the folder of the other, of the same languages
    """

    def __init__(self, own: TranslationCorpus, other: Path) -> None:
        super().__init__(own.folder, own.device, sealed=True)
        self.other = other

    def dataset(self, split: str) -> Any:
        return self._train if split == "train" else super().dataset(split)

    @cached_property
    def _train(self) -> LanguagePairDataset:
        cfg, dictionaries = self.task.cfg, (self.task.source_dictionary, self.task.target_dictionary)
        sides = [
            numbered(encode(self.folder / "subword.model", raw_lines(self.other, f"train.{side}")), dictionary)
            for side, dictionary in zip(("src", "tgt"), dictionaries, strict=True)
        ]
        parts = [part for side, words in zip(sides, dictionaries, strict=True) for part in (side, side.sizes, words)]
        return LanguagePairDataset(*parts, left_pad_source=cfg.left_pad_source, left_pad_target=cfg.left_pad_target)
