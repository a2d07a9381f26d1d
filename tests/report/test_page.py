"""The content of the page: numbers as counted by hand, everything escaped, and a sentence for whatever is not there."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from found import Found, rows
from hypothesis import given
from hypothesis import strategies as st
from made_up_run import (
    HOSTILE,
    HOSTILE_ARM,
    N_HEADS,
    ODD_ARM,
    QUALITY,
    SEGMENTS,
    TRANSLATION,
    folder_of,
    rows_of,
    write_tables,
)
from scipy import stats

from headprune.analysis.tables import ResultsError, read
from headprune.naming import cell_id
from headprune.report import write
from headprune.report.examples import COUNT, spread
from headprune.report.logs import LINES, end_of
from headprune.report.overview import overview
from headprune.results import schema
from headprune.results.merging import merge
from headprune.results.outputs import exist

ROOT = Path(__file__).parents[2]
VAGUE = "No log: logs/ or jobs/ is not in these results, or the log is empty."
ADDRESSES = ("href", "src", "action", "data", "poster", "srcset")


@dataclass
class Page(HTMLParser):
    """A page as a browser reads it: its elements with their attributes, and the text of each."""

    path: Path
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)  # of each, up to the next tag
    words: list[str] = field(default_factory=list)  # of all
    inside: bool = False

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.texts.append("")
        self.inside = True

    def handle_endtag(self, _: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        self.words += data.split()
        if self.inside:
            self.texts[-1] += data

    def of(self, tag: str) -> Iterator[tuple[dict[str, str], str]]:
        return ((own, text) for (name, own), text in zip(self.elements, self.texts, strict=True) if name == tag)

    @property
    def data(self) -> dict:
        return next(json.loads(text) for own, text in self.of("script") if own.get("id") == "data")

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def cell(self, *key: object, track: str = "mt") -> dict:
        own = [cell for cell in self.data["cells"] if self.data["groups"][cell["group"]]["track"] == track]
        return next(c for c in own if (c["method"], c["arm"], c["budget"], c["seed"]) == key)


@pytest.fixture(scope="module")
def page(report: Path) -> Page:
    return Page(report)


def test_texts_become_no_elements(page: Page) -> None:
    """Whatever is shown arrives whole as text: no element, no attribute and no script comes of it."""
    assert not [tag for tag, own in page.elements if any(name.startswith("on") or name == "style" for name in own)]
    assert not {tag for tag, _ in page.elements} & {"b", "iframe", "object", "embed", "base"}
    assert len(list(page.of("script"))) == 2
    assert [own["src"][:22] for own, _ in page.of("img")] == ["data:image/png;base64,"]
    shown = " ".join(HOSTILE.split())
    assert page.text.count(shown) >= 6  # claim, source, decided by, caption, table, commit
    assert shown in " ".join(next(own["alt"] for own, _ in page.of("img")).split())


def test_hostile_texts_stay_within_the_data(page: Page) -> None:
    failed = page.cell("magnitude", "", 3, 2)
    assert failed["reason"] == f"no memory {HOSTILE}"
    assert failed["trace"] == [f"Error: {HOSTILE}"]
    assert page.cell("dsp", HOSTILE_ARM, 6, 1)["arm"] == HOSTILE_ARM
    raw = page.path.read_text(encoding="utf-8")
    block = raw[raw.index('id="data">') :].split("</script>", 1)[0].removeprefix('id="data">')
    assert not set("<>&\u2028") & set(block)
    assert json.loads(block) == page.data


def test_page_needs_nothing_else(page: Page) -> None:
    """Only data and places in the page or beside it; the policy names the page's own script and style by hash."""
    addresses = [own[name] for _, own in page.elements for name in ADDRESSES if name in own]
    assert addresses
    assert all(re.match(r"#|data:|figures/\w+\.pdf$", address) for address in addresses)
    policy = next(own["content"] for own, _ in page.of("meta") if own.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    script = next(text for own, text in page.of("script") if "id" not in own)
    style = next(text for _, text in page.of("style"))
    for text in (script, style):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", script)


def test_every_label_and_control_has_a_name(page: Page) -> None:
    identifiers = [own["id"] for _, own in page.elements if "id" in own]
    assert len(identifiers) == len(set(identifiers))
    assert all(own.get("aria-label") for _, own in page.elements if own.get("role") == "group")
    for _, own in page.elements:
        assert not own.get("href", "").startswith("#") or own["href"][1:].split("?")[0] in identifiers
        assert own.get("aria-labelledby", "cell-title") in [*identifiers, "cell-title"]


def test_summary_counts_and_finds_the_best(run: Path, page: Page) -> None:
    found = overview(read(run), tuple(TRANSLATION.values()))
    assert (found.cells, found.statuses, found.without_result) == (10, {"failed": 1, "ok": 9}, 1)
    assert (found.n_heads, found.seeds) == (N_HEADS, 2)
    assert (found.methods, found.arms) == (3, 3)  # neither what prunes nothing nor masks that were fine-tuned
    low, high = stats.t.interval(0.95, 1, 21.0, stats.sem([20.0, 22.0]))
    assert (found.unpruned.value, found.unpruned.low, found.unpruned.high) == pytest.approx(
        (21.0, low, high), abs=1e-12
    )
    assert [(one.budget, one.labels) for one in found.best] == [(6, (f"dsp.{HOSTILE_ARM}",)), (3, ("magnitude",))]
    first, second = found.best
    assert (first.quality.value, first.share, first.rivals, first.without_result) == (16.0, 16 / 21, 2, 0)
    assert (second.quality.n, second.quality.has_interval, second.without_result) == (1, False, 1)
    assert f"dsp.{HOSTILE_ARM}" in page.text


def test_methods_are_counted_as_the_profiles_table_does() -> None:
    """The README counts four methods of `quick` that prune translation models and five of language models."""
    (row,) = re.findall(r"\| `quick` \| (.*?) \|", (ROOT / "README.md").read_text(encoding="utf-8"))
    numbers = {"four": 4, "five": 5}
    told = [numbers[word] for word in re.findall(r"(\w+) methods", row)]
    results = read(ROOT / "results" / "published" / "quick")
    found = {group[1]: overview(results, group) for group in results.groups()}
    assert [found["mt"].methods, found["lm"].methods] == told
    assert found["mt"].arms == 6  # gradient importance and DSP have two each


def test_lower_perplexity_is_better(tmp_path: Path) -> None:
    group = TRANSLATION | {"track": "lm"}
    values = {("unpruned", "", 12, 1): 20.0, ("a", "", 6, 1): 40.0, ("b", "", 6, 1): 25.0}
    write_tables(tmp_path, list(rows_of(group, "perplexity", values)))
    (best,) = overview(read(tmp_path), tuple(group.values())).best
    assert (best.labels, best.share) == (("b",), pytest.approx(np.log(20) / np.log(25)))


def test_cells_hold_what_the_tables_do(run: Path, page: Page) -> None:
    data = page.data
    table = schema.read_cells(run)
    assert len(data["cells"]) == table.drop_duplicates(schema.CELL_KEY).shape[0]
    for key, value in QUALITY.items():
        cell = page.cell(*key)
        shown = {data["metrics"][n]["metric"]: v for n, v in enumerate(cell["values"]) if v is not None}
        assert shown == ({} if value is None else {"bleu": value, "latency_ms": 3.333333})
        assert cell["status"] == ("failed" if value is None else "ok")
        if value is not None:
            assert list(cell["quartiles"].values()) == [[3, 4.5]]
            assert cell["mask"]["bits"] == "1" * key[2] + "0" * (N_HEADS - key[2])
    assert data["spaces"] == [[[kind, layer, [0, 1]] for kind in ("encoder", "cross", "decoder") for layer in (0, 1)]]
    assert page.cell("random", ODD_ARM, 3, 1)["id"] == f"tiny/random.{ODD_ARM}/k3-s1"


def test_configuration_is_that_of_the_signature(page: Page) -> None:
    cell = page.cell("magnitude", "", 6, 1)
    assert page.data["pool"][cell["config"]["settings"]] == {"text": HOSTILE, "updates": 30}


def test_examples_are_the_same_segments_for_all(page: Page) -> None:
    data = page.data
    (shared,) = [group["examples"] for group in data["groups"] if group["track"] == "mt"]
    assert (len(shared["numbers"]), shared["total"]) == (COUNT, SEGMENTS)
    texts = [data["pool"][place] for place in page.cell("magnitude", "", 6, 1)["outputs"]["values"]]
    assert texts == [f"the new {HOSTILE} word {number}" for number in shared["numbers"]]
    for name, suffix in (("sources", "src"), ("references", "tgt")):
        assert [data["pool"][p] for p in shared[name]] == [f"{suffix} {n} {HOSTILE}" for n in shared["numbers"]]
    assert "hypotheses.test.txt.gz is not there" in page.cell("magnitude", "", 3, 2)["outputs"]["absent"]
    assert page.cell("magnitude", "", 4, 1, track="lm")["outputs"]["values"] == [-96] * COUNT
    predicted = page.cell("magnitude", "", 4, 1, track="nli")["outputs"]["values"]
    assert [data["pool"][place] for place in predicted] == [f"{n % 3}" for n in shared["numbers"]]


def test_examples_of_packed_results_are_those_of_the_run(run: Path, page: Page, tmp_path: Path) -> None:
    """The examples are those of three tracks, with texts that try to break out of the page."""
    merge(tmp_path / "unit", [run])
    assert not (tmp_path / "unit" / "segments").exists()
    packed = Page(write(tmp_path / "unit", tmp_path / "out"))
    cells = [("mt", *cell) for cell in QUALITY] + [(track, "magnitude", "", 4, 1) for track in ("lm", "nli")]
    shown = 0
    for track, *cell in cells:
        one, two = (each.cell(*cell, track=track)["outputs"] for each in (page, packed))
        if "absent" in one:
            assert "hypotheses of tiny/magnitude/k3-s2 on test) is not there" in two["absent"]
            continue
        assert texts_of(page, one["sample"]) == texts_of(packed, two["sample"])
        if track == "lm":
            assert one["values"] == two["values"]
        else:
            assert texts_of(page, one["values"]) == texts_of(packed, two["values"])
        shown += 1
    assert shown == len(cells) - 1
    for before, after in zip(page.data["groups"], packed.data["groups"], strict=True):
        assert before["examples"].keys() == after["examples"].keys()


def texts_of(page: Page, places: list | None) -> list | None:
    """Texts by their places in the pool."""
    return places and [page.data["pool"][place] for place in places]


@given(st.integers(0, 10_000), st.integers(1, 50))
def test_segments_are_spread_over_all(total: int, count: int) -> None:
    places = spread(total, count)
    assert places == sorted(set(places))
    assert len(places) == min(total, count)
    if total:
        assert places[0] == 0
        assert places[-1] in (total - 1, 0)
        assert all(abs(gap - (total - 1) / max(1, len(places) - 1)) <= 1 for gap in np.diff(places))


def test_logs_end_where_they_end(run: Path, page: Page) -> None:
    (name, place), *others = page.cell("magnitude", "", 6, 1)["logs"]
    assert (name, others) == ("logs/score/tiny/all/s1.log", [])
    lines = page.data["pool"][place].split("\n")
    assert lines[-1] == f"last line {HOSTILE}"  # without the colours
    assert len(lines) == LINES
    assert end_of(run / "logs" / "none.log") == ""


@rows(
    Found("an empty log", VAGUE, "No log: logs/score/tiny/all/s1.log is empty: the job wrote nothing.", "it", "empty"),
    Found("a lost log", VAGUE, "No log: logs/score/tiny/all/s1.log is not in these results.", "the folder", "log"),
    Found("no logs", VAGUE, "No log: logs/ is not in these results.", "the folder", "logs"),
    Found("no jobs", VAGUE, "No log: jobs/, which names the job of every cell, is not in these results.", "it", "jobs"),
    Found("no receipt of the cell", VAGUE, "No log: no receipt in jobs/ names this cell.", "the receipts", "receipt"),
)
def test_silent_logs_say_why(found: Found, run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    log = tmp_path / "logs" / "score" / "tiny" / "all" / "s1.log"
    {
        "empty": lambda: log.write_bytes(b""),
        "log": log.unlink,
        "logs": lambda: shutil.rmtree(tmp_path / "logs"),
        "jobs": lambda: shutil.rmtree(tmp_path / "jobs"),
        "receipt": (tmp_path / "jobs" / "score" / "tiny" / "all" / "s1.json").unlink,
    }[found.case]()
    page = Page(write(tmp_path, tmp_path))
    cell = page.cell("magnitude", "", 6, 1)
    assert (cell["logs"], page.data["pool"][cell["silence"]]) == ([], found.right)


def test_every_claim_is_in_the_tally(run: Path, tmp_path: Path) -> None:
    """Verdicts are counted by hand; each has a mark of its own."""
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "tables" / "claims.csv"
    told = ["held", "undecidable", "not held", "undecidable", "no data", "undecided"]
    claims = pd.read_csv(path).iloc[[0] * len(told)].assign(verdict=told, id=[f"c{n}" for n in range(len(told))])
    claims.to_csv(path, index=False)
    page = Page(write(tmp_path, tmp_path))
    shown = [text for own, text in page.of("span") if own.get("class", "").startswith("verdict")]
    tally = dict(text.split(" ", 1)[::-1] for text in shown if text[0].isdigit())
    assert tally == {"held": "1", "not held": "1", "undecided": "1", "undecidable": "2", "no data": "1"}
    style = next(text for _, text in page.of("style"))
    marks = re.findall(r"\.verdict\.([a-z-]+)::before \{ content: \"(.) \"", style)
    assert {name.replace("-", " ") for name, _ in marks} == set(told)
    assert len({mark for _, mark in marks}) == len(marks)


def test_claims_and_tables(page: Page) -> None:
    assert "1 held" in page.text
    assert "0.125 [0.05, 0.25]" in page.text
    assert "Claims that these results have no data for (1)" in page.text
    assert [text for _, text in page.of("strong")] == ["1.0"]
    assert [text for _, text in page.of("ins")] == ["0.9"]
    assert "[a](http://x.org)" in page.text  # no link
    assert "n = 2 seeds." in page.text


def test_says_what_is_not_there(run: Path, tmp_path: Path) -> None:
    shutil.copy(run / "cells.parquet", tmp_path)
    text = Page(write(tmp_path, tmp_path / "out")).text
    for sentence in (
        "masks: masks.parquet not found",
        "manifest.json cannot be read",
        "neither segments/ nor outputs/ is in this folder",
        "logs/ is not in this folder",
        "No claims: tables/claims.csv is not there",
        "No figures: figures/ is not there",
        "No tables: tables/ is not there",
    ):
        assert sentence in text
    assert Page(tmp_path / "out" / "report.html").cell("magnitude", "", 6, 1)["mask"] is None


@pytest.mark.parametrize("content", ["[]", "{", '{"signatures": [1], "git": 3, "environment": [], "calls": [1]}'])
def test_damaged_files_are_told_of(content: str, run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    (tmp_path / "manifest.json").write_text(content)
    cell = tmp_path / "segments" / cell_id("tiny", "magnitude", "", 6, 1)
    (cell / "hypotheses.test.txt.gz").write_bytes(b"\x1f\x8bnothing")
    short = tmp_path / "segments" / cell_id("tiny", "magnitude", "", 6, 2)
    (short / "hypotheses.test.txt.gz").write_bytes(gzip.compress(b"one line\n"))
    (tmp_path / "jobs" / "score" / "tiny" / "all" / "s1.json").write_text("{")
    page = Page(write(tmp_path, tmp_path))
    assert "cannot be read" in page.cell("magnitude", "", 6, 1)["outputs"]["absent"]
    assert "holds 1 segments" in page.cell("magnitude", "", 6, 2)["outputs"]["absent"]
    assert page.cell("magnitude", "", 6, 1)["logs"] == []
    assert page.cell("magnitude", "", 6, 1)["config"] is None


def test_without_cells_there_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"cells\.parquet not found"):
        write(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    command = [sys.executable, ROOT / "paper_figures" / "report.py", tmp_path, tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "error: cells.parquet not found" in done.stderr) == (2, True)


def test_published_results_need_no_torch(tmp_path: Path) -> None:
    """Both folders of committed tables, as a page, by a process that loads neither torch nor fairseq."""
    folders = [folder for folder in (ROOT / "results" / "published").iterdir() if (folder / "cells.parquet").is_file()]
    code = (
        "import sys; from pathlib import Path; from headprune.report import write\n"
        "for folder in sys.argv[2:]: write(Path(folder), Path(sys.argv[1]) / Path(folder).name)\n"
        "assert not {'torch', 'fairseq'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path, *folders], check=True)
    assert len(folders) >= 2
    for folder in folders:
        page = Page(tmp_path / folder.name / "report.html")
        assert len(page.data["cells"]) == schema.read_cells(folder).drop_duplicates(schema.CELL_KEY).shape[0]
        assert ("neither segments/ nor outputs/ is in this folder" in page.text) is not exist(folder)
        assert "logs/ is not in this folder" in page.text


def test_equal_results_give_equal_bytes(run: Path, report: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "unit")
    assert write(tmp_path / "unit", tmp_path / "unit").read_bytes() == report.read_bytes()


def test_many_cells_make_no_heavy_page(tmp_path: Path) -> None:
    """The page of 1,000 cells such as these takes at most 3 MB."""

    def size(folder: Path, seeds: range) -> int:
        cells = {("unpruned", "", 12, seed): 20.0 + seed for seed in seeds}
        write_tables(folder, list(rows_of(TRANSLATION, "bleu", cells)))
        for cell in cells:
            lines = "".join(
                f"seed {cell[3]} translates sentence {n} {'by a dozen words ' * 3}\n" for n in range(SEGMENTS)
            )
            path = folder_of(folder, TRANSLATION, cell) / "hypotheses.test.txt.gz"
            path.write_bytes(gzip.compress(lines.encode(), 1))
        return write(folder, folder).stat().st_size

    few, many = size(tmp_path / "few", range(1)), size(tmp_path / "many", range(101))
    assert (many - few) / 100 < 3e6 / 1000
