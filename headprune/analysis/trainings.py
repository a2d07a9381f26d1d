"""The trainings of a results folder, beside its cells: masks under every penalty of a search, and curves."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from headprune.analysis.tables import ResultsError, with_own_name

NEEDED = {
    "trial_masks.csv": ["profile", "model", "method", "label", "seed", "coefficient", "type", "layer", "kept"],
    "curves.csv": [
        *("profile", "model", "method", "arm", "label", "budget", "coefficient", "seed"),
        *("split", "update", "loss", "nll_loss", "updates", "cooldown", "scheduled", "level"),
    ],
}
TEXTS = ("profile", "model", "method", "arm", "label", "split", "scheduled", "type")


def read_trial_masks(folder: Path) -> pd.DataFrame:
    """One row per head and training at one penalty, `kept` 0 or 1; empty where there are none.

    :raises ResultsError: trial_masks.csv is unreadable or lacks a column
    """
    table = _read(folder / "trial_masks.csv")
    return table[table["coefficient"].notna()].astype({"kept": float})


def read_curves(folder: Path) -> pd.DataFrame:
    """One row per training and update at which its losses were logged; empty where there are none.

    :raises ResultsError: curves.csv is unreadable or lacks a column
    """
    return with_own_name(_read(folder / "curves.csv"))


def _read(path: Path) -> pd.DataFrame:
    needed = NEEDED[path.name]
    if not path.is_file():
        return pd.DataFrame(columns=needed)
    texts = dict.fromkeys(TEXTS, str)
    try:
        table = pd.read_csv(
            path,
            float_precision="round_trip",
            dtype=texts,
            keep_default_na=False,
            na_values={c: [""] for c in _numbers(needed)},
        )
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path.name} is not a readable CSV file: {error}") from error
    absent = [column for column in needed if column not in table.columns]
    if absent:
        raise ResultsError(f"{path.name} lacks the columns {', '.join(absent)}")
    return table


def _numbers(columns: list[str]) -> list[str]:
    return [column for column in columns if column not in TEXTS]
