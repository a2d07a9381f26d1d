"""Scores of translations on raw references. No model is needed, and no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sacrebleu
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from headprune.evaluation.scores import Paired, Score

TOKENS = f"tok:13a|version:{sacrebleu.__version__}"  # the signature of what is counted in tokens


def scores(hypotheses: Sequence[str], references: Sequence[str], language: str) -> dict[str, Score]:
    """Every metric of translation, by name.

    :param language: of the references
    """
    return {
        "bleu": bleu(hypotheses, references),
        "chrf": chrf(hypotheses, references),
        "bleu_tokenized_lower": bleu_tokenized_lower(hypotheses, references, language),
        "length_ratio": length_ratio(hypotheses, references),
        "repetition_rate": repetition_rate(hypotheses),
    }


def token_scores(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, Score]:
    """The metrics of translations where the references are tokens and nobody has their raw text, by name."""
    equal = sum(one == other for one, other in zip(hypotheses, references, strict=True))
    return {
        "bleu_tokenized": bleu_tokenized(hypotheses, references),
        "exact_match": Score(equal / max(1, len(references))),
        "repetition_rate": repetition_rate(hypotheses),
    }


def bleu_tokenized(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """BLEU of tokens as they are, sacrebleu's `tok:none`; comparable on the same binarised data only."""
    return _score(sacrebleu.metrics.BLEU, hypotheses, references, tokenize="none", force=True)


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


def length_ratio(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """The tokens of all hypotheses over those of all references, by sacrebleu's tokeniser 13a: 1 where both are equally
    long in sum, more where a model does not stop. References without a token count as one token.

    :raises ValueError: another number of hypotheses than of references.
    """
    _refuse_unequal(hypotheses, references)
    lengths = [sum(map(len, _tokens(tuple(lines)))) for lines in (hypotheses, references)]
    return Score(lengths[0] / max(1, lengths[1]), TOKENS)


def repetition_rate(hypotheses: Sequence[str], order: int = 4) -> Score:
    """The share of n-grams that occurred in the same hypothesis before, over all hypotheses together, in tokens of
    sacrebleu's tokeniser 13a: near 0 in prose, near 1 where a model says one thing over and over.

    :param order: n
    :returns: 0 to 1; 0 without a hypothesis of n tokens
    """
    every = distinct = 0
    for tokens in _tokens(tuple(hypotheses)):
        grams = [tokens[start : start + order] for start in range(len(tokens) - order + 1)]
        every, distinct = every + len(grams), distinct + len(set(grams))
    return Score((every - distinct) / max(1, every), TOKENS)


@lru_cache(maxsize=2)
def _tokens(lines: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The tokens of every line, as BLEU counts them."""
    tokenize = Tokenizer13a()
    return tuple(tuple(tokenize(line.rstrip()).split()) for line in lines)


def _refuse_unequal(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    if len(hypotheses) != len(references):
        raise ValueError(f"{len(hypotheses)} hypotheses for {len(references)} references")


def _score(kind: Callable[..., Any], hypotheses: Sequence[str], references: Sequence[str], **options: Any) -> Score:
    _refuse_unequal(hypotheses, references)
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


def bleu_against_first(
    hypotheses: Mapping[str, Sequence[str]], references: Sequence[str], samples: int, tokens: bool = False
) -> dict[str, Paired]:
    """BLEU of every system, with `headprune.statistics.approximate_randomization` of it against the first.

    :param hypotheses: of every system, by name
    :param tokens: the references are tokens, and the score is `bleu_tokenized`
    :param samples: swaps to draw where more segments differ than all swaps can be made of
    :returns: by name; p-values are two-sided
    """
    from headprune import statistics  # half a second of scipy, which most jobs never use

    (first, *others) = hypotheses
    score, metric = (bleu_tokenized, "bleu_tokenized") if tokens else (bleu, "bleu")
    found = {first: Paired(score(hypotheses[first], references).value, None)}
    for name in others:
        test = statistics.approximate_randomization(hypotheses[first], hypotheses[name], references, metric, samples)
        found[name] = Paired(test.system, test.p_value, test.differing)
    return found
