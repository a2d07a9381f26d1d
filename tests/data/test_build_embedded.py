"""The pure parts of tools/build_embedded.py; the rebuild itself needs three downloads and is run by hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "build_embedded.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    specification = importlib.util.spec_from_file_location("build_embedded", TOOL)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_clean(tool: ModuleType) -> None:
    assert tool.clean("(36:3) «Dieu»\u00a0dit\u2019 [alors] -") == '"Dieu" dit\' alors'
    assert tool.clean("Praise Yah! Psalm 105") == "Praise Yah!"


def test_bucket_depends_on_the_key_alone(tool: ModuleType) -> None:
    assert tool.bucket("", 256) == 0x7E  # RFC 1321: MD5 of the empty string ends in 7e
    assert {tool.bucket(str(number), 7) for number in range(200)} == set(range(7))


def test_help_paragraphs(tool: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "help" / "text" / "swriter" / "01.html"
    page.parent.mkdir(parents=True)
    page.write_text(
        '<h1 id="hd_1">A &amp; <b>B</b></h1><p id="par_2"> two\n words </p><p id="x">no</p><p id="par_3"> </p>'
    )
    assert tool.help_paragraphs(tmp_path) == {
        ("swriter/01.html", "hd_1"): "A & B",
        ("swriter/01.html", "par_2"): "two words",
    }


def test_lohelp_pairs_by_id_and_keeps_an_english_text_once(tool: ModuleType) -> None:
    german = {("a", "1"): "Das ist ein Satz", ("a", "2"): "Noch ein Satz hier", ("b", "1"): "allein"}
    english = {("a", "1"): "This is a sentence", ("a", "2"): "This is a sentence", ("c", "1"): "alone"}
    pairs = [pair for split in tool.build_lohelp(german, english).values() for pair in split]
    assert pairs == [("Das ist ein Satz", "This is a sentence")]


def test_bible_drops_superscriptions_bad_lengths_and_texts_of_train(tool: ModuleType) -> None:
    chapters = [(1, number) for number in range(1, 300)]
    split = {0: "test", 1: "valid"}
    chosen = {split.get(tool.bucket(f"{b}.{c}", 60), "train"): (b, c) for b, c in chapters}
    verses = {(*chosen[name], 1): "the same text" for name in ("train", "valid")}
    verses[(*chosen["test"], 1)] = "another text"
    verses |= {(19, 3, 1): "a psalm of David", (2, 1, 1): "one two three"}
    french = verses | {(2, 1, 1): "a b c d e f g"}
    built = tool.build_bible(french, verses)
    assert built == {"train": [("the same text",) * 2], "valid": [], "test": [("another text",) * 2]}


def test_compressed_bytes_hold_no_time(tool: ModuleType) -> None:
    assert tool.compress(b"text") == tool.compress(b"text")
    assert tool.compress(b"text")[4:8] == bytes(4)


def test_austen_paragraphs_by_novel(tool: ModuleType) -> None:
    """Headings go, the novels of train keep the order of their names, one novel is halved."""
    lines = ["CHAPTER I", "", "It was", "  a day. ", "", " ", "The end came.", "", "FINIS", ""]
    built = tool.build_austen({"persuasion": lines, "emma": ["One", "", "Two"], "a": ["Nought"]})
    assert built == {"train": ["Nought", "One", "Two"], "valid": ["It was a day."], "test": ["The end came."]}
