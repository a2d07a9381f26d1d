from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from headprune.data import LanguageModelingRecipe, TextCorpus, TranslationRecipe, corpus, prepare, text_corpus
from headprune.data import language_modeling as module
from headprune.data.splits import SPLITS
from headprune.data.units import cut

RECIPES = {
    "bpe": LanguageModelingRecipe(vocabulary=300),
    "words": LanguageModelingRecipe("words", None, minimum_count=3, split_punctuation=True),
    "limited": LanguageModelingRecipe("words", 50),
    "characters": LanguageModelingRecipe("characters", None),
    "bytes": LanguageModelingRecipe("bytes", None),
}


def write(folder: Path, splits: dict[str, list[str]]) -> TextCorpus:
    folder.mkdir(parents=True)
    for split, lines in splits.items():
        (folder / f"{split}.txt").write_bytes("".join(f"{line}\n" for line in lines).encode())
    return text_corpus(folder)


@pytest.fixture(scope="module")
def splits(text_folder: Path) -> dict[str, list[str]]:
    """Some paragraphs, and a blank line in each split."""
    read = {s: (text_folder / "raw" / f"{s}.txt").read_text(encoding="utf-8").split("\n")[:-1] for s in SPLITS}
    return {split: [*lines[:60], "", lines[-1]] for split, lines in read.items()}


@pytest.fixture(scope="module")
def tales(tmp_path_factory: pytest.TempPathFactory, splits: dict[str, list[str]]) -> TextCorpus:
    return write(tmp_path_factory.mktemp("corpora") / "tales", splits)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, tales: TextCorpus) -> dict[str, Path]:
    """The corpus prepared by each recipe."""
    root = tmp_path_factory.mktemp("prepared")
    for name, recipe in RECIPES.items():
        prepare(tales, recipe, root / name)
    return {name: root / name for name in RECIPES}


def hashes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def statistics(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "statistics.json").read_text())


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"units": "syllables"}, "unknown units 'syllables'; available: bpe, words, characters, bytes"),
        ({"vocabulary": 0}, "vocabulary is 0"),
        ({"vocabulary": None}, "units bpe need"),
        ({"minimum_count": 0}, "minimum_count is 0"),
        ({"split_punctuation": True}, "is for units words"),
    ],
)
def test_recipe_refuses_bad_values(values: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        LanguageModelingRecipe(**values)


@pytest.mark.parametrize("name", RECIPES)
def test_fairseqs_data_holds_every_unit_and_a_line_end_for_each_line(
    name: str, folders: dict[str, Path], splits: dict[str, list[str]]
) -> None:
    from fairseq.data import Dictionary, data_utils

    folder, recipe = folders[name], RECIPES[name]
    dictionary = Dictionary.load(str(folder / "bin" / "dict.txt"))
    counted = statistics(folder)
    assert counted["vocabulary"] == len(dictionary)
    for split in SPLITS:
        dataset = data_utils.load_indexed_dataset(str(folder / "bin" / split), dictionary)
        pieces = cut(splits[split], recipe.units, folder / "subword.model", recipe.split_punctuation)
        expected = [[*map(dictionary.index, line.split()), dictionary.eos()] for line in pieces]
        assert [ids.tolist() for ids in dataset] == expected
        assert [dictionary.eos()] in expected  # the blank line
        counts = counted["splits"][split]
        assert counts["tokens"] == sum(map(len, expected))
        assert counts["unknown_tokens"] == sum(line.count(dictionary.unk()) for line in expected)
        assert counts["lines"] == len(splits[split])


@pytest.mark.parametrize("name", RECIPES)
def test_bytes_lines_and_words_are_those_of_wc(name: str, folders: dict[str, Path], tales: TextCorpus) -> None:
    for split in SPLITS:
        raw = folders[name] / "raw" / f"{split}.txt"
        assert raw.read_bytes() == tales.path(split).read_bytes()
        output = subprocess.run(["wc", str(raw)], capture_output=True, text=True, check=True).stdout
        counts = statistics(folders[name])["splits"][split]
        assert [counts["lines"], counts["words"], counts["bytes"]] == [int(field) for field in output.split()[:3]]
    if name == "bytes":
        assert statistics(folders[name])["splits"]["train"]["tokens"] == tales.path("train").stat().st_size


def test_dictionary_is_sorted_by_frequency_and_limited(folders: dict[str, Path], splits: dict[str, list[str]]) -> None:
    def symbols(name: str) -> dict[str, int]:
        lines = (folders[name] / "bin" / "dict.txt").read_text(encoding="utf-8").splitlines()
        pairs = [line.rsplit(" ", 1) for line in lines]
        return {symbol: int(count) for symbol, count in pairs if not symbol.startswith("madeupword")}

    for name in RECIPES:
        assert list(symbols(name).values()) == sorted(symbols(name).values(), reverse=True)
    assert min(symbols("words").values()) == 3
    assert len(symbols("limited")) == 50
    words = " ".join(splits["train"]).split()
    assert symbols("limited") == {word: words.count(word) for word in symbols("limited")}
    assert statistics(folders["limited"])["splits"]["train"]["unknown_tokens"] > 0
    assert statistics(folders["bytes"])["splits"]["train"]["unknown_tokens"] == 0


def test_two_prepares_are_equal_byte_for_byte(folders: dict[str, Path], tales: TextCorpus, tmp_path: Path) -> None:
    for name in ("bpe", "words"):
        returned = prepare(tales, RECIPES[name], tmp_path / name)
        assert hashes(tmp_path / name) == hashes(folders[name])
        assert returned == statistics(folders[name])
        assert str(tmp_path) not in (tmp_path / name / "statistics.json").read_text()


@pytest.mark.parametrize("name", ["bpe", "words"])
def test_garbage_in_test_changes_nothing_else(
    name: str, folders: dict[str, Path], splits: dict[str, list[str]], tmp_path: Path
) -> None:
    garbage = write(tmp_path / "tales", {**splits, "test": ["\u0416\u0416 of the " * 40] * 30})
    prepare(garbage, RECIPES[name], tmp_path / "garbage")
    before, after = hashes(folders[name]), hashes(tmp_path / "garbage")
    changed = {file for file in before.keys() | after.keys() if before.get(file) != after.get(file)}
    assert changed == {"raw/test.txt", "bin/test.bin", "bin/test.idx", "statistics.json"}
    old, new = statistics(folders[name]), statistics(tmp_path / "garbage")
    for each in (old, new):
        del each["splits"]["test"], each["sha256"]["test"]
    assert old == new


def test_vocabulary_is_of_train_only(folders: dict[str, Path], splits: dict[str, list[str]], tmp_path: Path) -> None:
    marked = write(tmp_path / "tales", {**splits, "valid": ["\u0416"] * 500, "test": ["\u0416"] * 500})
    found = prepare(marked, RECIPES["bpe"], tmp_path / "marked")
    for file in ("subword.model", "bin/dict.txt", "bin/train.bin"):
        assert hashes(tmp_path / "marked")[file] == hashes(folders["bpe"])[file]
    assert found["splits"]["valid"]["unknown_tokens"] == 500


def test_statistics_identify_the_input(folders: dict[str, Path], tales: TextCorpus) -> None:
    files = {split: tales.path(split).read_bytes() for split in SPLITS}
    expected = {split: hashlib.sha256(content).hexdigest() for split, content in files.items()}
    expected["train+valid"] = hashlib.sha256(files["train"] + files["valid"]).hexdigest()
    found = statistics(folders["words"])
    assert found["sha256"] == expected
    assert found["recipe"] == dataclasses.asdict(RECIPES["words"])
    assert found["corpus"] == {"name": "tales", "licence": "unknown"}


def test_wikitext_layout_keeps_words_and_unknown_ones(tmp_path: Path) -> None:
    """In WikiText as it is distributed, `<unk>` is fairseq's unknown symbol, and no word of the dictionary."""
    for split in SPLITS:
        (tmp_path / f"wiki.{split}.tokens").write_text(" \n = A <unk> title = \n \n It was <unk> , said A . \n")
    found = prepare(text_corpus(tmp_path), LanguageModelingRecipe("words", None), tmp_path / "prepared")
    assert found["splits"]["test"] == {"lines": 4, "words": 12, "bytes": 50, "tokens": 16, "unknown_tokens": 2}
    symbols = (tmp_path / "prepared" / "bin" / "dict.txt").read_text().split()[::2]
    assert set(symbols) >= {"=", "A", "title", "It", "was", ",", "said", "."} and "<unk>" not in symbols


@pytest.mark.parametrize(
    ("lines", "recipe", "rule"),
    [
        (["a <pad> b"], RECIPES["limited"], r"train\.txt: line 1 has the unit <pad>"),
        (["", " "], RECIPES["bpe"], "nothing but white space"),
        (["a b"], RECIPES["bpe"], "subword pieces"),
    ],
)
def test_impossible_corpus_leaves_nothing(
    lines: list[str], recipe: LanguageModelingRecipe, rule: str, tmp_path: Path
) -> None:
    tales = write(tmp_path / "tales", {"train": lines, "valid": ["x"], "test": ["x"]})
    with pytest.raises(ValueError, match=rule):
        prepare(tales, recipe, tmp_path / "result")
    assert [path.name for path in tmp_path.iterdir()] == ["tales"]


def test_failure_in_the_middle_leaves_nothing(
    tales: TextCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(pieces: Path, destination: Path, *rest: Any) -> None:
        destination.mkdir()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "binarise_text", fail)
    with pytest.raises(OSError, match="No space left"):
        prepare(tales, RECIPES["words"], tmp_path / "result")
    assert not list(tmp_path.iterdir())


def test_recipe_and_corpus_must_be_of_one_kind(tales: TextCorpus, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="TranslationRecipe does not prepare a TextCorpus"):
        prepare(tales, TranslationRecipe(), tmp_path / "x")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="LanguageModelingRecipe does not prepare a Corpus"):
        prepare(corpus("lohelp-de-en"), LanguageModelingRecipe(), tmp_path / "x")  # type: ignore[call-overload]
