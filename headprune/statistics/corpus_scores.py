"""sacrebleu's corpus scores from sufficient statistics: of a test set, of resamples, and in its own randomisation."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import sacrebleu
from numpy.typing import NDArray
from sacrebleu.metrics.base import Metric, Score
from sacrebleu.significance import PairedTest, Result

from headprune.statistics.base import Array

METRICS: dict[str, Callable[..., Metric]] = {
    "bleu": partial(sacrebleu.metrics.BLEU, force=True),  # no warning that what pruned models babble looks tokenised
    "chrf": sacrebleu.metrics.CHRF,
}
Lines = Sequence[str]


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
    """The score of a corpus.

    :param totals: statistics summed over segments
    """
    return float(metric_of(metric)._compute_score_from_stats(totals).score)


@lru_cache(maxsize=1024)
def resampled_scores(metric: str, statistics: bytes, draws: tuple[int, int, int | None]) -> Array:
    """The score in every resample, (samples,), of sacrebleu's bootstrap: an output is compared with many others.

    :param statistics: of an int64 array (segments, statistics)
    :param draws: arguments of `drawn`
    """
    table = np.frombuffer(statistics, dtype=np.int64).reshape(draws[0], -1)
    totals = (drawn(*draws) @ table).astype(np.float32)  # whole numbers, in the type in which sacrebleu has them
    return np.array([score(metric, row) for row in totals])


def sacrebleu_seed() -> int | None:
    """The seed of sacrebleu's resampling, $SACREBLEU_SEED or its default; None: another one every time."""
    seed = os.environ.get("SACREBLEU_SEED", "12345")
    return None if seed.lower() == "none" else int(seed)


@lru_cache(maxsize=1)
def drawn(segments: int, samples: int, seed: int | None) -> Array:
    """Number of times that every segment is drawn in each resample of sacrebleu's bootstrap, (samples, segments)."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(segments, size=(samples, segments), replace=True)
    chosen += segments * np.arange(samples)[:, None]
    return np.bincount(chosen.ravel(), minlength=samples * segments).reshape(samples, segments).astype(np.float64)


def randomization_p(
    baseline: Sequence[NDArray[Any]], system: Sequence[NDArray[Any]], metric: str, trials: int
) -> float:
    """The p of sacrebleu's approximate randomisation, of the means over seeds.

    :param baseline: statistics (segments, statistics) of every seed; likewise the system's
    """
    # The statistics are what sacrebleu would extract from hypotheses; it needs their number and nothing else of them.
    systems: Any = [(name, np.concatenate(side, axis=1)) for name, side in (("one", baseline), ("two", system))]
    blocks: Any = {metric: _SeedBlocks(metric, len(baseline))}
    _, results = PairedTest(systems, blocks, references=None, test_type="ar", n_samples=trials)()
    found = next(results[name][1] for name in results if name != "System")
    assert isinstance(found, Result)
    assert found.p_value is not None
    return float(found.p_value)


class _SeedBlocks(Metric):
    """The mean over seeds of a sacrebleu metric, from the statistics of all seeds side by side.

    `PairedTest` takes any metric; what it calls the hypotheses are rows of statistics here.
    """

    def __init__(self, metric: str, seeds: int) -> None:
        super().__init__()
        self.metric, self.seeds = metric, seeds

    def get_signature(self) -> Any:
        return metric_of(self.metric).get_signature()

    def _extract_corpus_statistics(self, hypotheses: Any, references: Any) -> Any:
        return hypotheses

    def _aggregate_and_compute(self, stats: Any) -> Score:
        return self._compute_score_from_stats(np.asarray(stats).sum(axis=0))

    def _compute_score_from_stats(self, stats: Any) -> Score:
        parts = np.asarray(stats).reshape(self.seeds, -1)
        return Score("mean over seeds", float(np.mean([score(self.metric, part) for part in parts])))

    def _preprocess_segment(self, sent: str) -> str:
        raise NotImplementedError("statistics are extracted before")

    def _extract_reference_info(self, refs: Any) -> Any:
        raise NotImplementedError("statistics are extracted before")

    def _compute_segment_statistics(self, hypothesis: str, ref_kwargs: Any) -> Any:
        raise NotImplementedError("statistics are extracted before")
