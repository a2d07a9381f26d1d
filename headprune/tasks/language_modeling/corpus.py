"""A prepared text corpus as mini-batches along its rows, or of separate windows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import headprune.models.compat  # noqa: F401

import torch
from torch import Tensor

from headprune.data.language_modeling import MODEL
from headprune.data.staging import raw_lines
from headprune.data.units import cut, join
from headprune.models.devices import placed
from headprune.models.streaming_lm import StreamingConfig, StreamingTask
from headprune.models.streams import Segments, TokenStream, numbered, windows
from headprune.tasks.prepared import PreparedCorpus


class LanguageCorpus(PreparedCorpus):
    """A text corpus as `headprune.data.prepare` wrote it for a `LanguageModelingRecipe`."""

    @cached_property
    def task(self) -> StreamingTask:
        cfg = StreamingConfig(data=str(self.binarised), tokens_per_sample=1, max_target_positions=1)
        cfg.seed, cfg.train_subset = 1, "train"
        return StreamingTask.setup_task(cfg)

    def stream(self, split: str) -> TokenStream:
        """The tokens of a split; it must hold every token that was prepared.

        :raises ValueError: it does not, or is sealed.
        """
        self.require_open(split)
        if split not in self.task.datasets:
            self.task.load_dataset(split)
        stream = self.task.datasets[split]
        self.require_whole(split, len(stream), "tokens")
        return stream

    def segments(self, split: str, rows: int, length: int, drop_remainder: bool = False) -> Segments:
        """The segments of a split, never rolled; see `headprune.models.streams`.

        :param drop_remainder: leave out the last tokens, fewer than `rows`, that do not fill all rows
        """
        return Segments(self.stream(split), rows, length, drop_remainder=drop_remainder)

    def batches(self, split: str, rows: int, length: int, drop_remainder: bool = False) -> Iterator[dict[str, Any]]:
        """Mini-batches along the rows, to be given to a model in this order: it carries its memory from one to the
        next. Every token of the split is a target of exactly one of them."""
        segments = self.segments(split, rows, length, drop_remainder)
        return (placed(segments[index], self.device) for index in range(len(segments)))

    def sample_train(self, examples: int, seed: int, length: int, rows: int = 8) -> list[dict[str, Any]]:
        """Random windows of the train split that do not overlap: examples for what scores heads.

        Every one begins with an empty memory, so that the mini-batches may come in any order and more than once. An
        example is what `headprune.importance` and others take for one: a row of a mini-batch.

        :param examples: at most; the train split holds `tokens // length`
        :param length: targets of a window
        :param rows: examples of a mini-batch
        :raises ValueError: a number below 1, or a window longer than the train split.
        """
        stream = self.stream("train")
        if min(examples, length, rows) < 1 or length > len(stream):
            raise ValueError(f"{examples} windows of {length} in batches of {rows} of {len(stream)} train tokens")
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(len(stream) // length, generator=generator)[:examples].sort().values
        positions = chosen.unsqueeze(1) * length + torch.arange(length)  # (examples, tgt)
        return [
            placed(windows(stream, part, start=True, first=number * rows), self.device)
            for number, part in enumerate(positions.split(rows))
        ]

    def text(self, tokens: Tensor) -> str:
        """The text of a row of token ids, a line for every end of a line."""
        dictionary, units = self.task.dictionary, self.statistics["recipe"]["units"]
        lines: list[list[str]] = [[]]
        for token in tokens.tolist():
            if token == dictionary.eos():
                lines.append([])
            elif token != dictionary.pad():
                lines[-1].append(dictionary[token])
        return "\n".join(join(line, units) for line in lines)


class RereadText(LanguageCorpus):
    """A corpus whose train split is the text of another one, cut and numbered by its own units and dictionary.

    It has nothing else to give out: its test set is sealed. Units that the dictionary lacks are unknown.

    :param own: the corpus whose models are to read it
    :param other: the folder of the other
    """

    def __init__(self, own: LanguageCorpus, other: Path) -> None:
        super().__init__(own.folder, own.device, sealed=True)
        self.other = other

    def stream(self, split: str) -> TokenStream:
        return self._train if split == "train" else super().stream(split)

    @cached_property
    def _train(self) -> TokenStream:
        recipe, words = self.statistics["recipe"], self.task.dictionary
        lines = raw_lines(self.other, "train.txt")
        pieces = cut(lines, recipe["units"], self.folder / MODEL, recipe["split_punctuation"])
        return TokenStream(numbered(pieces, words), words.eos(), words.pad(), training=True)
