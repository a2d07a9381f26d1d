"""Tables of the command line at the widths of terminals: no name is cut or broken, no line is wider than it may be."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from configurations import VALID
from rich.cells import cell_len
from rich.console import Console

from headprune.check import display as check_display
from headprune.check.base import CheckReport, Result
from headprune.cli import commands
from headprune.data import CORPORA, STANDARD, TEXT_CORPORA
from headprune.method import load_methods
from headprune.pipeline.records import PROMISED
from headprune.pipeline.store import write_json
from headprune.results import schema
from headprune.results.jobs import JOBS
from headprune.system import terminal
from headprune.system.terminal import Column
from headprune.tasks.nli.corpora import JUDGED
from tests.analysis.made_up_cells import rows_of
from tests.found import Found, rows

WIDTHS = (60, 80, 100, 120, 160, 200)
METHODS = load_methods()
PROFILE = Path(__file__).parents[2] / "workflows" / "config" / "quick.yaml"
LONG = "gradient_importance_of_everything"
HEADS = [f"{kind}.0.{head}" for kind in ("encoder", "cross", "decoder") for head in range(4)]
UNITS = {"prune_seconds": 12.5, "parameters_non_embedding": 123_456_789, "peak_memory_mib": 9876}

Printed = Callable[..., str]


@pytest.fixture(params=WIDTHS)
def printed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Printed:
    """`printed(words…)`: what `headprune words…` prints on a terminal of this width."""

    def printed(*words: object) -> str:
        output = io.StringIO()
        monkeypatch.setattr(commands, "console", Console(width=request.param, file=output))
        monkeypatch.setattr(sys, "argv", ["headprune", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            commands.main()
        assert end.value.code in (0, None)
        return output.getvalue()

    return printed


def words_of(text: str) -> set[str]:
    """The words between spaces, the frames of tables aside."""
    return set(re.sub("[│├└─;,]", " ", text).split())


@rows(
    Found(
        "methods",
        wrong="the columns method and kind are empty at 80, 100, 120 and 160 columns",
        right={*METHODS, "score", "gate"},
        source="the files of methods/",
        case=("methods",),
    ),
    Found(
        "data",
        wrong="a table of four columns, squeezed to syllables",
        right={*CORPORA, *TEXT_CORPORA, *STANDARD, *JUDGED.names},
        source="the corpora that have a name",
        case=("data",),
    ),
    Found(
        "plan",
        wrong="titles broken in the middle",
        right={"gradient_importance.one_shot", "layerwise_l0.continued", "transformer-2x4", "search", "jobs"},
        source="the profile",
        case=("plan", PROFILE),
    ),
)
def test_lists_name_everything(found: Found, printed: Printed) -> None:
    assert found.right <= {word.strip(":()") for word in words_of(printed(*found.case))}


def test_the_list_of_methods_has_every_name_beside_its_kind(printed: Printed) -> None:
    lines = printed("methods").splitlines()
    for name, entry in METHODS.items():
        assert any(line.split()[:2] == [name, entry.kind] for line in lines)


@pytest.mark.parametrize("name", ["fisher", "gradient_importance", "layerwise_l0"])
def test_a_method_with_all_its_options(printed: Printed, name: str) -> None:
    text = printed("methods", name)
    options = type(METHODS[name].options({})).__dataclass_fields__
    for option, item in options.items():
        assert any(line.split()[:2] == [option, str(item.default)] for line in text.splitlines())


def test_two_methods_and_two_tables(printed: Printed, tmp_path: Path) -> None:
    for folder, shift in (("one", 0.0), ("two", 0.25)):
        values = {(LONG, "arm", k, s): 20 + k / 2 + s + shift for k in (4, 8) for s in (1, 2, 3)}
        values |= {("magnitude", "", k, s): 18 + k / 2 - s for k in (4, 8) for s in (1, 2, 3)}
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "cells.parquet").write_bytes(schema.to_parquet(schema.cells_table(rows_of(values))))
    text = printed("compare", f"{LONG}.arm", "magnitude", "--results", tmp_path / "one")
    assert re.search(r"(?m)^( *8 .*| *K: 8)$", text)
    assert "[" in text
    text = printed("compare", f"{tmp_path / 'one'}", f"{tmp_path / 'two'}")
    assert re.search(r"(?m)^mt test bleu\b", text)
    assert any(LONG in word for word in words_of(text))  # where the largest difference is, whole


def test_a_run_a_cell_and_failures(printed: Printed, tmp_path: Path) -> None:
    folder = tmp_path / "a folder with a long name" / "results"
    cell = folder / "cells" / "tiny" / LONG / "k4-s1"
    record = dict.fromkeys(PROMISED["pruned"], 1.0)
    record |= {"signature": "0123456789ab", "status": "ok", "reason": "", "heads": HEADS, "mask": HEADS[:4], **UNITS}
    write_json(cell / "pruned.json", record)
    write_json(cell / "test.json", {"signature": "0", "status": "ok", "reason": "", "bleu": 12.5, "perplexity": 33.25})
    text = printed("show", cell)
    for name in (*UNITS, "test bleu", "test perplexity"):
        assert re.search(rf"(?m)^{name}( |$)", text)
    assert str(cell) in text
    write_json(cell.with_name("k2-s1") / "pruned.json", {"status": "failed", "reason": "ValueError: " + "long " * 50})
    assert f"tiny/{LONG}/k2-s1: failed: ValueError" in printed("show", folder)
    (folder / "jobs").mkdir()
    assert f"{folder}: " in printed("failures", folder)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_report_of_checks(width: int) -> None:
    found = (
        Result("the same seed gives the same mask", "passed", "in 3 of 3 tries"),
        Result("weights stay", "failed", "encoder.0.self_attn.out_proj.weight has changed", "work on a copy " * 5),
    )
    output = io.StringIO()
    check_display.report(Console(width=width, file=output), CheckReport(METHODS["gradient_importance"], found))
    assert {"gradient_importance", "encoder.0.self_attn.out_proj.weight", "tries"} <= words_of(output.getvalue())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", ["", "plan", "compare", "check"])
def test_helps(width: int, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys, "argv", ["headprune", *command.split(), "--help"])
    with pytest.raises(SystemExit):
        commands.main()
    names = {"": "new-method", "plan": "--seeds", "compare": "--results", "check": "--factor"}
    assert names[command] in words_of(capsys.readouterr().out)


@pytest.mark.parametrize("width", range(20, 201, 12))
def test_no_line_is_wider_than_the_terminal_unless_a_word_is(width: int) -> None:
    columns = (Column("name", "name"), Column("n", "number"), Column("text"), Column("origin", spare=True))
    table = [(f"method_{i}", str(10**i), "some words of a text " * i, "Someone 2026, section 4") for i in range(1, 5)]
    output = io.StringIO()
    terminal.show(Console(width=width, file=output), columns, table)
    text = output.getvalue()
    assert {row[0] for row in table} | {row[1] for row in table} <= words_of(text)
    assert max(cell_len(line.rstrip()) for line in text.splitlines()) <= width


def test_what_goes_first() -> None:
    columns = (Column("name", "name"), Column("text"), Column("first", spare=True), Column("second", spare=True))
    table = [("a" * 20, "word " * 10, "b" * 20, "c" * 20)]
    assert terminal.fitting(columns, table, 200) == [0, 1, 2, 3]
    assert terminal.fitting(columns, table, 70) == [0, 1, 2]
    assert terminal.fitting(columns, table, 46) == [0, 1]
    assert terminal.fitting(columns, table, 45) is None


def test_every_kind_of_job_has_a_row(printed: Printed, tmp_path: Path) -> None:
    profile = tmp_path / "unit.yaml"
    profile.write_text(yaml.safe_dump({**VALID, "results": str(tmp_path / "results")}), encoding="utf-8")
    lines = printed("plan", profile).splitlines()
    named = {line.split()[0] for line in lines if line.strip()}
    assert {"data", "dense", "score", "gates", "test", "speed"} <= named & set(JOBS)
