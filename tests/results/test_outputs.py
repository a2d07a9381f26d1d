"""Outputs read the same to the last byte, whether they lie in files of every cell or in one table per model."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headprune.results.outputs import (
    OF_MODELS,
    FilesOfCells,
    TableOfModel,
    cell_folder,
    exist,
    file_name,
    lines,
    pack,
    reader,
)

ODD = [
    "",
    "two words",
    "a\ttab",
    "\"quotes\", 'more' and a \\ backslash",
    "line\u2028separator",
    "paragraph\u2029separator",
    "next\x85line",
    "form\x0cfeed, vertical\x0btab",
    "file\x1cgroup\x1drecord\x1eseparators",
    "carriage\rreturn\r",
    " spaces around  ",
    "nothing\x00in between",
    "\ufeffmark, e\u0301 and é, \U0001f600",
    "NA",
    "null",
    "",
]
REALS = [-0.0, 5e-324, -1.7976931348623157e308, 0.1 + 0.2, -553.9012451171875, float("nan")]
TEXTS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=12), min_size=1, max_size=6)


def write_file(results: Path, cell: str, name: str, content: bytes) -> None:
    path = cell_folder(results, cell) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def hypotheses(texts: list[str]) -> bytes:
    return gzip.compress("".join(f"{text}\n" for text in texts).encode(), mtime=0)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A results folder with the outputs of three models, as jobs leave them."""
    for number, cell in enumerate(("tiny/good/k4-s1", "tiny/dsp.joint+ft/k2-s1")):
        write_file(tmp_path, cell, "hypotheses.test.txt.gz", hypotheses(ODD if number else ODD[::-1]))
    write_file(tmp_path, "tiny/good/k4-s1", "hypotheses.valid.txt.gz", hypotheses(["of another split"]))
    write_file(tmp_path, "tiny/good/k4-s1", ".hypotheses.test.txt.gz.123", b"half of a file")
    for number, cell in enumerate(("reader/good/k4-s1", "reader/bad/k4-s1")):
        folder = cell_folder(tmp_path, cell)
        folder.mkdir(parents=True)
        table = {"segment": range(len(REALS)), "tokens": 64, "log_likelihood": np.roll(REALS, number)}
        pd.DataFrame(table).iloc[::-1].to_parquet(folder / "likelihoods.test.parquet")  # in another order
        texts = {"prompt": ODD[4], "continuation": "\n".join(ODD[number:])}
        (folder / "sample.test.json").write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8", newline="")
        labels = {"segment": range(3), "label": ODD[4], "predicted": ODD[number : number + 3]}
        folder = cell_folder(tmp_path, f"judge/{cell.split('/')[1]}/k4-s1")
        folder.mkdir(parents=True)
        pd.DataFrame(labels).to_parquet(folder / "labels.test.parquet", index=False)
    return tmp_path


def packed(run: Path, out: Path) -> dict[str, tuple[FilesOfCells, TableOfModel]]:
    """The outputs of a run by model, and the same packed into another folder."""
    found = {}
    for folder in sorted((run / "segments").iterdir()):
        cells = [path.relative_to(run / "segments").as_posix() for path in folder.glob("*/*")]
        before, after = FilesOfCells(run, folder.name), TableOfModel(out, folder.name)
        pack(out, folder.name, [(before, cell) for cell in cells])
        assert [after.kinds(cell) for cell in cells] == [before.kinds(cell) for cell in cells]
        found[folder.name] = (before, after)
    return found


def test_texts_are_the_same_to_the_last_byte(run: Path, tmp_path: Path) -> None:
    before, after = packed(run, tmp_path / "out")["tiny"]
    for cell, split in (("tiny/good/k4-s1", "test"), ("tiny/dsp.joint+ft/k2-s1", "test"), ("tiny/good/k4-s1", "valid")):
        texts = after.texts(cell, split)
        assert texts == before.texts(cell, split)
        name = file_name("hypotheses", split)
        content = gzip.decompress((cell_folder(run, cell) / name).read_bytes())
        assert "".join(f"{text}\n" for text in texts).encode() == content
    assert after.texts("tiny/dsp.joint+ft/k2-s1", "test") == ODD


@given(TEXTS, TEXTS)
def test_any_texts_come_back(tmp_path_factory: pytest.TempPathFactory, one: list[str], two: list[str]) -> None:
    folder = tmp_path_factory.mktemp("texts")
    for cell, texts in (("tiny/a/k1-s1", one), ("tiny/b/k1-s1", two)):
        write_file(folder, cell, "hypotheses.test.txt.gz", hypotheses(texts))
    _, after = packed(folder, folder)["tiny"]
    assert [after.texts(cell, "test") for cell in ("tiny/a/k1-s1", "tiny/b/k1-s1")] == [one, two]


def test_values_are_the_same_to_the_last_bit(run: Path, tmp_path: Path) -> None:
    found = packed(run, tmp_path / "out")
    for model, kind in (("reader", "likelihoods"), ("judge", "labels")):
        before, after = found[model]
        for cell in (f"{model}/good/k4-s1", f"{model}/bad/k4-s1"):
            one, two = (source.values(cell, kind, "test") for source in (before, after))
            pd.testing.assert_frame_equal(one, two, check_exact=True)
            assert one["segment"].tolist() == sorted(one["segment"])
            if kind == "likelihoods":
                assert one["log_likelihood"].to_numpy().tobytes() == two["log_likelihood"].to_numpy().tobytes()
    likelihoods = found["reader"][1].values("reader/good/k4-s1", "likelihoods", "test")["log_likelihood"].to_numpy()
    assert likelihoods.tobytes() == np.array(REALS).tobytes()


def test_samples_are_the_same(run: Path, tmp_path: Path) -> None:
    before, after = packed(run, tmp_path / "out")["reader"]
    for number, cell in enumerate(("reader/good/k4-s1", "reader/bad/k4-s1")):
        texts = {"prompt": ODD[4], "continuation": "\n".join(ODD[number:])}
        assert before.sample(cell, "test") == after.sample(cell, "test") == texts


def test_a_table_has_a_row_per_segment_whatever_was_packed_first(run: Path, tmp_path: Path) -> None:
    packed(run, tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / OF_MODELS / "tiny.parquet")
    assert table.column_names == ["cell", "kind", "split", "segment", "text"]
    assert len(table) == 2 * len(ODD) + 1
    assert pq.ParquetFile(tmp_path / "out" / OF_MODELS / "tiny.parquet").metadata.row_group(0).column(
        4
    ).compression == ("ZSTD")
    source = FilesOfCells(run, "tiny")
    cells = ["tiny/good/k4-s1", "tiny/dsp.joint+ft/k2-s1"]
    for name, order in (("one", cells), ("two", cells[::-1])):
        pack(tmp_path / name, "tiny", [(source, cell) for cell in order])
    assert (tmp_path / "one/outputs/tiny.parquet").read_bytes() == (tmp_path / "two/outputs/tiny.parquet").read_bytes()


def test_what_is_packed_can_be_packed_again(run: Path, tmp_path: Path) -> None:
    """Some cells from files, some from a table: as if all came from files."""
    _, after = packed(run, tmp_path / "out")["tiny"]
    one, two = "tiny/good/k4-s1", "tiny/dsp.joint+ft/k2-s1"
    pack(tmp_path / "again", "tiny", [(after, one), (FilesOfCells(run, "tiny"), two)])
    again = tmp_path / "again/outputs/tiny.parquet"
    assert again.read_bytes() == (tmp_path / "out/outputs/tiny.parquet").read_bytes()


def test_the_form_is_found(run: Path, tmp_path: Path) -> None:
    packed(run, tmp_path / "out")
    assert isinstance(reader(run, "tiny"), FilesOfCells)
    assert isinstance(reader(tmp_path / "out", "tiny"), TableOfModel)
    assert not reader(tmp_path / "out", "nobody").exist
    assert exist(run) and exist(tmp_path / "out") and not exist(tmp_path / "nowhere")
    pack(tmp_path / "none", "tiny", [(FilesOfCells(run, "tiny"), "tiny/absent/k1-s1")])
    assert not exist(tmp_path / "none")


@pytest.mark.parametrize("form", [FilesOfCells, TableOfModel])
def test_what_is_not_there_is_named(form: type, run: Path, tmp_path: Path) -> None:
    packed(run, run)
    source = form(run, "tiny")
    assert not source.has("tiny/good/k4-s1", "hypotheses", "train")
    assert source.kinds("tiny/none/k4-s1") == []
    with pytest.raises(FileNotFoundError, match="tiny.*hypotheses.* is not there"):
        source.texts("tiny/none/k4-s1", "test")


DAMAGE = {
    "hypotheses.test.txt.gz": [
        *(b"", b"not gzip", hypotheses(ODD)[:-9]),
        *(gzip.compress(b"\xff\n", mtime=0), hypotheses(ODD)[:20]),
    ],
    "likelihoods.test.parquet": [b"", b"not a table"],
    "sample.test.json": [b"", b"{", b"[]", b"3", b'{"prompt": "one"}', b'{"prompt": 1, "continuation": "two"}'],
}


@pytest.mark.parametrize(("name", "content"), [(name, each) for name, many in DAMAGE.items() for each in many])
def test_damaged_files_are_named_and_not_packed(name: str, content: bytes, tmp_path: Path) -> None:
    write_file(tmp_path, "tiny/good/k4-s1", name, content)
    source = FilesOfCells(tmp_path, "tiny")
    ((kind, split),) = source.kinds("tiny/good/k4-s1")
    with pytest.raises(ValueError):
        source.rows("tiny/good/k4-s1", kind, split)
    with pytest.raises(ValueError, match=f"segments/tiny/good/k4-s1/{name} cannot be read"):
        pack(tmp_path / "out", "tiny", [(source, "tiny/good/k4-s1")])
    assert not exist(tmp_path / "out")


def test_a_damaged_table_is_named(run: Path, tmp_path: Path) -> None:
    _, after = packed(run, tmp_path / "out")["tiny"]
    for content in (b"", b"no table", after.path.read_bytes()[:-20]):
        after.path.write_bytes(content)
        with pytest.raises(ValueError, match=r"outputs/tiny\.parquet cannot be read"):
            TableOfModel(tmp_path / "out", "tiny").texts("tiny/good/k4-s1", "test")
    pd.DataFrame({"cell": ["tiny/good/k4-s1"], "text": ["one"]}).to_parquet(after.path)
    with pytest.raises(ValueError, match=r"outputs/tiny\.parquet cannot be read"):
        TableOfModel(tmp_path / "out", "tiny").has("tiny/good/k4-s1", "hypotheses", "test")


def test_a_file_that_nobody_reads_is_not_lost_in_silence(run: Path, tmp_path: Path) -> None:
    write_file(run, "tiny/good/k4-s1", "notes.txt", b"mine")
    with pytest.raises(ValueError, match="segments/tiny/good/k4-s1/notes.txt is no output of a cell; known: hypothes"):
        packed(run, tmp_path / "out")


def test_values_of_several_types_are_refused(run: Path, tmp_path: Path) -> None:
    path = cell_folder(run, "judge/bad/k4-s1") / "labels.test.parquet"
    pd.DataFrame({"segment": range(3), "label": 1, "predicted": 2}).to_parquet(path)
    with pytest.raises(ValueError, match="outputs of judge are of several types: .*label"):
        packed(run, tmp_path / "out")


def test_lines_end_with_newlines_and_nothing_else() -> None:
    """Python's own `splitlines` finds many more."""
    content = "".join(f"{text}\n" for text in ODD)
    assert lines(content.encode()) == ODD
    assert len(content.splitlines()) > len(ODD)
