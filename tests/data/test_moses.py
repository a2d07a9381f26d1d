"""Corpora as Moses has them, a file for each side: read as the .tsv of the same pairs, or refused with a reason."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from headprune.cli.commands import app
from headprune.data import Corpus, TranslationRecipe, corpus, prepare, read_pairs
from headprune.data.splits import SPLITS
from tests.data.test_translation import hashes

Splits = dict[str, list[tuple[str, str]]]


def moses(folder: Path, splits: Splits, packed: tuple[str, ...] = ()) -> Path:
    """A folder of <split>.de and <split>.en; of the languages in `packed`, gzipped."""
    folder.mkdir(parents=True)
    for split, pairs in splits.items():
        for language, side in zip(("de", "en"), zip(*pairs, strict=True), strict=True):
            text = "".join(f"{line}\n" for line in side).encode()
            name = folder / f"{split}.{language}"
            if language in packed:
                Path(f"{name}.gz").write_bytes(gzip.compress(text, mtime=0))
            else:
                name.write_bytes(text)
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    pairs = [("das Haus", "the house"), ("die Katze", "the cat")]
    return moses(tmp_path / "small-de-en", dict.fromkeys(SPLITS, pairs))


@pytest.mark.parametrize("packed", [(), ("de",), ("de", "en")], ids=str)
def test_the_pairs_are_those_of_the_table(
    packed: tuple[str, ...], tiny: Corpus, splits: Splits, tmp_path: Path
) -> None:
    own = corpus(moses(tmp_path / "talks-de-en", splits, packed))
    assert (own.source, own.target) == ("de", "en")
    for split in SPLITS:
        assert read_pairs(own, split) == read_pairs(tiny, split)


def test_what_is_prepared_is_what_the_table_gives(tiny: Corpus, splits: Splits, prepared: Path, tmp_path: Path) -> None:
    own = corpus(moses(tmp_path / "tiny-de-en", splits))
    statistics = prepare(own, TranslationRecipe(vocabulary=300, max_words=12), tmp_path / "prepared")
    assert hashes(tmp_path / "prepared") == hashes(prepared)
    assert statistics == json.loads((prepared / "statistics.json").read_text())  # its test's sha256, too


def test_the_order_of_the_name_is_the_direction(splits: Splits, tmp_path: Path) -> None:
    own = corpus(moses(tmp_path / "talks-en-de", splits))
    assert read_pairs(own, "test") == [(target, source) for source, target in splits["test"]]


def test_a_name_that_says_no_direction_is_refused(small: Path) -> None:
    with pytest.raises(ValueError, match="must end in the language pair, as in talks-de-en: source first"):
        corpus(small.rename(small.with_name("small")))


def test_checksums_are_verified(small: Path) -> None:
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in small.iterdir()}
    (small / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in digests.items()))
    assert len(read_pairs(corpus(small), "train")) == 2
    (small / "train.en").write_text("another\nhouse\n")
    with pytest.raises(ValueError, match=r"train\.en: checksum differs"):
        read_pairs(corpus(small), "train")


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def write(name: str, content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(content)


def rename(old: str, new: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        for language in ("de", "en"):
            (folder / f"{old}.{language}").rename(folder / f"{new}.{language}")

    return change


WRONG = {
    "counts differ": (write("train.en", "a\nb\nc\n"), r"train\.de has 2 lines and .*train\.en has 3 lines"),
    "a side is missing": (remove("valid.en"), r"valid\.de is there, its other side valid\.en\[\.gz\] is not"),
    "a split is missing": (
        lambda f: [remove(f"test.{x}")(f) for x in ("de", "en")],
        r"nor a pair test\.de and test\.en",
    ),
    "a split has another name": (rename("valid", "dev"), r"nor a pair valid\.de and valid\.en; found dev\.de, dev\.en"),
    "another language": (lambda f: (f / "test.en").rename(f / "test.fr"), r"its other side test\.en\[\.gz\] is not"),
    "a table, too": (write("train.tsv", "a\tb\n"), r"both train\.tsv and train\.de and train\.en in .*: remove one"),
    "packed, too": (write("train.de.gz", "x"), r"both train\.de and train\.de\.gz in .*: remove one"),
    "a blank side": (write("train.en", "a\n \n"), r"train\.en, line 2: must have text"),
    "no text": (write("train.en", ""), r"train\.en: empty; expected one sentence a line"),
    "lines of Windows": (write("train.en", "a\r\nb\r\n"), r"train\.en, line 1: must not contain control .* U\+000D"),
}


@pytest.mark.parametrize(("change", "expected"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_told_by_file(change: Callable[[Path], object], expected: str, small: Path) -> None:
    change(small)
    with pytest.raises(ValueError, match=expected):
        for split in SPLITS:
            read_pairs(corpus(small), split)


def test_headprune_data_counts_it(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app(["data", str(small)], standalone_mode=False)
    assert "small-de-en train: 2 pairs, no checksum known" in capsys.readouterr().out


def test_a_home_is_expanded(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(small.parent))
    assert corpus("~/small-de-en").folder == small
