"""The words of results: metrics with their units, kinds of outputs and of checkpoints. Every task adds its own.

It is apart from the tables and files themselves, which take pandas or torch: a profile is checked without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# Metrics that every task has, and their units.
COMMON = {
    "perplexity": "per token",
    "masked_vs_removed_max_abs": "logit",
    "masked_vs_removed_hypotheses": "sentences",
    "parameters": "count",
    "parameters_non_embedding": "count",
    "macs_per_token": "MAC",
    "latency_ms": "ms",
    "throughput": "tokens/s",
    "train_seconds": "s",
    "prune_seconds": "s",
    "prune_forward_sentences": "sentences",
    "prune_backward_sentences": "sentences",
    "prune_updates": "updates",
    "peak_memory_mib": "MiB",
    "tuning_updates": "updates",
    "tuning_forward_sentences": "sentences",
    "tuning_backward_sentences": "sentences",
}
UNITS = dict(COMMON)  # of all metrics that result tables may hold
LOGARITHMIC = ("perplexity", "perplexity_one_row")  # averaged, compared and drawn by their logarithm


@dataclass(frozen=True)
class OutputKind:
    """One kind of files with what a model put out on a split.

    :param pattern: the name of the file, with `{}` for the split; its end says how it is read: `.txt.gz`, a line per
        segment; `.parquet`, a table with a row per segment; `.json`, an object of texts about the whole split
    :param columns: what is read of it, beside the number of the segment
    """

    pattern: str
    columns: tuple[str, ...]


# Of outputs, by name: those that come along, of which a task uses what fits it, and those that tasks add.
KINDS = {
    "hypotheses": OutputKind("hypotheses.{}.txt.gz", ("text",)),
    "likelihoods": OutputKind("likelihoods.{}.parquet", ("tokens", "log_likelihood")),
    "labels": OutputKind("labels.{}.parquet", ("label", "predicted")),
    "sample": OutputKind("sample.{}.json", ("prompt", "continuation")),
}


CHECKPOINTS: list[str] = []  # `module:NAME` of the kinds of checkpoints that tasks bring, for `headprune.removal`


def extend(units: Mapping[str, str], kinds: Mapping[str, OutputKind], checkpoints: Iterable[str] = ()) -> None:
    """Adds the metrics, kinds of outputs and of checkpoints of a task; what tasks share, both of them name alike.

    :raises ValueError: a name that stands for something else already; nothing is added then.
    """
    for known, new in ((UNITS, units), (KINDS, kinds)):
        for name, meaning in new.items():
            if known.get(name, meaning) != meaning:  # type: ignore[attr-defined]
                raise ValueError(f"{name!r} is {known[name]!r} already, and cannot be {meaning!r}")  # type: ignore[index]
    UNITS.update(units)
    KINDS.update(kinds)
    CHECKPOINTS.extend(place for place in checkpoints if place not in CHECKPOINTS)
