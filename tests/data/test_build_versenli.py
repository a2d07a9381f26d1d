"""The rules by which the labels of versenli are made; the rebuild itself needs a download and is run by hand."""

from __future__ import annotations

import importlib
import random
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
VERSES = {
    (1, 1, 1): "And Joshua went up, and Joshua said, Joshua is my servant of two days.",
    (1, 1, 2): "The king shall not come before the evening of this day.",
    (1, 2, 1): "So Caleb and Caleb, and Caleb also, they were there.",
}


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module("build_versenli")


def test_names_stand_capitalised_within_sentences(tool: ModuleType) -> None:
    texts = {(1, 1, n): "so Joshua and the LORD and Israel, they" for n in range(3)} | {(1, 1, 9): "in Goshen"}
    assert tool.names_in(texts) == {"Joshua"}
    assert tool.names_in({**texts, (1, 1, 10): "joshua"}) == set()  # once in four is too often


def test_antonyms_go_both_ways_and_the_first_counts(tool: ModuleType) -> None:
    found = tool.antonyms()
    assert (found["day"], found["night"], found["took"], found["shut"]) == ("night", "day", "brought", "open")


def test_a_change_is_one_word_that_stands_in_neither_verse(tool: ModuleType) -> None:
    changes = tool.Changes(VERSES, VERSES, random.Random(1))
    kinds = changes.places(VERSES[1, 1, 1])
    assert {kind: [match[0] for match in places] for kind, places in kinds.items()} == {
        "name": ["Joshua"] * 3,
        "number": ["two"],
        "antonym": ["went", "up", "servant"],
        "negation": ["is"],
    }
    for verse, text in VERSES.items():
        for _ in range(40):
            changed = changes.contradicting(verse)
            if changed is None:
                continue
            before, after = text.split(), changed.split()
            new, gone = set(after) - set(before), set(before) - set(after)
            assert changed != text
            assert len(new) <= 1 and len(gone) <= 1
            assert not {word.strip(".,") for word in new} & {word.strip(".,") for word in before}


def test_neighbours_are_of_the_chapter_and_not_far(tool: ModuleType) -> None:
    texts = {(1, 1 + n // 6, n): f"verse number {n} has words" for n in range(12)}
    order = sorted(texts)
    for position, verse in enumerate(order):
        found = {tool.neighbour(texts, order, position, random.Random(seed)) for seed in range(40)}
        allowed = [v for v in order if v != verse and v[1] == verse[1] and abs(v[2] - verse[2]) <= 3]
        assert found == {texts[v] for v in allowed}
    assert tool.neighbour(texts, order[:1], 0, random.Random(1)) is None


def test_rows_are_split_by_chapter_and_have_the_same_order_every_time(tool: ModuleType) -> None:
    order = [(1, chapter, number) for chapter in range(200) for number in range(5)]
    texts = {verse: f"In chapter {verse[1]} verse {verse[2]} the good day came" for verse in order}
    rows = tool.build(texts, texts)
    assert rows == tool.build(texts, texts)
    chapters = {split: {row[1].split()[2] for row in each} for split, each in rows.items()}
    assert chapters["test"] and chapters["valid"]
    assert not chapters["train"] & (chapters["test"] | chapters["valid"])
    for label, premise, hypothesis in rows["train"]:
        assert (premise == hypothesis) is (label == "entailment")
