"""The judgements of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import headprune.models.compat  # noqa: F401

import numpy as np
import torch

from headprune.evaluation.likelihood import require_numbers
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
    :raises ValueError: a logit is NaN, which `argmax` would take for the largest.
    """
    import pandas as pd  # of no use to jobs that train

    model.eval()
    batches = corpus.batches(split, positions_of(model), max_tokens)
    predicted = np.full(len(corpus.dataset(split, positions_of(model))), -1)
    label = predicted.copy()
    with torch.no_grad():
        for batch in batches:
            rows = batch["id"].cpu().numpy()
            logits = model(**batch["net_input"])[0]  # (batch, labels)
            require_numbers(logits, "logits")
            predicted[rows] = logits.argmax(-1).cpu().numpy()
            label[rows] = batch["target"].cpu().numpy()
    words = np.array(corpus.labels, dtype=object)
    return pd.DataFrame({"segment": np.arange(len(label)), "label": words[label], "predicted": words[predicted]})


def right(table: pd.DataFrame) -> pd.Series[bool]:
    """True for the examples whose label is right."""
    return table["label"] == table["predicted"]


def accuracy(table: pd.DataFrame) -> float:
    """The share of examples whose label is right."""
    return float(right(table).mean())
