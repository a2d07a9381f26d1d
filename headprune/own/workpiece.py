"""A model with its data: the sentences that heads are judged on, and those that quality is measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from headprune.checkpoints import Description, OpenedModel, open_model
from headprune.checkpoints.opening import pair_of
from headprune.evaluation.likelihood import Batches
from headprune.heads import HeadSpace
from headprune.models.devices import device
from headprune.own.request import PruningRequest
from headprune.tasks.translation.data_bin import BinarisedCorpus, DataBin
from headprune.tasks.translation.evaluation import generate
from headprune.tasks.translation.reading import TextReading, subwords_of

SPLIT = "valid"
FLAGS = {"left_pad_source": True, "left_pad_target": False, "truncate_source": False}
POSITIONS = ("max_source_positions", "max_target_positions")


@dataclass(frozen=True)
class Workpiece:
    """A model with its data.

    :param judged: numbers of the valid sentences that heads are judged on; None: there is a train split for that
    :param measured: numbers of those that quality is measured on, in corpus order
    """

    request: PruningRequest
    opened: OpenedModel
    corpus: BinarisedCorpus
    judged: tuple[int, ...] | None
    measured: tuple[int, ...]

    @property
    def model(self) -> Any:
        """The unpruned model."""
        return self.opened.model

    @cached_property
    def space(self) -> HeadSpace:
        """Its heads."""
        return HeadSpace.prunable(self.model)

    def calibration(self) -> Batches:
        """The sentences that methods see."""
        settings = self.request.calibration
        if self.judged is None:
            return self.corpus.sample_train(settings.sentences, self.request.seed, settings.max_tokens)
        return self.corpus.batches(SPLIT, settings.max_tokens, self.judged)

    def batches(self) -> Batches:
        """The sentences that quality is measured on."""
        return self.corpus.batches(SPLIT, self.request.evaluation.max_tokens, self.measured)

    def translate(self, model: nn.Module) -> list[str]:
        """Hypotheses of a model, one for every measured sentence."""
        found = generate(model, self.corpus, self.batches(), self.request.evaluation)
        return [found[number] for number in self.measured]

    @cached_property
    def references(self) -> list[str]:
        """The references of the measured sentences."""
        lines = self.corpus.references(SPLIT)
        return [lines[number] for number in self.measured]


def workpiece(request: PruningRequest) -> Workpiece:
    """Open a model and its data.

    :raises ValueError: a model that cannot be pruned or is not of translation; data that are not its own, or lack a
        split; see `open_model`, `DataBin` and `TextReading`.
    """
    opened = open_model(request.checkpoint, request.data)
    model = opened.model.to(device())
    if not hasattr(model, "encoder") or opened.description.task_name != "translation":
        raise ValueError(
            f"{request.checkpoint} is of task {opened.description.task_name!r} and architecture "
            f"{opened.description.architecture!r}; data are read of task 'translation' alone"
        )
    data = _data(request, opened.description, model.decoder.dictionary)
    data.require(SPLIT)
    corpus = BinarisedCorpus(data, device())
    for part, words in zip(("encoder", "decoder"), (corpus.task.src_dict, corpus.task.tgt_dict), strict=True):
        own = getattr(model, part).dictionary
        if own.symbols != words.symbols:
            raise ValueError(
                f"{request.data}: its dictionary of the {part} has {len(words)} symbols, that in {request.checkpoint} "
                f"{len(own)}, or others: give the data that the model was trained on"
            )
    judged, measured = _division(request, corpus)
    return Workpiece(request, replace(opened, model=model), corpus, judged, measured)


def _data(request: PruningRequest, description: Description, dictionary: Any) -> DataBin:
    pair = description.pair if all(description.pair) else pair_of(request.data)
    if pair is None or not all(pair):
        raise ValueError(f"{request.data} has no data of two languages, as fairseq-preprocess writes them")
    bpe = subwords_of(dictionary.symbols[dictionary.nspecial :]) if request.bpe == "auto" else request.bpe
    if request.references is not None and not request.references.is_file():
        raise FileNotFoundError(f"there is no file of references {request.references}")
    options: dict[str, Any] = {key: description.flag(key, default) for key, default in FLAGS.items()}
    positions = {key: description.arguments.get(key) for key in POSITIONS}
    return DataBin(
        Path(request.data),
        (str(pair[0]), str(pair[1])),
        TextReading(bpe, request.tokenizer, str(pair[1]), request.gpt2),  # type: ignore[arg-type]
        {SPLIT: request.references} if request.references else {},
        options | {key: value for key, value in positions.items() if value},
    )


def _division(request: PruningRequest, corpus: BinarisedCorpus) -> tuple[tuple[int, ...] | None, tuple[int, ...]]:
    """The valid sentences that heads are judged on, where there is no train split, and those that are left to measure.

    No sentence is in both: at most half of them is judged on.
    """
    total = len(corpus.dataset(SPLIT))
    order: Sequence[int] = torch.randperm(total, generator=torch.Generator().manual_seed(request.seed)).tolist()
    judged = None
    if corpus.data.place("train") is None:
        number = min(request.calibration.sentences, total // 2)
        judged, order = tuple(sorted(order[:number])), order[number:]
    measured = tuple(sorted(order[: request.sentences]))
    if not measured or judged == ():
        raise ValueError(f"{corpus.folder}: split {SPLIT!r} has {total} sentences; that is too few to prune by")
    return judged, measured
