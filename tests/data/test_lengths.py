"""Sentences too long for what will read them, and texts too short, are errors of the data, found when they are made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from configurations import VALID, changed

from headprune.config import ConfigError, load
from headprune.config.lengths import bounds
from headprune.data import LanguageModelingRecipe, TranslationRecipe, corpus, prepare, text_corpus
from headprune.data.corpora import Corpus
from headprune.data.lengths import Bound
from headprune.data.subwords import LONGEST, learn, parts
from headprune.pipeline import limits
from headprune.pipeline.plan import Plan
from tests.found import Found, rows

Splits = dict[str, list[tuple[str, str]]]
RECIPE = TranslationRecipe(vocabulary=300)


def with_long(splits: Splits, split: str, words: int) -> Splits:
    """With a third pair whose source has so many words of one piece each."""
    pairs = list(splits[split])
    return {**splits, split: [*pairs[:2], ("die " * words, "the"), *pairs[2:]]}


@rows(
    Found("400,000 words, test", "a row that failed, late", (400_001, 4000), "README", ("test", 400_000)),
    Found("1,100 words, train", "left out of training, told in a log", (1101, 1024), "fairseq", ("train", 1100)),
    Found("1,100 words, valid", "training ends in an exception", (1101, 1024), "fairseq", ("valid", 1100)),
)
def test_a_long_sentence_is_found_with_the_data(
    found: Found, splits: Splits, write_corpus: Callable[[Path, Splits], Corpus], tmp_path: Path
) -> None:
    split, words = found.case
    own = write_corpus(tmp_path / "long-de-en", with_long(splits, split, words))
    asked = bounds(load(changed("datasets/help/corpus", str(own.folder))), "help")
    length, limit = found.right
    with pytest.raises(ValueError) as error:
        prepare(own, RECIPE, tmp_path / "prepared", asked)
    assert f"{own.folder}/{split}.tsv, line 3: {length:,} de subwords" in str(error.value)
    assert f"at most {limit:,} fit" in str(error.value)
    assert not (tmp_path / "prepared").exists()


def test_a_sentence_as_long_as_the_bound_is_taken(
    splits: Splits, write_corpus: Callable[[Path, Splits], Corpus], tmp_path: Path
) -> None:
    own = write_corpus(tmp_path / "long-de-en", with_long(splits, "test", 199))
    statistics = prepare(own, RECIPE, tmp_path / "prepared", {"test": Bound(200, "evaluation.max_tokens")})
    assert statistics["splits"]["test"]["longest"]["de"] == {"tokens": 200, "line": 3}
    from fairseq.data import Dictionary, data_utils

    dictionary = Dictionary.load(str(tmp_path / "prepared/bin/dict.de.txt"))
    data = data_utils.load_indexed_dataset(str(tmp_path / "prepared/bin/test.de-en.de"), dictionary)
    assert int(data.sizes.max()) == 200
    with pytest.raises(ValueError, match="at most 199 fit: evaluation.max_tokens"):
        prepare(own, RECIPE, tmp_path / "again", {"test": Bound(199, "evaluation.max_tokens")})


def test_the_bounds_are_the_least_that_a_profile_asks() -> None:
    config = load(changed("evaluation/max_tokens", 900, changed("models/tiny/training/max_tokens", 800)))
    assert {split: (bound.tokens, bound.reason) for split, bound in bounds(config, "help").items()} == {
        "train": (800, "models.tiny.training.max_tokens"),
        "valid": (800, "models.tiny.training.max_tokens"),
        "test": (900, "evaluation.max_tokens"),
    }


def test_data_that_are_there_are_asked_when_a_profile_is_planned(
    splits: Splits, write_corpus: Callable[[Path, Splits], Corpus], tmp_path: Path
) -> None:
    """Only a bound has changed: they are not made again. Where text or recipe has, they are, and are not asked."""
    own = write_corpus(tmp_path / "long-de-en", with_long(splits, "test", 199))
    config = changed("datasets/help", {"corpus": str(own.folder), "vocabulary": 300}) | {"results": str(tmp_path)}
    limits.check_data(Plan(load(config)))
    prepare(own, RECIPE, Plan(load(config)).folder / "data" / "help")
    limits.check_data(Plan(load(config)))
    narrow = changed("evaluation/max_tokens", 199, config)
    with pytest.raises(ConfigError, match=r"datasets\.help: .*test\.tsv, line 3: 200 de subwords.*at most 199 fit"):
        limits.check_data(Plan(load(narrow)))
    limits.check_data(Plan(load(changed("datasets/help/max_words", 50, narrow))))
    (own.folder / "test.tsv").write_text("kurz\tshort\n")
    limits.check_data(Plan(load(narrow)))


def lm(folder: Path, lines: dict[str, int]) -> Path:
    """A text corpus whose splits have so many lines of one letter: two tokens each."""
    folder.mkdir()
    for split, count in lines.items():
        (folder / f"{split}.txt").write_text("a\n" * count)
    return folder


def language_model(folder: Path) -> dict[str, object]:
    architecture = {"width": 8, "heads": 2, "layers": 1, "persistent": 2, "segment": 32, "memory": 8}
    model = {"track": "lm", "dataset": "text", "architecture": architecture, "training": {"updates": 1, "rows": 4}}
    dataset = {"track": "lm", "corpus": str(folder), "units": "characters", "vocabulary": None}
    return VALID | {
        "datasets": {"text": dataset},
        "models": {"lm": model},
        "budgets": [1],
        "methods": [{"name": "random"}],
    }


@rows(
    Found("62 train tokens", "rows that failed, late", "train.txt: 62 tokens; at least 64", "sample_train", 31),
    Found("62 test tokens", "rows that failed, late", "test.txt: 62 tokens; at least 64", "Segments", 0),
)
def test_a_text_too_short_is_found_with_the_data(found: Found, tmp_path: Path) -> None:
    own = lm(tmp_path / "text", {"train": found.case or 40, "valid": 40, "test": 31})
    asked = bounds(load(language_model(own)), "text")
    with pytest.raises(ValueError, match=found.right):
        prepare(text_corpus(own), LanguageModelingRecipe("characters", None), tmp_path / "prepared", asked)


def test_lines_of_any_length_are_learned_from() -> None:
    """SentencePiece leaves lines of more than a mebibyte out; where that is all there is, it had nothing to learn."""
    words = [f"wort{number % 977}" for number in range(300_000)]
    short = [" ".join(words[i : i + 10]) for i in range(0, len(words), 10)]
    assert learn([" ".join(words)], 100) == learn(parts(" ".join(words)), 100)
    import sentencepiece

    pieces = []
    for lines in ([" ".join(words)], short):
        model = sentencepiece.SentencePieceProcessor(model_proto=learn(lines, 100))
        pieces.append({model.id_to_piece(i) for i in range(100)})
    assert pieces[0] == pieces[1]


def test_parts_of_a_line_are_the_line() -> None:
    for line in ("a b", "x" * (2 * LONGEST + 5), "wort " * LONGEST + "ende", ""):
        found = list(parts(line))
        assert all(len(part) <= LONGEST for part in found)
        separator = " " if " " in line else ""
        assert separator.join(found) == line


def test_statistics_of_an_embedded_corpus_name_its_longest_lines(tmp_path: Path, tiny: Corpus) -> None:
    statistics = prepare(tiny, RECIPE, tmp_path / "prepared")
    lines = {split: tiny.path(split).read_text(encoding="utf-8").splitlines() for split in ("train", "valid", "test")}
    pieces = json.loads((tmp_path / "prepared/statistics.json").read_text())
    assert pieces["splits"] == statistics["splits"]
    for split, counts in statistics["splits"].items():
        for language in ("de", "en"):
            assert 1 <= counts["longest"][language]["line"] <= len(lines[split])
    assert corpus("lohelp-de-en").files("test")[0].name == "test.tsv.gz"
