"""The judgements of a model, and how fast it judges."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import headprune.models.compat  # noqa: F401

import numpy as np
import torch

from headprune.evaluation.likelihood import Agreement, largest_difference, perplexity
from headprune.gates import clear_mask, set_mask
from headprune.heads import HeadMask
from headprune.tasks.nli.corpus import ExampleCorpus

if TYPE_CHECKING:
    import pandas as pd


def positions_of(model: Any) -> int:
    """Tokens that a model reads of an example."""
    return int(model.max_positions())


def judgements(model: Any, corpus: ExampleCorpus, split: str, max_tokens: int) -> pd.DataFrame:
    """The most probable label of every example; of equal ones the first.

    :param max_tokens: of a batch
    :returns: `segment` (number of the example), `label` and `predicted`, both as words
    """
    import pandas as pd  # of no use to jobs that train

    model.eval()
    batches = corpus.batches(split, positions_of(model), max_tokens)
    predicted = np.full(len(corpus.dataset(split, positions_of(model))), -1)
    label = predicted.copy()
    with torch.no_grad():
        for batch in batches:
            rows = batch["id"].cpu().numpy()
            predicted[rows] = model(**batch["net_input"])[0].argmax(-1).cpu().numpy()  # (batch,)
            label[rows] = batch["target"].cpu().numpy()
    words = np.array(corpus.labels, dtype=object)
    return pd.DataFrame({"segment": np.arange(len(label)), "label": words[label], "predicted": words[predicted]})


def accuracy(table: pd.DataFrame) -> float:
    """The share of examples whose label is right."""
    return float((table["label"] == table["predicted"]).mean())


def agreement(model: Any, mask: HeadMask, pruned: Any, batches: Sequence[Mapping[str, Any]]) -> Agreement:
    """Compares the logits of `model` under `mask` with those of `pruned`, on all examples of the batches."""
    model.eval()
    pruned.eval()
    set_mask(model, mask)
    try:
        worst = max(largest_difference(model, pruned, batch) for batch in batches)
    finally:
        clear_mask(model)
    return Agreement(
        max_abs=worst, hypotheses_compared=0, hypotheses_different=0, perplexity=perplexity(pruned, batches)
    )


def seconds(model: Any, batch: Mapping[str, Any]) -> float:
    """The time of a forward pass over a batch."""
    model.eval()
    _wait()
    start = time.perf_counter()
    with torch.no_grad():
        model(**batch["net_input"])
    _wait()
    return time.perf_counter() - start


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
