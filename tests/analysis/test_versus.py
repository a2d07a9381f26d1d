"""`headprune compare`: two methods, and two result tables, as numbers and in the terminal."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from found import Found, rows
from made_up_cells import N_HEADS, rows_of, write_hypotheses
from rich.console import Console
from typer.testing import CliRunner

from headprune.analysis import display
from headprune.analysis.comparisons import compare
from headprune.analysis.differences import differences
from headprune.analysis.tables import ResultsError, read
from headprune.analysis.versus import newest, versus
from headprune.cli.commands import app
from headprune.results import schema
from headprune.statistics import approximate_randomization

SEEDS = range(1, 7)
LINES = [f"a small house number {i} stands near the old town" for i in range(30)]


def grid(seeds=SEEDS) -> dict:
    rng = np.random.default_rng(3)
    values: dict = {("unpruned", "", N_HEADS, s): 20.0 + s for s in seeds}
    for method, arm, budgets, level in (("dsp", "joint", (8, 4), 15), ("magnitude", "", (8, 4, 2), 11)):
        values |= {(method, arm, k, s): level + s + rng.normal(0, 0.3) for k in budgets for s in seeds}
    return values


def printed(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["compare", *arguments])
    assert done.exit_code == 0, done.output
    return re.sub(r"\s+", " ", done.output)


def test_rows_are_those_of_the_comparisons(write: Callable) -> None:
    folder = read(write(rows_of(grid())))
    (found,) = versus(folder, "dsp.joint", "magnitude")
    every = compare(folder, [("magnitude", "")])
    expected = every[every["method"] == "dsp"].sort_values("budget", ascending=False)
    for column in ("budget", "improvement", "low", "high", "p_seeds", "probability_of_improvement"):
        np.testing.assert_array_equal(found.table[column], expected[column])
    assert found.table["p_seeds_holm"].tolist() == pytest.approx([2 / 32, 2 / 32])  # a family of two: 2 · 2 / 2^6
    assert dict(found.only) == {"magnitude": [2]}


def test_swapped_and_against_the_unpruned_model(write: Callable) -> None:
    folder = read(write(rows_of(grid())))
    for pair in (("dsp.joint", "magnitude"), ("magnitude", "unpruned")):
        (there,), (back,) = versus(folder, *pair), versus(folder, *pair[::-1])
        np.testing.assert_allclose(there.table["improvement"], -back.table["improvement"], atol=1e-12)
        np.testing.assert_allclose(there.table["p_seeds"], back.table["p_seeds"], atol=1e-12)
        assert there.table["budget"].tolist() == back.table["budget"].tolist()
    assert not there.only


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("dsp.jiont", "magnitude"), "unknown method 'dsp.jiont'; did you mean 'dsp.joint'? available: dsp.joint, "),
        (("magnitude", "magnitude"), "'magnitude' is compared with itself"),
    ],
)
def test_wrong_labels(labels: tuple[str, str], message: str, write: Callable) -> None:
    with pytest.raises(ResultsError, match=re.escape(message)):
        versus(read(write(rows_of(grid()))), *labels)


def test_wrong_metric_and_methods_that_never_meet(write: Callable) -> None:
    other = {"profile": "unit", "track": "mt", "dataset": "help", "model": "other"}
    folder = read(write(rows_of(grid()) + rows_of({("obs", "", 4, 1): 1.0}, other)))
    with pytest.raises(ResultsError, match="unknown metric of track mt 'chfr'; did you mean 'chrf'"):
        versus(folder, "dsp.joint", "magnitude", "chfr")
    with pytest.raises(ResultsError, match="no model of .* has both dsp.joint and obs"):
        versus(folder, "dsp.joint", "obs")


def test_outputs_by_either_metric(write: Callable) -> None:
    values = {(m, a, 4, 1): 10.0 for m, a in (("dsp", "joint"), ("magnitude", ""))}
    folder = write(rows_of(values) + rows_of(values, metric="chrf"))
    (folder / "data/help/raw").mkdir(parents=True)
    (folder / "data/help/raw/test.tgt").write_text("".join(f"{line}\n" for line in LINES))
    ours = [line.replace("old", "new") if i % 2 else line for i, line in enumerate(LINES)]
    theirs = [line.replace("house", "home").replace("near", "by") if i % 3 else line for i, line in enumerate(LINES)]
    write_hypotheses(folder, "dsp", "joint", 4, 1, ours)
    write_hypotheses(folder, "magnitude", "", 4, 1, theirs)
    for metric in ("bleu", "chrf"):
        (found,) = versus(read(folder), "dsp.joint", "magnitude", metric)
        own = approximate_randomization(theirs, ours, LINES, metric)
        assert found.table.loc[0, "p_outputs"] == own.p_value
        assert found.table.loc[0, "outputs_improvement"] == pytest.approx(own.difference, abs=1e-12)
    text = printed("dsp.joint", "magnitude", "--results", str(folder))
    assert "outputs in pairs: approximate randomisation" in text
    assert "25 of 30 1 " in text  # every sixth is left as it is by both


def test_identical_outputs_are_never_starred(write: Callable) -> None:
    folder = write(rows_of({(m, "", 4, s): 10.0 for m in ("magnitude", "obs") for s in (1, 2)}))
    (folder / "data/help/raw").mkdir(parents=True)
    (folder / "data/help/raw/test.tgt").write_text("".join(f"{line}\n" for line in LINES))
    for method in ("magnitude", "obs"):
        for seed in (1, 2):
            write_hypotheses(folder, method, "", 4, seed, [line.replace("old", "new") for line in LINES])
    (found,) = versus(read(folder), "obs", "magnitude")
    assert found.table.loc[0, ["p_outputs", "p_outputs_holm", "p_seeds"]].tolist() == [1, 1, 1]
    text = printed("obs", "magnitude", "--results", str(folder))
    assert "+0.00 [+0.00, +0.00] 0 of 30 2 1 1 " in text
    assert "1*" not in text


def test_terminal_says_what_is_not_there(write: Callable) -> None:
    values = grid(seeds=(1, 2, 3))
    values["dsp", "joint", 4, 2] = None
    text = printed("dsp.joint", "magnitude", "--results", str(write(rows_of(values))))
    assert "mt, help, tiny: test BLEU" in text
    assert "across seeds undecidable with 3 seeds: K = 8 across seeds undecidable with 2 seeds: K = 4" in text
    assert "0.5 (0.5)" in text  # corrected p and its floor
    assert "only magnitude: K = 2" in text
    assert "note: dsp.joint, K = 4: 1 cell without a result, left out" in text
    assert "note: K = 4: seeds that only one of the two has: 2" in text
    assert "no paired test of outputs" in text


def test_tables_fit_eighty_columns(write: Callable) -> None:
    folder = read(write(rows_of(grid())))
    output = io.StringIO()
    display.comparison(Console(file=output, width=80), Path("r"), "a", "b", versus(folder, "dsp.joint", "magnitude"))
    lines = output.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert any(re.match(r" *8 .*\[.*\] .*6 ", line) for line in lines)


def test_newest_results(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="no results in"):
        newest(tmp_path)
    for age, name in enumerate(("old", "new", "older")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cells.parquet").write_bytes(b"")
        os.utime(tmp_path / name / "cells.parquet", (0, (5, 9, 1)[age]))
    assert newest(tmp_path) == tmp_path / "new"


def test_two_tables(write: Callable) -> None:
    first = grid(seeds=(1, 2))
    second = first | {("dsp", "joint", 4, 1): first["dsp", "joint", 4, 1] + 0.5, ("dsp", "joint", 8, 2): None}
    second |= {("obs", "", 4, 1): 3.0}
    del second["magnitude", "", 2, 1]
    one, two = write(rows_of(first), name="one"), write(rows_of(second), name="two")
    found = differences(*(schema.read_cells(folder) for folder in (one, two)))
    assert found.both == len(first) - 1
    assert found.only == (["mt/help/tiny/magnitude/k2/s1"], ["mt/help/tiny/obs/k4/s1"])
    assert found.statuses == [("mt/help/tiny/dsp/joint/k8/s2", "ok", "failed")]
    (row,) = found.metrics.to_dict("records")
    assert (row["rows"], row["equal"], row["where"]) == (len(first) - 2, len(first) - 3, "mt/help/tiny/dsp/joint/k4/s1")
    assert (row["largest"], row["difference"]) == pytest.approx((0.5, 0.5 / (len(first) - 2)))
    text = printed(str(one), str(two / "cells.parquet"))
    assert "only in A: 1 cells mt/help/tiny/magnitude/k2/s1" in text
    assert "mt/help/tiny/dsp/joint/k8/s2: ok in A, failed in B" in text


@rows(
    Found("two processors", "no word", True, "the manifests", ("EPYC, model 1", "EPYC, model 17")),
    Found("one processor", "no word", False, "the manifests", ("EPYC, model 1", "EPYC, model 1")),
    Found("no manifest of one", "no word", False, "it is not known", ("EPYC, model 1", None)),
)
def test_differences_on_another_processor_are_told_as_such(found: Found, write: Callable) -> None:
    folders = [write(rows_of(grid(seeds=(1,))), name=name) for name in ("one", "two")]
    for folder, name in zip(folders, found.case, strict=True):
        if name:
            (folder / "manifest.json").write_text(json.dumps({"environment": {"hardware": name}}))
    text = printed(str(folders[0]), str(folders[1] / "cells.parquet"))
    assert ("on another processor trainings round differently" in text) == found.right


def test_one_table_twice_differs_in_nothing(write: Callable) -> None:
    folder = write(rows_of(grid()))
    table = schema.read_cells(folder)
    found = differences(table, table.sample(frac=1, random_state=1))
    assert (found.only, found.statuses, found.signatures) == (([], []), [], 0)
    assert (found.metrics["equal"] == found.metrics["rows"]).all()
    with pytest.raises(ValueError, match="the second table gives test bleu twice for the cell mt/help/tiny/dsp/joint"):
        differences(table, pd.concat([table, table.assign(profile="again")]))


def test_a_method_and_a_file_are_not_compared(write: Callable) -> None:
    done = CliRunner().invoke(app, ["compare", str(write(rows_of(grid()))), "dsp.joint"])
    assert isinstance(done.exception, ValueError)
    assert "are not of one kind" in str(done.exception)
