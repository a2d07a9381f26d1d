from __future__ import annotations

import dataclasses
import gzip
import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headprune.cli.commands import app
from headprune.data import CORPORA, Corpus, corpus, read_pairs
from headprune.data.splits import SPLITS

SIZES = {"lohelp-de-en": (21_934, 463, 1_047), "bible-fr-en": (29_769, 523, 443)}  # train, valid, test


@pytest.mark.parametrize("name", CORPORA)
def test_embedded_corpora_have_their_published_sizes(name: str) -> None:
    assert tuple(len(read_pairs(corpus(name), split)) for split in SPLITS) == SIZES[name]


@pytest.mark.parametrize("name", CORPORA)
def test_embedded_valid_and_test_share_no_target_with_train(name: str) -> None:
    train, valid, test = ({target for _, target in read_pairs(corpus(name), split)} for split in SPLITS)
    assert not train & (valid | test)


@pytest.mark.parametrize("name", CORPORA)
def test_embedded_folder_has_licence_notice_and_the_same_checksums(name: str) -> None:
    folder = CORPORA[name].folder
    assert (folder / "LICENSE").stat().st_size and (folder / "NOTICE").stat().st_size
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    assert {file: digest for digest, file in map(str.split, lines)} == CORPORA[name].sha256


def test_unknown_name_names_the_nearest() -> None:
    with pytest.raises(ValueError) as error:
        corpus("lohelp-de")
    start = "unknown dataset 'lohelp-de'; did you mean 'lohelp-de-en'? available: lohelp-de-en, bible-fr-en"
    assert str(error.value).startswith(start)


def test_name_far_from_all_lists_them() -> None:
    with pytest.raises(ValueError, match=r"^unknown dataset 'xq'; available: lohelp-de-en, bible-fr-en"):
        corpus("xq")


def test_missing_folder_is_called_a_folder() -> None:
    message = f"unknown dataset 'data/talks-de-en': there is no folder {Path.cwd() / 'data/talks-de-en'}; known ones"
    with pytest.raises(ValueError, match=re.escape(message)):
        corpus("data/talks-de-en")


def test_embedded_corpus_refuses_other_languages() -> None:
    with pytest.raises(ValueError, match="is de-en, not fr-None"):
        corpus("lohelp-de-en", source="fr")


def test_own_folder_takes_languages_from_its_name_or_from_arguments(tiny: Corpus, tmp_path: Path) -> None:
    assert (tiny.name, tiny.source, tiny.target) == ("tiny-de-en", "de", "en")
    shutil.copytree(tiny.folder, tmp_path / "talks")
    with pytest.raises(ValueError, match="must end in the language pair, as in talks-de-en"):
        corpus(tmp_path / "talks")
    assert corpus(tmp_path / "talks", "gsw", "en").source == "gsw"
    assert corpus(tiny.folder, source="nds").source == "nds"


def test_own_folder_needs_every_split_once(tiny: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "talks-de-en"
    shutil.copytree(tiny.folder, folder)
    (folder / "valid.tsv.gz").write_bytes(gzip.compress((folder / "valid.tsv").read_bytes()))
    with pytest.raises(ValueError, match="both valid.tsv and valid.tsv.gz"):
        corpus(folder)
    (folder / "valid.tsv").unlink()
    assert read_pairs(corpus(folder), "valid") == read_pairs(tiny, "valid")
    (folder / "valid.tsv.gz").unlink()
    with pytest.raises(ValueError, match="neither valid.tsv nor valid.tsv.gz"):
        corpus(folder)


@pytest.mark.parametrize(("source", "target"), [("DE", "en"), ("", "en"), ("de", "de"), ("d/e", "en")])
def test_corpus_refuses_bad_languages(source: str, target: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="language"):
        Corpus("x", source, target, tmp_path)


def test_checksum_mismatch_shows_expected_and_actual(tmp_path: Path) -> None:
    original = corpus("lohelp-de-en")
    content = bytearray(original.path("valid").read_bytes())
    content[-1] ^= 1
    (tmp_path / "valid.tsv.gz").write_bytes(content)
    with pytest.raises(ValueError, match="checksum differs") as error:
        read_pairs(dataclasses.replace(original, folder=tmp_path), "valid")
    assert original.sha256["valid.tsv.gz"] in str(error.value)
    assert hashlib.sha256(content).hexdigest() in str(error.value)


def test_own_checksums_are_verified_where_present(tiny: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "talks-de-en"
    shutil.copytree(tiny.folder, folder)
    digest = hashlib.sha256((folder / "test.tsv").read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{digest} *test.tsv\n{'0' * 64}  train.tsv\n")
    assert read_pairs(corpus(folder), "test") == read_pairs(tiny, "test")
    with pytest.raises(ValueError, match=f"expected sha256 {'0' * 64}, actual"):
        read_pairs(corpus(folder), "train")


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (b"one column", "must have 2 columns separated by a tab, has 1"),
        (b"a\tb\tc", "must have 2 columns separated by a tab, has 3"),
        (b"", "must have 2 columns separated by a tab, has 1"),
        (b"a\t \xc2\xa0", "must have text in both columns"),
        (b"a\tb\r", "must not contain control characters or line separators, has U+000D"),
        ("a\tb\u2028c".encode(), "must not contain control characters or line separators, has U+2028"),
        (b"a\tb\xff", "must be UTF-8"),
    ],
)
def test_malformed_line_names_file_line_and_rule(line: bytes, rule: str, tiny: Corpus, tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    path.write_bytes(b"good\tline\n" + line + b"\nmore\tlines\n")
    with pytest.raises(ValueError) as error:
        read_pairs(dataclasses.replace(tiny, folder=tmp_path), "train")
    assert str(error.value).startswith(f"{path}, line 2: {rule}")


@pytest.mark.parametrize(
    ("content", "rule"),
    [(gzip.compress(b"a\tb\n" * 99, mtime=0)[:-9], "not a complete gzip file"), (gzip.compress(b"", mtime=0), "empty")],
)
def test_damaged_file_is_refused(content: bytes, rule: str, tiny: Corpus, tmp_path: Path) -> None:
    (tmp_path / "train.tsv.gz").write_bytes(content)
    with pytest.raises(ValueError, match=rule):
        read_pairs(dataclasses.replace(tiny, folder=tmp_path), "train")


def test_text_comes_back_as_written(write_corpus: Callable[..., Corpus], tmp_path: Path) -> None:
    pairs = [("  zwei\u00a0 Räume ", "two  spaces"), ("letzte", "last")]
    own = write_corpus(tmp_path / "x-de-en", dict.fromkeys(SPLITS, pairs))
    (own.folder / "test.tsv").write_text("eins\tone\nzwei\ttwo", encoding="utf-8")  # no newline at the end
    assert read_pairs(own, "train") == pairs
    assert read_pairs(own, "test") == [("eins", "one"), ("zwei", "two")]
    with pytest.raises(ValueError, match="unknown split 'dev'; available: train, valid, test"):
        read_pairs(own, "dev")


def test_every_name_is_listed_once() -> None:
    """Several tasks read sentence pairs; their corpora are of one kind."""
    table = CliRunner().invoke(app, ["data"]).stdout
    assert [line.split()[0] for line in table.splitlines()].count("lohelp-de-en") == 1
    refusal = str(CliRunner().invoke(app, ["data", "nosuch"]).exception)
    assert refusal.count("lohelp-de-en") == refusal.count("austen") == refusal.count("versenli") == 1
    assert refusal.endswith(f"or a folder of your own, but there is no {Path('nosuch').absolute()}")
