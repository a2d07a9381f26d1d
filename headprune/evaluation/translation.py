"""Beam-search hypotheses with fairseq's generator, and their scores on raw references."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import headprune.models.compat  # noqa: F401

import sacrebleu
import torch
from torch import nn

from headprune.config import Evaluation
from headprune.data import decode
from headprune.evaluation.corpus import TranslationCorpus


@dataclass(frozen=True)
class Score:
    """A corpus-level score on the scale 0–100 with the signature of how it was computed."""

    value: float
    signature: str


def generate(
    model: nn.Module, corpus: TranslationCorpus, batches: Sequence[Mapping[str, Any]], settings: Evaluation
) -> dict[int, str]:
    """Best hypothesis of every sentence in `batches`, detokenised, by its number in the corpus.

    fairseq's generator leaves the beam size in the attention modules, where it would corrupt the next forward pass
    outside beam search; it is reset here.

    :raises ValueError: a sentence comes out other than once.
    """
    arguments = Namespace(
        beam=settings.beam, lenpen=settings.length_penalty, max_len_a=settings.max_len_a, max_len_b=settings.max_len_b
    )
    generator = corpus.task.build_generator([model], arguments)
    dictionary = corpus.task.target_dictionary
    hypotheses: dict[int, str] = {}
    try:
        for batch in batches:
            with torch.no_grad():
                found = corpus.task.inference_step(generator, [model], batch)
            for number, beams in zip(batch["id"].tolist(), found, strict=True):
                if number in hypotheses:
                    raise ValueError(f"sentence {number} was translated twice")
                hypotheses[number] = decode(dictionary.string(beams[0]["tokens"], escape_unk=True))
    finally:
        generator.model.set_decoder_beam_size(1)
    expected = sum(len(batch["id"]) for batch in batches)
    if len(hypotheses) != expected:
        raise ValueError(f"{len(hypotheses)} hypotheses for {expected} sentences")
    return hypotheses


def translate(model: nn.Module, corpus: TranslationCorpus, split: str, settings: Evaluation) -> list[str]:
    """Hypotheses of a whole split, one a sentence, in corpus order."""
    model.eval()
    hypotheses = generate(model, corpus, corpus.batches(split, settings.max_tokens), settings)
    return [hypotheses[number] for number in range(len(hypotheses))]


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """sacrebleu's default BLEU (13a, mixed case) on detokenised text."""
    return _score(sacrebleu.metrics.BLEU, hypotheses, references)


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """sacrebleu's chrF2."""
    return _score(sacrebleu.metrics.CHRF, hypotheses, references)


def bleu_tokenized_lower(hypotheses: Sequence[str], references: Sequence[str], language: str) -> Score:
    """BLEU of lower-cased Moses tokens, comparable to what the papers report; never to be quoted as sacreBLEU."""
    tokens, known = _moses(hypotheses, language), _moses_references(tuple(references), language)
    score = _score(sacrebleu.metrics.BLEU, tokens, known, tokenize="none", lowercase=True, force=True)
    return Score(score.value, score.signature.replace("tok:none", f"tok:moses-{language}"))


def _score(kind: Callable[..., Any], hypotheses: Sequence[str], references: Sequence[str], **options: Any) -> Score:
    if len(hypotheses) != len(references):
        raise ValueError(f"{len(hypotheses)} hypotheses for {len(references)} references")
    metric = _metric(kind, tuple(references), **options)
    return Score(float(metric.corpus_score(list(hypotheses), None).score), str(metric.get_signature()))


@lru_cache(maxsize=4)
def _metric(kind: Callable[..., Any], references: tuple[str, ...], **options: Any) -> Any:
    """The n-grams of references are counted once for all models that a job tests."""
    return kind(references=[list(references)], **options)


def _moses(lines: Sequence[str], language: str) -> tuple[str, ...]:
    tokenizer = _tokenizer(language)
    return tuple(tokenizer.tokenize(line, return_str=True, escape=False) for line in lines)


_moses_references = lru_cache(maxsize=1)(_moses)


@lru_cache
def _tokenizer(language: str) -> Any:
    from sacremoses import MosesTokenizer

    return MosesTokenizer(lang=language)


@dataclass(frozen=True)
class Paired:
    """A system beside the baseline: its BLEU, and how likely a difference as large is by chance."""

    score: float
    p_value: float | None  # None: the baseline itself
    differing: int | None = None  # segments in which the two differ


def bleu_against_first(
    hypotheses: Mapping[str, Sequence[str]], references: Sequence[str], samples: int
) -> dict[str, Paired]:
    """BLEU of every system, with `headprune.statistics.paired_bootstrap` of it against the first.

    :param hypotheses: of every system, by name
    :param samples: resamples of the segments
    """
    from headprune import statistics  # half a second of scipy and statsmodels, which most jobs never use

    (first, *others) = hypotheses
    found = {first: Paired(bleu(hypotheses[first], references).value, None)}
    for name in others:
        test = statistics.paired_bootstrap(hypotheses[first], hypotheses[name], references, "bleu", samples)
        found[name] = Paired(test.system, test.p_value, test.differing)
    return found
