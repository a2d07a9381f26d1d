"""The numbers of papers: every row has its source and mark, and says what docs/theory/published-numbers.md says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from headprune.data import STANDARD
from headprune.results.papers import COLUMNS, MARKS, read_papers

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "theory" / "published-numbers.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def papers() -> pd.DataFrame:
    return read_papers()


def section(anchor: str) -> str:
    """The text of the page from an anchor to the next."""
    return PAGE.split(f'<a id="{anchor}"></a>')[1].split('<a id="')[0]


def table(anchor: str) -> list[list[str]]:
    """The rows of the first table after an anchor, its header left out."""
    lines = re.search(r"(?:^\|.*\n)+", section(anchor), re.MULTILINE)
    assert lines is not None
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines[0].splitlines()]
    return rows[2:]


def values(rows: pd.DataFrame) -> list[float]:
    return [float(value) for value in rows["value"]]


def test_every_row_has_its_source_and_one_of_the_marks(papers: pd.DataFrame) -> None:
    assert len(papers) > 300
    assert set(papers["mark"]) == set(MARKS)
    for column in ("paper", "set", "model", "method", "quantity", "source"):
        assert (papers[column].str.strip() != "").all()
    assert papers["value"].notna().all()
    assert ((papers["x"] == "") == (papers["x_unit"] == "")).all()
    key = [column for column in COLUMNS if column not in ("value", "spread", "mark")]
    assert not papers.duplicated(key).any()


def test_what_others_ran_is_marked(papers: pd.DataFrame) -> None:
    """Ni et al. are not the authors of DSP, nor of Voita's gates."""
    theirs = papers[(papers["paper"] == "Ni et al. 2023") & papers["method"].isin(["dsp", "l0"])]
    assert len(theirs) == 16
    assert set(theirs["mark"]) == {"third-party run"}


def test_tables_of_dsp_that_nobody_read_are_absent(papers: pd.DataFrame) -> None:
    own = papers[papers["paper"] == "Li et al. 2021"]
    assert not own["quantity"].isin(["bleu", "accuracy"]).any()
    shim = papers[papers["paper"] == "Shim et al. 2021"]
    assert not shim["quantity"].str.startswith("perplexity").any()


def test_sets_that_can_be_fetched_have_their_names(papers: pd.DataFrame) -> None:
    assert {"iwslt14-de-en", "wmt14-en-de", "wikitext103", "enwik8"} <= set(papers["set"]) & set(STANDARD)


def test_voita_table_2(papers: pd.DataFrame) -> None:
    rows = papers[papers["source"] == "Voita et al. 2019, table 2"]
    said = {}
    for _, kept, pruned, scratch in table("voita"):
        number = sum(int(part) for part in kept.split("/"))
        said[kept] = (number, float(pruned), float(scratch))
    found = []
    for kept, (number, pruned, scratch) in said.items():
        note = f"encoder / decoder-self / cross: {kept}, of 48 each"
        own = rows[rows["note"].str.startswith(note)]
        assert set(own["x"]) == {str(number)}
        found += values(own)
        assert set(values(own)) <= {pruned, scratch} or number == 144
    assert len(found) == len(rows) == 16


def test_michel_table_1(papers: pd.DataFrame) -> None:
    (block,) = re.findall(r"```\n(L1.*?)```", section("michel"), re.DOTALL)
    printed = [re.findall(r"-?\.\d+\*?", line) for line in block.splitlines()]
    rows = papers[(papers["method"] == "drop_one") & (papers["x_unit"] == "head")].set_index("x")
    assert len(rows) == 96
    for layer, texts in enumerate(printed):
        for head, text in enumerate(texts):
            row = rows.loc[f"encoder.{layer}.{head}"]
            assert row["value"] == float(text.rstrip("*"))
            assert (row["note"] == "p < 0.01") == ("*" in text)


def test_michel_table_2(papers: pd.DataFrame) -> None:
    rows = papers[(papers["method"] == "keep_one") & (papers["set"] == "wmt14-en-fr")]
    for line in table("michel"):
        layer, printed = int(line[0]) - 1, [cell for cell in line[1:] if cell]
        own = rows[rows["x"].str.endswith(f".{layer}")]
        assert values(own) == [float(text.rstrip("*\\")) for text in printed]
        assert list(own["note"].str.contains("p < 0.01", regex=False)) == ["*" in text for text in printed]


def test_heads_by_the_penalty(papers: pd.DataFrame) -> None:
    rows = papers[papers["mark"] == "digitised figure"]
    rows = rows[rows["x_unit"] == "λ"].set_index("x")
    printed = {line[i]: line[i + 1] for line in table("dsp") for i in (0, 2, 4)}
    assert len(rows) == len(printed) == 30
    for penalty, kept in printed.items():
        assert rows.loc[penalty, "value"] == float(kept.strip("*"))
        assert (rows.loc[penalty, "spread"] == "") == ("*" in kept)


def test_dsp_from_a_third_party(papers: pd.DataFrame) -> None:
    rows = papers[papers["source"].str.contains("2305.14380), tables 1 and 2", regex=False)]
    printed = {line[0].split(" ")[0].split(",")[0].lower(): line[1:] for line in table("dsp-third-party")}
    for printed_name, method in (("unpruned", "unpruned"), ("voita", "l0"), ("dsp", "dsp"), ("ght-ps", "ght-ps")):
        expected = [float(cell) for cell in printed[printed_name] if cell != "–"]
        assert values(rows[rows["method"] == method]) == expected


def test_retraining_free(papers: pd.DataFrame) -> None:
    rows = papers[papers["paper"] == "HIES"]
    for share, *cells in table("retraining-free"):
        pairs = [re.fullmatch(r"([\d.]+) \(([\d.]+)\)", cell) for cell in cells if cell]
        own = rows[rows["x"] == share.removesuffix(" %")]
        assert values(own[own["set"] == "mnli"]) == [float(pair[1]) for pair in pairs if pair]
        assert values(own[own["set"] == "glue-8"]) == [float(pair[2]) for pair in pairs if pair]


def test_all_attention(papers: pd.DataFrame) -> None:
    rows = papers[papers["paper"] == "Sukhbaatar et al. 2019"]
    printed = " ".join(cell for line in table("all-attention") for cell in line[3:5])
    assert values(rows) == [float(number) for number in re.findall(r"\d+\.\d+", printed)]


def test_heads_of_the_layer_wise_penalty(papers: pd.DataFrame) -> None:
    page = (ROOT / "docs" / "theory" / "layerwise-l0.md").read_text(encoding="utf-8")
    rows = papers[(papers["paper"] == "Shim et al. 2021") & (papers["x_unit"] == "λ")].set_index("x")
    for penalty, per_layer, kept in re.findall(r"^\| (0\.0\d\d?) \| ([\d ]+) \| (\d+) \|", page, re.MULTILINE):
        row = rows.loc[f"{float(penalty):.3f}"]
        assert row["value"] == float(kept)
        assert row["note"] == f"layers 1 to 16: {per_layer}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": ""}, "line 3: source is empty; every row must have one"),
        ({"value": None}, "line 3: value is empty"),
        ({"mark": "printed tabel"}, "line 3: unknown mark 'printed tabel'; did you mean 'printed table'"),
    ],
)
def test_a_row_without_its_source_is_refused(
    change: dict[str, str | None], message: str, papers: pd.DataFrame, tmp_path: Path
) -> None:
    changed = papers.head(3).copy()
    for column, value in change.items():
        changed.loc[1, column] = value
    changed.to_csv(tmp_path / "papers.csv", index=False)
    with pytest.raises(ValueError, match=re.escape(message)):
        read_papers(tmp_path / "papers.csv")


def test_another_table_is_refused(refused: Callable[[str], str]) -> None:
    assert "has another schema: missing" in refused("paper,value\nVoita,1\n")


@pytest.fixture
def refused(tmp_path: Path) -> Callable[[str], str]:
    """The error about a table of this text."""

    def refuse(text: str) -> str:
        (tmp_path / "papers.csv").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError) as error:
            read_papers(tmp_path / "papers.csv")
        return str(error.value)

    return refuse
