"""A language model of fairseq with the folder of its text."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import headprune.models.compat  # noqa: F401

import numpy as np
import torch
from fairseq.data import data_utils
from fairseq.data.indexed_dataset import infer_dataset_impl
from fairseq.tasks.language_modeling import LanguageModelingConfig, LanguageModelingTask

from headprune import cost
from headprune.checkpoints import Description, OpenedModel
from headprune.evaluation.likelihood import Batches, largest_difference
from headprune.evaluation.scores import Score
from headprune.gates import clear_mask, set_mask
from headprune.heads import HeadMask
from headprune.importance import example_losses, padding_index
from headprune.models.devices import device, placed
from headprune.own.request import PruningRequest
from headprune.own.sentence_pairs import require_words
from headprune.own.workpiece import SPLIT, Workpiece, division
from headprune.settings import Speed
from headprune.statistics import PairedComparison
from headprune.statistics.paired import paired_means
from headprune.timing import Timing

SETTINGS = ("tokens_per_sample", "sample_break_mode", "add_bos_token", "max_target_positions")


class TextBlocks(Workpiece):
    """Examples are the blocks of tokens that fairseq cuts a text into; quality is perplexity per token."""

    examples, outputs, single = "blocks", "likelihoods.txt", "block"
    corpus: LanguageModelingTask

    @classmethod
    def of(cls, request: PruningRequest, opened: OpenedModel) -> TextBlocks:
        """A model on its device, with its data.

        :raises ValueError: data without a split, or with other words.
        """
        require_split(request.data, SPLIT)
        task = task_of(request.data, opened.description)
        require_words(request, opened.model.decoder.dictionary, task.dictionary, "decoder")
        has_train = infer_dataset_impl(str(request.data / "train")) is not None
        for split in (SPLIT, "train") if has_train else (SPLIT,):
            raw = infer_dataset_impl(str(request.data / split)) == "raw"
            task.args.dataset_impl = "raw" if raw else None
            task.load_dataset(split)
        return cls(request, opened, task, *division(request, len(task.datasets[SPLIT]), has_train))

    @property
    def reading(self) -> Sequence[str]:
        return [f"{key} {getattr(self.corpus.args, key)}" for key in SETTINGS]

    def calibration(self) -> Batches:
        number, seed = self.request.calibration.sentences, self.request.seed
        if self.judged is not None:
            return self._batches(SPLIT, self.judged)
        order = torch.randperm(len(self.corpus.datasets["train"]), generator=torch.Generator().manual_seed(seed))
        return self._batches("train", sorted(order[:number].tolist()))

    def batches(self) -> Batches:
        return self._batches(SPLIT, self.measured)

    def _batches(self, split: str, numbers: Sequence[int]) -> list[dict[str, Any]]:
        dataset = self.corpus.datasets[split]
        most = max(self.request.evaluation.max_tokens, int(np.max(dataset.sizes)))
        groups = data_utils.batch_by_size(np.asarray(numbers), dataset.num_tokens, max_tokens=most)
        return [placed(dataset.collater([dataset[int(i)] for i in group]), device()) for group in groups]

    @torch.no_grad()
    def put_out(self, model: Any) -> list[str]:
        found: dict[int, tuple[float, int]] = {}
        padding = padding_index(model)
        for batch in self.batches():
            losses, sizes = example_losses(model, batch).double().tolist(), batch["target"].ne(padding).sum(1).tolist()
            found |= dict(zip(batch["id"].tolist(), zip(losses, sizes, strict=True), strict=True))
        return ["{!r}\t{}".format(*found[number]) for number in self.measured]

    def scores(self, lines: Sequence[str]) -> Mapping[str, Score]:
        losses, sizes = parsed(lines)
        return {"perplexity": Score(math.exp(losses.sum() / sizes.sum()))}

    def compare(self, baseline: Sequence[str], system: Sequence[str]) -> PairedComparison:
        """The difference of log-likelihoods per token, in nats."""
        (first, sizes), (second, _) = parsed(baseline), parsed(system)
        return paired_means(-first, -second, sizes)

    def macs_per_token(self, model: Any) -> float:
        length = int(self.corpus.args.tokens_per_sample)
        return cost.macs(model, 0, length) / length

    def agreed(self, mask: HeadMask, model: Any, smaller: Any) -> dict[str, Any]:
        set_mask(model, mask)
        try:
            return {"masked_vs_removed_max_abs": largest_difference(model, smaller, self.batches()[0])}
        finally:
            clear_mask(model)

    def timed(self, models: Mapping[str, Any]) -> dict[str, tuple[Timing, Timing]]:
        """Forward passes over blocks of median length, one by one and together."""
        settings, dataset = Speed(), self.corpus.datasets[SPLIT]
        order = sorted(range(len(dataset)), key=lambda number: (dataset.num_tokens(number), number))
        middle = len(order) // 2
        singles = [self._batches(SPLIT, [number])[0] for number in order[middle : middle + settings.sentences]]
        chosen = order[max(0, middle - settings.batch_size // 2) :][: settings.batch_size]
        together = placed(dataset.collater([dataset[number] for number in chosen]), device())
        return cost.measure_passes(models, singles, together, settings)

    @property
    def training_words(self) -> Sequence[str]:
        raw = infer_dataset_impl(str(self.request.data / "train")) == "raw"
        words = [str(self.request.data), "--task", "language_modeling"]
        return [*words, *(["--dataset-impl", "raw"] if raw else [])]

    @property
    def task_settings(self) -> Mapping[str, Any]:
        found = {key: getattr(self.corpus.args, key, None) for key in SETTINGS}
        return {key: value for key, value in found.items() if value is not None}

    def commands(self, model: Path) -> list[str]:
        args = self.corpus.args
        words = f"--tokens-per-sample {args.tokens_per_sample} --sample-break-mode {args.sample_break_mode or 'none'}"
        words += " --add-bos-token" if args.add_bos_token else ""
        return [
            f'fairseq-eval-lm {self.request.data} --user-dir "$(headprune user-dir)" --path {model} '
            f"--gen-subset {SPLIT} {words}"
        ]


def parsed(lines: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Losses in nats and numbers of tokens of every block, (blocks,) each."""
    values = np.array([line.split("\t") for line in lines], dtype=np.float64)
    return values[:, 0], values[:, 1]


def require_split(folder: Path, split: str) -> None:
    """:raises ValueError: there is no such split in a folder of text."""
    if infer_dataset_impl(str(folder / split)) is None:
        held = ", ".join(sorted({path.name.partition(".")[0] for path in folder.glob("*.idx")})) or "none"
        raise ValueError(f"{folder} has no split {split!r} of text, {split}.bin and {split}.idx; its splits: {held}")


def task_of(folder: Path, description: Description) -> LanguageModelingTask:
    """fairseq's task, with which text is cut as in the training of the model."""
    task = vars(Namespace(**LanguageModelingConfig().__dict__)) | {"data": str(folder), "use_plasma_view": False}
    told = {**description.task, **description.arguments}
    task |= {key: told[key] for key in SETTINGS if told.get(key) is not None}
    return LanguageModelingTask.setup_task(Namespace(**task | {"seed": 1, "dataset_impl": None, "batch_size": None}))
