"""The trials of a tuning, and what a smaller tuning would have found: expected best loss by the number of trials."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from headprune.analysis.tables import ResultsError
from headprune.results import schema

NAME = "tuning.csv"
TRIAL = ["profile", "model", "method", "entry", "trial"]


def read_tuning(folder: Path) -> pd.DataFrame:
    """One row per trial, seed and budget, as in tuning.csv; empty where there are none.

    :raises ResultsError: tuning.csv is unreadable or lacks a column
    """
    path = folder / NAME
    if not path.is_file():
        return schema.tuning_table([])
    try:
        return schema.read_table(path, schema.TUNING_COLUMNS)
    except (OSError, ValueError) as error:
        raise ResultsError(str(error)) from error


def by_trial(table: pd.DataFrame) -> pd.DataFrame:
    """Trials with their seeds and budgets pooled, as they are chosen by.

    :param table: rows of tuning.csv
    :returns: TRIAL, options, chosen, loss (mean in nats per token; NaN if any failed), updates and passes (sentences
        forward and backward, of runs that no trial of the entry before has had)
    """
    passes = table["forward_sentences"].fillna(0) + table["backward_sentences"].fillna(0)
    loss = table["loss"].astype(float).where(table["status"] == "ok")
    rows = table.assign(passes=passes.astype(float), loss=loss, updates=table["updates"].fillna(0).astype(float))
    return rows.groupby(TRIAL, as_index=False, sort=False).agg(
        options=("options", "first"),
        chosen=("chosen", "first"),
        loss=("loss", lambda values: values.mean(skipna=False)),
        updates=("updates", "sum"),
        passes=("passes", "sum"),
    )


def expected_best(values: ArrayLike) -> NDArray[np.float64]:
    """The expected maximum of n draws, with replacement, from the empirical distribution of N values.

    E[max_n] = Σ_i v_(i) (F(i)^n − F(i−1)^n) with F(i) = i/N, the values in rising order: the expected validation
    performance of Dodge et al. 2019, "Show your work: improved reporting of experimental results".

    :param values: finite (N,)
    :returns: for n = 1…N (N,)
    :raises ValueError: no values, or one that is not finite.
    """
    rising = np.sort(np.asarray(values, dtype=np.float64))
    if rising.ndim != 1 or rising.size == 0 or not np.isfinite(rising).all():
        raise ValueError(f"expected a list of finite values, got {rising.tolist()}")
    share = np.arange(rising.size + 1) / rising.size  # F(0)…F(N)
    powers = share ** np.arange(1, rising.size + 1)[:, None]  # (n, N + 1)
    found: NDArray[np.float64] = np.diff(powers, axis=1) @ rising
    return found


def expected_loss(losses: ArrayLike) -> NDArray[np.float64]:
    """The expected lowest loss of n of N trials, drawn with replacement.

    :param losses: of N trials; NaN: it failed, and counts as the worst that did not
    :returns: for n = 1…N (N,); NaN where all failed
    """
    values = np.asarray(losses, dtype=np.float64)
    if np.isnan(values).all():
        return values
    return -expected_best(-np.where(np.isnan(values), np.nanmax(values), values))
