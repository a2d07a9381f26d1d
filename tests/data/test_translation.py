from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headprune.data import Corpus, TranslationRecipe, encode, prepare, translation
from headprune.data.splits import SPLITS

Splits = dict[str, list[tuple[str, str]]]


def hashes(folder: Path) -> dict[str, str]:
    """The sha256 of every file, by its path in the folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def raw(folder: Path, split: str) -> list[tuple[str, str]]:
    sides = ((folder / "raw" / f"{split}.{suffix}").read_text(encoding="utf-8") for suffix in ("src", "tgt"))
    return list(zip(*(side.removesuffix("\n").split("\n") for side in sides), strict=True))


@pytest.mark.parametrize("values", [{"vocabulary": 0}, {"max_words": 0}, {"subword": "characters"}])
def test_recipe_refuses_bad_values(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        TranslationRecipe(**values)


def test_filter_touches_train_only_and_keeps_the_order(prepared: Path, splits: Splits) -> None:
    short = [pair for pair in splits["train"] if max(len(side.split()) for side in pair) <= 12]
    assert raw(prepared, "train") == short and 0 < len(short) < len(splits["train"])
    assert raw(prepared, "valid") == splits["valid"]
    assert raw(prepared, "test") == splits["test"]
    assert any(len(source.split()) > 12 for source, _ in splits["test"])


def test_no_filter_keeps_every_pair(tiny: Corpus, splits: Splits, tmp_path: Path) -> None:
    statistics = prepare(tiny, TranslationRecipe(vocabulary=300), tmp_path / "all")
    assert raw(tmp_path / "all", "train") == splits["train"]
    assert {s: statistics["splits"][s]["pairs_before_filter"] for s in SPLITS} == {s: len(splits[s]) for s in SPLITS}


def test_no_sentence_is_dropped_or_changed_in_bin(prepared: Path) -> None:
    from fairseq.data import Dictionary, data_utils

    for side, language in enumerate(("de", "en")):
        dictionary = Dictionary.load(str(prepared / "bin" / f"dict.{language}.txt"))
        for split in SPLITS:
            dataset = data_utils.load_indexed_dataset(str(prepared / "bin" / f"{split}.de-en.{language}"), dictionary)
            text = [pair[side] for pair in raw(prepared, split)]
            pieces = [line.split(" ") for line in encode(prepared / "subword.model", text)]
            expected = [[*map(dictionary.index, line), dictionary.eos()] for line in pieces]
            assert [ids.tolist() for ids in dataset] == expected


def test_two_prepares_are_equal_byte_for_byte(prepared: Path, tiny: Corpus, recipe: Any, tmp_path: Path) -> None:
    returned = prepare(tiny, recipe, tmp_path / "elsewhere" / "again")
    assert hashes(tmp_path / "elsewhere" / "again") == hashes(prepared)
    assert returned == json.loads((prepared / "statistics.json").read_text())
    prepare(tiny, recipe, tmp_path / "elsewhere" / "again")  # over an earlier result
    assert hashes(tmp_path / "elsewhere" / "again") == hashes(prepared)


def test_garbage_test_references_change_nothing_else(
    prepared: Path, splits: Splits, recipe: Any, write_corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    garbage = [(source, f"\u0416\u0416 {number} " * 40) for number, (source, _) in enumerate(splits["test"])]
    prepare(write_corpus(tmp_path / "tiny-de-en", {**splits, "test": garbage}), recipe, tmp_path / "garbage")
    before, after = hashes(prepared), hashes(tmp_path / "garbage")
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    references = {"raw/test.tgt", "bin/test.de-en.en.bin", "bin/test.de-en.en.idx"}
    assert changed == references | {"statistics.json"}
    old, new = (json.loads((f / "statistics.json").read_text()) for f in (prepared, tmp_path / "garbage"))
    for statistics in (old, new):
        del statistics["splits"]["test"], statistics["sha256"]["test"]
    assert old == new


def test_vocabulary_comes_from_filtered_train_only(
    prepared: Path, splits: Splits, recipe: Any, write_corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    marked = {
        "train": [*splits["train"], ("\u0416 " * 13, "too long for the filter")],
        "valid": [("\u0416" * 9, "\u0416")] * 200,
        "test": [("\u0416" * 9, "\u0416")] * 200,
    }
    statistics = prepare(write_corpus(tmp_path / "tiny-de-en", marked), recipe, tmp_path / "marked")
    before, after = hashes(prepared), hashes(tmp_path / "marked")
    for name in ("subword.model", "bin/dict.de.txt", "bin/dict.en.txt", "bin/train.de-en.en.bin"):
        assert before[name] == after[name]
    assert statistics["splits"]["valid"]["unknown_tokens"] == {"de": 200, "en": 200}


def test_joined_or_separate_dictionaries(prepared: Path, tiny: Corpus, recipe: Any, tmp_path: Path) -> None:
    assert hashes(prepared)["bin/dict.de.txt"] == hashes(prepared)["bin/dict.en.txt"]
    prepare(tiny, dataclasses.replace(recipe, joined=False), tmp_path / "separate")
    separate = hashes(tmp_path / "separate")
    assert separate["bin/dict.de.txt"] != separate["bin/dict.en.txt"]
    assert separate["subword.model"] == hashes(prepared)["subword.model"]


def test_failure_in_the_middle_leaves_nothing(
    tiny: Corpus, recipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(pieces: Path, destination: Path, *rest: Any) -> None:
        destination.mkdir()
        (destination / "train.de-en.de.bin").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(translation, "binarise", fail)
    with pytest.raises(OSError, match="No space left"):
        prepare(tiny, recipe, tmp_path / "result")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"max_words": 1}, "max_words = 1 leaves no train pair of tiny-de-en"),
        ({"vocabulary": 10**6}, "10+ subword"),
    ],
)
def test_impossible_recipe_leaves_nothing(
    values: dict[str, int], rule: str, tiny: Corpus, recipe: Any, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=rule):
        prepare(tiny, dataclasses.replace(recipe, **values), tmp_path / "result")
    assert not list(tmp_path.iterdir())


def test_damaged_corpus_leaves_nothing(tiny: Corpus, recipe: Any, tmp_path: Path) -> None:
    wrong = dataclasses.replace(tiny, sha256={"test.tsv": "0" * 64})
    with pytest.raises(ValueError, match="checksum differs"):
        prepare(wrong, recipe, tmp_path / "result")
    assert not list(tmp_path.iterdir())
