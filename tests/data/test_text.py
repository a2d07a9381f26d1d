from __future__ import annotations

import dataclasses
import gzip
import hashlib
from pathlib import Path

import pytest

from headprune.data import TEXT_CORPORA, TextCorpus, read_lines, text_corpus
from headprune.data.splits import SPLITS


def own(folder: Path, name: str = "{}.txt", **changes: bytes) -> Path:
    """A folder with a small corpus; `changes` are the bytes of splits."""
    folder.mkdir(parents=True)
    for split in SPLITS:
        (folder / name.format(split)).write_bytes(changes.get(split, f"{split} text\n\nmore\n".encode()))
    return folder


def test_austen_has_its_published_sizes() -> None:
    """Lines and words as in the table of the corpora."""
    lines = {split: read_lines(text_corpus("austen"), split) for split in SPLITS}
    assert [len(lines[split]) for split in SPLITS] == [9_012, 505, 506]
    assert [sum(len(line.split()) for line in lines[split]) for split in SPLITS] == [633_753, 42_108, 41_127]


@pytest.mark.parametrize("name", TEXT_CORPORA)
def test_embedded_valid_and_test_have_no_long_line_of_train(name: str) -> None:
    train, valid, test = (set(read_lines(text_corpus(name), split)) for split in SPLITS)
    assert not [line for line in train & (valid | test) if len(line.split()) > 4]


@pytest.mark.parametrize("name", TEXT_CORPORA)
def test_embedded_folder_has_licence_notice_and_the_same_checksums(name: str) -> None:
    folder = TEXT_CORPORA[name].folder
    assert (folder / "LICENSE").stat().st_size and (folder / "NOTICE").stat().st_size
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    assert {file: digest for digest, file in map(str.split, lines)} == TEXT_CORPORA[name].sha256


@pytest.mark.parametrize("name", ["{}.txt", "wiki.{}.tokens"])
def test_own_folder_in_either_layout_keeps_blank_lines(name: str, tmp_path: Path) -> None:
    found = text_corpus(own(tmp_path / "tales", name))
    assert found.name == "tales"
    assert read_lines(found, "valid") == ["valid text", "", "more"]
    (tmp_path / "tales" / f"{name.format('valid')}.gz").write_bytes(gzip.compress(b"packed"))
    with pytest.raises(ValueError, match=r"both .* remove one"):
        text_corpus(found.folder)
    (tmp_path / "tales" / name.format("valid")).unlink()
    assert read_lines(text_corpus(found.folder), "valid") == ["packed"]


def test_unknown_name_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown dataset 'austin'; did you mean 'austen'"):
        text_corpus("austin")


def test_folder_without_a_split_is_no_corpus(tmp_path: Path) -> None:
    (own(tmp_path / "tales") / "test.txt").unlink()
    with pytest.raises(ValueError, match=r"not a corpus: tales: neither test.txt nor .* in "):
        text_corpus(tmp_path / "tales")


def test_checksums_are_verified_where_present(tmp_path: Path) -> None:
    folder = own(tmp_path / "tales")
    digest = hashlib.sha256((folder / "test.txt").read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{digest}  test.txt\n{'0' * 64}  train.txt\n")
    assert len(read_lines(text_corpus(folder), "test")) == 3
    with pytest.raises(ValueError, match=f"expected sha256 {'0' * 64}, actual"):
        read_lines(text_corpus(folder), "train")


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"good\nbad \xff\n", "line 2: must be UTF-8"),
        (b"good\na\x00b\n", "line 2: must not contain control characters, has U\\+0000"),
        (b"\xef\xbb\xbfgood\n", "line 1: must not begin with a byte order mark"),
        (b"", "empty; expected one paragraph or sentence a line"),
    ],
)
def test_damaged_text_names_file_line_and_rule(content: bytes, place: str, tmp_path: Path) -> None:
    corpus = text_corpus(own(tmp_path / "tales", train=content))
    with pytest.raises(ValueError, match=rf"train\.txt.*{place}"):
        read_lines(corpus, "train")


def test_truncated_gzip_is_refused(tmp_path: Path) -> None:
    original = text_corpus("austen")
    (tmp_path / "valid.txt.gz").write_bytes(original.path("valid").read_bytes()[:-9])
    broken = dataclasses.replace(original, folder=tmp_path)
    with pytest.raises(ValueError, match="checksum differs"):
        read_lines(broken, "valid")
    with pytest.raises(ValueError, match="not a complete gzip file"):
        read_lines(TextCorpus("austen", tmp_path), "valid")
