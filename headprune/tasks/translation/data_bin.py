"""A folder of `fairseq-preprocess`, as it lies, as a translation corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import headprune.models.compat  # noqa: F401

import numpy as np
import torch
from fairseq.data.indexed_dataset import infer_dataset_impl
from fairseq.tasks.translation import TranslationConfig, TranslationTask

from headprune.evaluation.scores import Score
from headprune.tasks.translation import metrics
from headprune.tasks.translation.corpus import TranslationCorpus
from headprune.tasks.translation.reading import TextReading

GPT2 = "gpt2"  # folder within prepared data: the files that GPT-2's pieces are read with


@dataclass(frozen=True)
class DataBin:
    """A folder of binarised (or raw) sentence pairs with their dictionaries, and how they are read.

    :param pair: source and target language, as the names of the files say them
    :param reading: subwords and tokeniser of the target
    :param references: files of raw target sentences, by split; without one the tokens are the references
    :param options: of fairseq's translation task, as the model was trained: `left_pad_source`, `truncate_source`, …
    """

    folder: Path
    pair: tuple[str, str]
    reading: TextReading = field(default_factory=TextReading)
    references: Mapping[str, Path] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def place(self, split: str) -> Path | None:
        """The path that the files of a split begin with, but for the language; None: it has none."""
        source, target = self.pair
        found = (self.folder / f"{split}.{one}-{other}" for one, other in ((source, target), (target, source)))
        return next((path for path in found if infer_dataset_impl(f"{path}.{source}")), None)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that there are, in the order of their names."""
        names = sorted({path.name.partition(".")[0] for path in self.folder.glob("*.*-*.*")})
        return tuple(name for name in names if self.place(name) is not None)

    def require(self, split: str) -> Path:
        """The path that the files of a split begin with.

        :raises ValueError: there is none, or one without its targets.
        """
        place = self.place(split)
        if place is None:
            pair = "-".join(self.pair)
            held = ", ".join(self.splits) or "none"
            raise ValueError(f"{self.folder} has no split {split!r} of {pair}, {split}.{pair}.*; its splits: {held}")
        if infer_dataset_impl(f"{place}.{self.pair[1]}") is None:
            raise ValueError(f"{place}.{self.pair[1]} is missing: split {split!r} has sources and no targets")
        return place


class BinarisedCorpus(TranslationCorpus):
    """The corpus of such a folder. Its hypotheses are text where there are raw references, else tokens.

    :raises ValueError: a split that `data` lacks, when it is read; references of another number.
    """

    def __init__(self, data: DataBin, device: torch.device | str = "cpu") -> None:
        self.data, self.folder, self.pair = data, data.folder, data.pair
        self.device, self.sealed = device, False

    @property
    def binarised(self) -> Path:
        return self.folder

    @cached_property
    def task(self) -> TranslationTask:
        cfg = TranslationConfig(data=str(self.folder), source_lang=self.pair[0], target_lang=self.pair[1])
        cfg.train_subset, cfg.dataset_impl, cfg.required_seq_len_multiple = "train", None, 1
        for key, value in self.data.options.items():
            setattr(cfg, key, value)
        return TranslationTask.setup_task(cfg)

    def dataset(self, split: str) -> Any:
        """fairseq's dataset of a split, whatever format it has.

        :raises ValueError: there is none, or a sentence is longer than the model has positions for.
        """
        if split not in self.task.datasets:
            place = self.data.require(split)
            raw = infer_dataset_impl(f"{place}.{self.pair[0]}") == "raw"
            self.task.cfg.dataset_impl = "raw" if raw else None
            self.task.load_dataset(split)
            self._check_lengths(split)
        return self.task.datasets[split]

    def _check_lengths(self, split: str) -> None:
        dataset, cfg = self.task.datasets[split], self.task.cfg
        sides = (dataset.src_sizes, cfg.max_source_positions), (dataset.tgt_sizes, cfg.max_target_positions)
        for sizes, most in sides:
            if (longest := int(np.max(sizes, initial=0))) > most:
                raise ValueError(
                    f"{self.folder}: a sentence of {split} has {longest} tokens, the model {most} positions"
                )

    @cached_property
    def statistics(self) -> Mapping[str, Any]:
        """Pairs of every split but test, and mean numbers of tokens, end of sentence not counted, by language."""
        found: dict[str, Any] = {}
        for split in (split for split in self.data.splits if not split.startswith("test")):
            dataset = self.dataset(split)
            means = [float(np.mean(sizes)) - 1 for sizes in (dataset.src_sizes, dataset.tgt_sizes)]
            found[split] = {"pairs": len(dataset), "mean_tokens": dict(zip(self.pair, means, strict=True))}
        return {"splits": found}

    def references(self, split: str) -> list[str]:
        """Raw target sentences where there are any, else their tokens with subwords joined, in corpus order.

        :raises ValueError: as many raw ones as the split has sentences are needed.
        """
        dataset = self.dataset(split)
        if split not in self.data.references:
            targets = (dataset.tgt[number] for number in range(len(dataset)))
            return [self.data.reading.words(self._string(tokens, escape_unk=True)) for tokens in targets]
        path = self.data.references[split]
        lines = path.read_text(encoding="utf-8").splitlines()
        if len(lines) != len(dataset):
            raise ValueError(
                f"{path} has {len(lines)} lines, split {split!r} of {self.folder} {len(dataset)} sentences"
            )
        return lines

    def text(self, tokens: Any) -> str:
        reading = self.data.reading
        return (reading.text if self.data.references else reading.words)(self._string(tokens))

    def scores(self, hypotheses: Sequence[str], split: str) -> dict[str, Score]:
        return self.judged(hypotheses, self.references(split))

    def judged(self, hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, Score]:
        """Metrics of text where there are raw references; else metrics of tokens, under names that say so.

        :param references: those of `references` that belong to the hypotheses
        """
        if self.data.references:
            return metrics.scores(hypotheses, references, self.pair[1])
        return metrics.token_scores(hypotheses, references)

    def _string(self, tokens: Any, escape_unk: bool = False) -> str:
        return str(self.task.target_dictionary.string(tokens, escape_unk=escape_unk))


class PreparedBin(TranslationCorpus):
    """Such a folder as `headprune.tasks.translation.binarised.prepare` linked or divided it."""

    @cached_property
    def reading(self) -> TextReading:
        """Subwords and tokeniser of the target."""
        recipe = self.statistics["recipe"]
        return TextReading(recipe["bpe"], recipe["tokenizer"], self.pair[1], self.folder / GPT2)

    @property
    def has_text(self) -> bool:
        """True if the references are text, not tokens."""
        return bool(self.statistics["recipe"]["text"])

    def text(self, tokens: Any) -> str:
        line = str(self.task.target_dictionary.string(tokens))
        return self.reading.text(line) if self.has_text else self.reading.words(line)

    def scores(self, hypotheses: Sequence[str], split: str) -> dict[str, Score]:
        if self.has_text:
            return super().scores(hypotheses, split)
        return metrics.token_scores(hypotheses, self.references(split))
