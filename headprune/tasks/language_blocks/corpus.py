"""Running text in blocks, cut by fairseq's `language_modeling`. No block is ever dropped without an error."""

from __future__ import annotations

from abc import ABC, abstractmethod
from argparse import Namespace
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import headprune.models.compat  # noqa: F401

import numpy as np
import torch
from fairseq.data.indexed_dataset import infer_dataset_impl
from fairseq.tasks.language_modeling import LanguageModelingConfig, LanguageModelingTask

from headprune.models.devices import placed
from headprune.settings import Speed
from headprune.tasks.batching import UNBOUNDED, collated, drawn, typical
from headprune.tasks.prepared import PreparedCorpus


class BlockCorpus(ABC):
    """A folder of fairseq-preprocess with `dict.txt` and splits of running text, read in blocks."""

    device: torch.device | str

    @property
    @abstractmethod
    def binarised(self) -> Path:
        """That folder."""

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """The settings of fairseq's task, with which text is cut: `tokens_per_sample`, `sample_break_mode`, …"""

    @cached_property
    def task(self) -> LanguageModelingTask:
        usual = vars(Namespace(**LanguageModelingConfig().__dict__)) | {"use_plasma_view": False, "seed": 1}
        told = {"data": str(self.binarised), "dataset_impl": None, "batch_size": None, **self.settings}
        return LanguageModelingTask.setup_task(Namespace(**usual | told))

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that there are, in the order of their names."""
        files = (path for path in self.binarised.iterdir() if not path.name.startswith("dict."))
        names = sorted({path.name.partition(".")[0] for path in files})
        return tuple(name for name in names if infer_dataset_impl(str(self.binarised / name)) is not None)

    def dataset(self, split: str) -> Any:
        """fairseq's dataset of a split, an item a block, whatever format it has.

        :raises ValueError: there is none.
        """
        if split not in self.task.datasets:
            kind = infer_dataset_impl(str(self.binarised / split))
            if kind is None:
                held = ", ".join(self.splits) or "none"
                raise ValueError(
                    f"{self.binarised} has no split {split!r} of text, {split}.bin and {split}.idx; its splits: {held}"
                )
            self.task.args.dataset_impl = "raw" if kind == "raw" else None
            self.task.load_dataset(split, combine=split == "train")
        return self.task.datasets[split]

    def lengths(self, split: str) -> np.ndarray:
        """Tokens of every block: (blocks,)."""
        return np.asarray(self.dataset(split).sizes)

    def batches(self, split: str, max_tokens: int, numbers: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """All blocks of a split (or those of these numbers), each once, in their order.

        :param max_tokens: of a batch, padding included
        :raises ValueError: a block alone exceeds `max_tokens`.
        """
        dataset, lengths = self.dataset(split), self.lengths(split)
        chosen = np.arange(len(dataset)) if numbers is None else np.asarray(numbers, dtype=np.int64)
        batches = collated(dataset, split, chosen, lengths[chosen], max_tokens, "a block")
        return [placed(self._scored(batch), self.device) for batch in batches]

    def _scored(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A batch whose targets are words alone: fairseq has the symbol before a block among them, and
        `fairseq-eval-lm` leaves it out."""
        if not self.task.args.add_bos_token:
            return batch
        target = batch["target"].clone()
        target[:, 0] = self.task.dictionary.pad()
        return {**batch, "target": target, "ntokens": batch["ntokens"] - len(target)}

    def sample_train(self, blocks: int, seed: int, max_tokens: int, longest: int | None = None) -> list[dict[str, Any]]:
        """Batches of a random sample of the train split, without repetition.

        :param longest: longer blocks, which the model cannot read, are not among them; None: all are
        :raises ValueError: there is none that it can read.
        """
        lengths = self.lengths("train")
        chosen = drawn(len(lengths), blocks, seed, None if longest is None else lengths <= longest)
        if not chosen:
            raise ValueError(f"{self.binarised}: no block of train has at most {longest} tokens, which the model reads")
        return self.batches("train", max_tokens, chosen)

    def typical(self, settings: Speed) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Blocks of valid of median length: single ones for latency, and one batch for throughput."""
        return typical(partial(self.batches, "valid", UNBOUNDED), self.lengths("valid"), settings)


class TextFolder(BlockCorpus):
    """Such a folder as it lies.

    :param device: where its batches are
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], device: torch.device | str = "cpu") -> None:
        self.folder, self.told, self.device = folder, settings, device

    @property
    def binarised(self) -> Path:
        return self.folder

    @property
    def settings(self) -> Mapping[str, Any]:
        return self.told


class PreparedText(PreparedCorpus, BlockCorpus):
    """Such a folder as `headprune.tasks.language_blocks.binarised.prepare` linked or divided it."""

    @property
    def settings(self) -> Mapping[str, Any]:
        return dict(self.statistics["recipe"]["blocks"])

    def dataset(self, split: str) -> Any:
        """fairseq's dataset of a split; it must hold every block that was counted.

        :raises ValueError: it does not, or is sealed.
        """
        self.require_open(split)
        dataset = super().dataset(split)
        self.require_whole(split, len(dataset), "blocks")
        return dataset
