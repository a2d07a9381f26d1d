"""The text of another dataset as the models of a corpus read it: against fairseq's own binarisation, and by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from headprune.config import load
from headprune.data import LanguageModelingRecipe, TranslationRecipe, corpus, decode, prepare, text_corpus
from headprune.data.units import cut
from headprune.tasks.language_modeling.corpus import LanguageCorpus, RereadText
from headprune.tasks.translation.corpus import RereadCorpus, TranslationCorpus


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> tuple[TranslationCorpus, Path]:
    """A corpus of 400 pieces, and the folder of the same sentences, the short ones alone, cut into other pieces."""
    folder = tmp_path_factory.mktemp("pairs")
    for name, recipe in (("own", TranslationRecipe(400, max_words=6)), ("other", TranslationRecipe(600, max_words=4))):
        prepare(corpus("lohelp-de-en"), recipe, folder / name)
    return TranslationCorpus(folder / "own"), folder / "other"


@pytest.fixture(scope="module", params=["bpe", "words", "characters", "bytes"])
def texts(request: pytest.FixtureRequest, tmp_path_factory) -> tuple[LanguageCorpus, Path]:
    """A small text in every kind of units, and the folder of another text."""
    folder = tmp_path_factory.mktemp("texts")
    for name in ("one", "two"):
        (folder / f"{name}-text").mkdir()
        for split in ("train", "valid", "test"):
            lines = [f"{name} {split} line {i}, and the {i * i}th word?" for i in range(60)] + ["", "Ünïcode tail"]
            (folder / f"{name}-text" / f"{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        pieces = {"bpe": 60}.get(request.param)
        recipe = LanguageModelingRecipe(request.param, pieces, split_punctuation=request.param == "words")
        prepare(text_corpus(folder / f"{name}-text"), recipe, folder / name)
    return LanguageCorpus(folder / "one"), folder / "two"


def same(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> bool:
    """Bit for bit, types included."""
    flat = [
        [batch["net_input"] | {"target": batch["target"], "id": batch["id"]} for batch in each]
        for each in (first, second)
    ]
    return len(first) == len(second) and all(
        one.keys() == other.keys()
        and all(torch.equal(torch.as_tensor(one[key]), torch.as_tensor(other[key])) for key in one)
        for one, other in zip(*flat, strict=True)
    )


def test_its_own_sentences_reread_are_those_of_fairseq(pairs: tuple[TranslationCorpus, Path]) -> None:
    own, _ = pairs
    reread = RereadCorpus(own, own.folder)
    assert same(own.sample_train(200, 3, 500), reread.sample_train(200, 3, 500))
    assert len(reread.dataset("train")) == own.statistics["splits"]["train"]["pairs"]


def test_other_sentences_are_read_with_the_models_own_pieces(pairs: tuple[TranslationCorpus, Path]) -> None:
    """All of the other train split and nothing else; the dictionary is the model's, and the text comes back."""
    own, other = pairs
    reread, theirs = RereadCorpus(own, other), TranslationCorpus(other)
    assert len(reread.dataset("train")) == theirs.statistics["splits"]["train"]["pairs"] < len(own.dataset("train"))
    words = reread.task.target_dictionary
    assert len(words) == len(own.task.target_dictionary) != len(theirs.task.target_dictionary)
    expected = (other / "raw" / "train.tgt").read_text(encoding="utf-8").splitlines()
    seen = {}
    for batch in reread.batches("train", 4000):
        for number, row in zip(batch["id"].tolist(), batch["target"], strict=True):
            seen[number] = decode(words.string(row[row.ne(words.pad())]))
    assert [" ".join(line.split()) for line in expected] == [seen[number] for number in range(len(expected))]


def test_nothing_but_the_train_split_is_the_others(pairs: tuple[TranslationCorpus, Path]) -> None:
    own, other = pairs
    reread = RereadCorpus(own, other)
    assert same(reread.batches("valid", 4000), own.batches("valid", 4000))
    for read in (reread.dataset, reread.references):
        with pytest.raises(ValueError, match="test set is sealed"):
            read("test")


def test_its_own_text_reread_is_that_of_fairseq(texts: tuple[LanguageCorpus, Path]) -> None:
    own, _ = texts
    reread = RereadText(own, own.folder)
    assert torch.equal(own.stream("train").tokens, reread.stream("train").tokens)
    assert same(own.sample_train(5, 1, 16), reread.sample_train(5, 1, 16))


def test_other_text_is_read_with_the_models_own_units(texts: tuple[LanguageCorpus, Path]) -> None:
    """Every line is cut as the model's own are and looked up in its dictionary, unit by unit; the test is sealed."""
    own, other = texts
    reread, words, recipe = RereadText(own, other), own.task.dictionary, own.statistics["recipe"]
    lines = (other / "raw" / "train.txt").read_text(encoding="utf-8").splitlines()
    cut_lines = cut(lines, recipe["units"], own.folder / "subword.model", recipe["split_punctuation"])
    expected = [words.eos()]
    for line in cut_lines:
        expected += [*map(words.index, line.split()), words.eos()]
    assert reread.stream("train").tokens.tolist() == expected
    assert words.unk() in expected or recipe["units"] != "words"
    with pytest.raises(ValueError, match="test set is sealed"):
        reread.stream("test")


PROFILE = {
    "profile": "unit",
    "seeds": [1],
    "budgets": [2],
    "datasets": {"help": {"corpus": "lohelp-de-en"}, "bible": {"corpus": "bible-fr-en"}},
    "models": {"tiny": {"dataset": "help", "architecture": {"width": 16, "heads": 4}, "training": {"updates": 4}}},
    "methods": [{"name": "magnitude"}],
}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hlep", "calibration.corpus: unknown dataset 'hlep'; did you mean 'help'"),
        ("bible", "calibration.corpus is 'bible', which model 'tiny' cannot read: its sentences are fr-en"),
        ("text", "calibration.corpus is 'text', of track 'lm'; the masks of model 'tiny', of track 'mt'"),
    ],
)
def test_text_that_a_model_cannot_read_is_refused(name: str, message: str) -> None:
    datasets = PROFILE["datasets"] | {"text": {"track": "lm", "corpus": "austen"}}
    with pytest.raises(ValueError, match=message):
        load(PROFILE | {"datasets": datasets, "calibration": {"corpus": name}})
