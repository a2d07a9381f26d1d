"""Corpus scores from sacrebleu's sufficient statistics: of a test set, and of as many resamples of it as are wanted."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import sacrebleu
from numpy.typing import NDArray
from sacrebleu.metrics.base import Metric

from headprune.statistics import ngram_scores
from headprune.statistics.base import Array

METRICS: dict[str, Callable[..., Metric]] = {
    "bleu": partial(sacrebleu.metrics.BLEU, force=True),  # no warning that what pruned models babble looks tokenised
    "bleu_tokenized": partial(sacrebleu.metrics.BLEU, tokenize="none", force=True),
    "chrf": sacrebleu.metrics.CHRF,
}
OF_TOTALS: dict[str, Callable[[Array], Array]] = {
    "bleu": ngram_scores.bleu,
    "bleu_tokenized": ngram_scores.bleu,
    "chrf": ngram_scores.chrf,
}
Lines = Sequence[str]
AT_ONCE = 2**24  # numbers of times that are held in double precision


@lru_cache
def metric_of(name: str) -> Any:
    """The metric of this name, for corpora with one reference a segment."""
    metric = _new_metric(name)
    metric.num_refs = 1
    return metric


def _new_metric(name: str, **arguments: Any) -> Any:
    if name not in METRICS:
        raise ValueError(f"unknown metric {name!r} of outputs; available: {', '.join(METRICS)}")
    return METRICS[name](**arguments)


@lru_cache(maxsize=4)
def knowing(metric: str, references: Lines) -> Any:
    """The metric, with the n-grams of these references counted once for all systems."""
    return _new_metric(metric, references=[list(references)])


def score(metric: str, totals: NDArray[Any]) -> float:
    """The score of a corpus, by sacrebleu.

    :param totals: statistics summed over segments
    """
    return float(metric_of(metric)._compute_score_from_stats(totals).score)


def mean_scores(metric: str, totals: Sequence[Array]) -> Array:
    """The mean over seeds of the scores of many corpora.

    :param totals: of every seed the statistics summed over segments, (corpora, statistics)
    :returns: (corpora,)
    """
    return np.mean([OF_TOTALS[metric](part) for part in totals], axis=0)


def sacrebleu_seed() -> int | None:
    """The seed of sacrebleu's resampling, $SACREBLEU_SEED or its default; None: another one every time."""
    seed = os.environ.get("SACREBLEU_SEED", "12345")
    return None if seed.lower() == "none" else int(seed)


def resampled(values: NDArray[Any], samples: int, seed: int | None) -> Array:
    """The sums of segments' values in each resample of sacrebleu's bootstrap.

    :param values: (segments,) or (segments, columns)
    :returns: (samples,) or (samples, columns)
    """
    counts, step = _drawn(len(values), samples, seed), max(1, AT_ONCE // len(values))
    return np.concatenate([counts[i : i + step].astype(np.float64) @ values for i in range(0, samples, step)])


@lru_cache(maxsize=1)
def _drawn(segments: int, samples: int, seed: int | None) -> NDArray[np.uint16]:
    """Number of times that every segment is drawn in each resample, (samples, segments)."""
    rng = np.random.default_rng(seed)
    counts = np.empty((samples, segments), np.uint16)
    for row in counts:
        row[:] = np.bincount(rng.choice(segments, size=segments, replace=True), minlength=segments)
    return counts
