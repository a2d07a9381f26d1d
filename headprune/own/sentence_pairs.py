"""A translation model with the folder of its sentence pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import headprune.models.compat  # noqa: F401

from fairseq.data.indexed_dataset import infer_dataset_impl

from headprune.checkpoints import OpenedModel
from headprune.checkpoints.opening import pair_of
from headprune.evaluation.likelihood import Batches
from headprune.evaluation.scores import Score
from headprune.heads import HeadMask
from headprune.models.devices import device
from headprune.own.request import PruningRequest
from headprune.own.workpiece import SPLIT, Workpiece, division
from headprune.settings import Speed
from headprune.statistics import PairedComparison, approximate_randomization
from headprune.tasks.translation import TRANSLATION
from headprune.tasks.translation.data_bin import BinarisedCorpus, DataBin
from headprune.tasks.translation.evaluation import agreement, generate
from headprune.tasks.translation.reading import TextReading, subwords_of
from headprune.timing import Timing

FLAGS = {"left_pad_source": True, "left_pad_target": False, "truncate_source": False}
POSITIONS = ("max_source_positions", "max_target_positions")


class SentencePairs(Workpiece):
    """Examples are sentence pairs; quality is BLEU of beam search, of text or of tokens."""

    examples, outputs, single = "sentences", "hypotheses.txt", "sentence"
    corpus: BinarisedCorpus

    @classmethod
    def of(cls, request: PruningRequest, opened: OpenedModel) -> SentencePairs:
        """A model on its device, with its data.

        :raises ValueError: data that lack a split, or number words as another model; see `DataBin` and `TextReading`.
        """
        data = data_of(request, opened)
        data.require(SPLIT)
        corpus = BinarisedCorpus(data, device())
        TRANSLATION.work.require_words(opened.model, corpus)
        has_train = data.place("train") is not None
        return cls(request, opened, corpus, *division(request, len(corpus.dataset(SPLIT)), has_train))

    @property
    def reading(self) -> Sequence[str]:
        found = self.corpus.data.reading
        return [f"subwords {found.subwords}", f"tokenizer {found.tokenizer}"]

    def calibration(self) -> Batches:
        settings = self.request.calibration
        if self.judged is None:
            return self.corpus.sample_train(settings.sentences, self.request.seed, settings.max_tokens)
        return self.corpus.batches(SPLIT, settings.max_tokens, self.judged)

    def batches(self) -> Batches:
        return self.corpus.batches(SPLIT, self.request.evaluation.max_tokens, self.measured)

    def put_out(self, model: Any) -> list[str]:
        found = generate(model, self.corpus, self.batches(), self.request.evaluation)
        return [found[number] for number in self.measured]

    @cached_property
    def references(self) -> list[str]:
        """The references of the measured sentences."""
        lines = self.corpus.references(SPLIT)
        return [lines[number] for number in self.measured]

    def scores(self, lines: Sequence[str]) -> Mapping[str, Score]:
        return self.corpus.judged(lines, self.references)

    def compare(self, baseline: Sequence[str], system: Sequence[str]) -> PairedComparison:
        metric = "bleu" if self.corpus.data.references else "bleu_tokenized"
        return approximate_randomization(baseline, system, self.references, metric)

    def macs_per_token(self, model: Any) -> float:
        return TRANSLATION.work.macs_per_token(model, self.corpus)

    def agreed(self, mask: HeadMask, model: Any, smaller: Any) -> dict[str, Any]:
        evaluation = self.request.evaluation
        checked = min(evaluation.checked_sentences, len(self.corpus.dataset(SPLIT)))
        evaluation = evaluation.model_copy(update={"checked_sentences": checked})
        found = agreement(model, mask, smaller, self.corpus, self.batches()[:1], evaluation)
        return {
            "masked_vs_removed_max_abs": found.max_abs,
            "masked_vs_removed_hypotheses": found.hypotheses_different,
        }

    def timed(self, models: Mapping[str, Any]) -> dict[str, tuple[Timing, Timing]]:
        return TRANSLATION.work.time(models, self.corpus, Speed(), self.request.evaluation)

    @property
    def training_words(self) -> Sequence[str]:
        words = [str(self.request.data), "--task", "translation"]
        words += ["--source-lang", self.corpus.pair[0], "--target-lang", self.corpus.pair[1]]
        raw = infer_dataset_impl(f"{self.corpus.data.require('train')}.{self.corpus.pair[0]}") == "raw"
        return [*words, *(["--dataset-impl", "raw"] if raw else [])]

    @property
    def task_settings(self) -> Mapping[str, Any]:
        return self.corpus.data.options

    def commands(self, model: Path) -> list[str]:
        words = f'{self.request.data} --user-dir "$(headprune user-dir)" --path {model}'
        words += " -s {} -t {}".format(*self.corpus.pair)
        every = "--required-batch-size-multiple 1"  # fairseq's default leaves sentences out
        return [f"fairseq-generate {words} --gen-subset {SPLIT} {every}", f"fairseq-interactive {words}"]


def data_of(request: PruningRequest, opened: OpenedModel) -> DataBin:
    """The folder of the data, and how it is read: in the direction of the model.

    :raises ValueError: nothing tells the languages.
    :raises FileNotFoundError: there is no file of references.
    """
    description, dictionary = opened.description, opened.model.decoder.dictionary
    found = tuple(place.name.split(".")[1] for place in opened.dictionaries)
    pair = description.pair if all(description.pair) else found or pair_of(request.data)
    if pair is None:
        raise ValueError(f"{request.data} has no data of two languages, as fairseq-preprocess writes them")
    bpe: Any = subwords_of(dictionary.symbols[dictionary.nspecial :]) if request.bpe == "auto" else request.bpe
    if request.references is not None and not request.references.is_file():
        raise FileNotFoundError(f"there is no file of references {request.references}")
    options: dict[str, Any] = {key: description.flag(key, default) for key, default in FLAGS.items()}
    positions = {key: value for key in POSITIONS if (value := description.arguments.get(key))}
    tokenizer: Any = request.tokenizer
    return DataBin(
        Path(request.data),
        (str(pair[0]), str(pair[1])),
        TextReading(bpe, tokenizer, str(pair[1]), request.gpt2),
        {SPLIT: request.references} if request.references else {},
        options | positions,
    )
