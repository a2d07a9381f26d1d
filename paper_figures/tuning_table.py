"""The tuning of methods as a table: what was chosen, what it gained on the validation set, what it cost.

Writes tuning.csv, .md, .tex and the caption tuning.txt.

python paper_figures/tuning_table.py RESULTS_DIR OUT_DIR [--arms METHOD[.ARM] …]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from captions import caption
from command import run
from common import UNPRUNED, Line, Results, group_label, in_group, label_of, lines_of, measured
from families import line_label, ordered
from tabling import ABSENT, Column, write

from headprune.analysis.drawings import Table
from headprune.analysis.tables import line_of
from headprune.analysis.tuning import by_trial, read_tuning

NAME = "tuning"
TABLE = Table("Options that tuning has chosen, what they gained and what they cost.", needs=("tuning",), name="tuning")
PASSES = ("forward_sentences", "backward_sentences")
COLUMNS = (
    Column("method", right=False),
    *(Column("trials"), Column("failed"), Column("own loss"), Column("best loss")),
    Column("chosen", right=False, width=0.3),
    *(Column("updates, all trials"), Column("passes, all trials"), Column("passes, one mask")),
)
OPENING = (
    "Tuning of every method: its trials, those that failed, the validation loss of its own values and of the best "
    "trial (nats per token, mean over the seeds and budgets of the tuning), the options of that trial, and what all "
    "trials cost: updates, and examples passed forward and backward. Beside it the passes that one mask of the "
    "reported runs took, a mean over cells. A run that serves several budgets of a trial counts once. {absent}: not "
    "tuned, or no result. Where all trials failed the method's own values stand."
)


def draw(results: Results, out_dir: Path) -> None:
    """Write the table of all groups."""
    results = results.untreated()
    trials = by_trial(read_tuning(results.folder))
    groups = {group: list(records(results, group, trials)) for group in results.groups()}
    frame = pd.DataFrame([record for found in groups.values() for record in found])
    sections = {group_label(results, group): [texts(record) for record in found] for group, found in groups.items()}
    text = caption(results, OPENING.format(absent=ABSENT), with_metric=False)
    write(out_dir, NAME, frame, COLUMNS, sections, text)


def records(results: Results, group: tuple[str, ...], trials: pd.DataFrame) -> Iterator[dict[str, object]]:
    """One record per method and arm of a group, tuned or not."""
    cells = in_group(results.cells, group)
    own = trials[(trials["profile"] == group[0]) & (trials["model"] == group[3])]
    found = {line_of(entry): part for entry, part in own.groupby("entry")}
    spent = sum(passes(cells, f"prune_{name}") for name in PASSES)
    for line in (line for line in ordered(lines_of(cells)) if line[0] != UNPRUNED):
        about = {"profile": group[0], "model": group[3], "label": label_of(line), "passes_one_mask": spent.get(line)}
        yield about | (tuned(found[line]) if line in found else {"trials": 0})


def passes(cells: pd.DataFrame, metric: str) -> pd.Series:
    """The mean of a cost over the cells of each line."""
    return pd.Series({line: part["value"].mean() for line, part in lines_of(measured(cells, metric)).items()})


def tuned(trials: pd.DataFrame) -> dict[str, object]:
    """The numbers of one entry.

    :param trials: all of its trials, the first with its own values
    """
    chosen = trials[trials["chosen"].fillna(False).astype(bool)]
    return {
        "trials": len(trials),
        "failed": int(trials["loss"].isna().sum()),
        "own_loss": trials["loss"].iloc[0],
        "best_loss": trials["loss"].min(),
        "options": chosen["options"].iloc[0] if len(chosen) else "",
        "updates_all_trials": trials["updates"].sum(),
        "passes_all_trials": trials["passes"].sum(),
    }


def texts(record: dict[str, object]) -> list[str]:
    """The cells of a row."""
    line: Line = line_of(str(record["label"]))
    numbers = {key: number(record.get(key), "{:.4f}") for key in ("own_loss", "best_loss")}
    counts = ("updates_all_trials", "passes_all_trials", "passes_one_mask")
    numbers |= {key: number(record.get(key), "{:,.0f}") for key in counts}
    if not record["trials"]:
        return [line_label(line), *[ABSENT] * 7, numbers["passes_one_mask"]]
    whole = [str(record["trials"]), str(record["failed"])]
    return [line_label(line), *whole, *list(numbers.values())[:2], options(record), *list(numbers.values())[2:]]


def options(record: dict[str, object]) -> str:
    """`cooldown 0.59, start 351`, or that its own values stand."""
    if record["failed"] == record["trials"]:
        return "own values: all trials failed"
    values = json.loads(str(record["options"]))
    shown = (f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items())
    return ", ".join(shown).replace("True", "true").replace("False", "false") or "own values"


def number(value: object, form: str) -> str:
    """A number as text; a dash where there is none."""
    return ABSENT if value is None or pd.isna(value) else form.format(value)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
