"""The cost of finding a mask, and of all training that it took, beside the quality of the cell."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from common import CELL, LINE, UNPRUNED, Quality, measured, outcomes, quality_of

from headprune.analysis.updates import total_updates

SENTENCES, SECONDS, UPDATES = "passes", "time (s)", "total updates"


def costed(runs: pd.DataFrame, quality: Quality) -> pd.DataFrame:
    """Means of runs per (method, line, budget): value, heads_kept and all costs."""
    means = dict.fromkeys(["heads_kept", SENTENCES, SECONDS, UPDATES], "mean") | {"value": quality.mean}
    return runs.groupby([*LINE, "budget"]).agg(means).reset_index()


def costed_runs(
    cells: pd.DataFrame, trained: Mapping[str, int] | None = None, pretrained: Mapping[str, int] | None = None
) -> pd.DataFrame:
    """The runs of one group with all costs (NaN: not in the table).

    :param trained: updates of the training of an unpruned model, by model; None: not known
    :param pretrained: updates of the pre-training that it began with, likewise; None: there was none
    """
    runs = outcomes(cells, quality_of(cells))
    runs = runs[(runs["status"] == "ok") & (runs["method"] != UNPRUNED)]
    for metric in ("prune_seconds", "train_seconds", "prune_forward_sentences", "prune_backward_sentences"):
        runs = runs.join(measured(cells, metric).set_index(CELL)["value"].rename(metric), on=CELL)
    runs[SENTENCES] = runs["prune_forward_sentences"] + runs["prune_backward_sentences"]
    # The table books the time of a joint training under training, as it leaves nothing to do afterwards.
    runs[SECONDS] = runs["prune_seconds"].where(runs["prune_seconds"] != 0, runs["train_seconds"])
    updates = total_updates(cells, trained or {}, pretrained).set_index(CELL)["value"]
    return runs.join(updates.rename(UPDATES), on=CELL)
