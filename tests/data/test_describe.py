from __future__ import annotations

import hashlib
import json
from pathlib import Path

from headprune.data import Corpus
from headprune.data.describe import as_text, count


def test_counts_of_a_hand_made_split() -> None:
    text = [("das  Haus", "the house"), ("Katze", "a cat")]
    pieces = [("▁das ▁H aus", "▁the ▁house"), ("▁K a t ze", "▁a ▁cat")]
    known = {"de": {"▁das", "▁H", "aus", "▁K", "a"}, "en": {"▁the", "▁house", "▁a", "▁cat"}}
    assert count(text, pieces, known) == {
        "pairs": 2,
        "words": {"de": 3, "en": 4},
        "tokens": {"de": 7, "en": 4},
        "mean_words": {"de": 1.5, "en": 2.0},
        "mean_tokens": {"de": 3.5, "en": 2.0},
        "unknown_tokens": {"de": 2, "en": 0},
    }


def test_statistics_identify_the_input(prepared: Path, tiny: Corpus) -> None:
    statistics = json.loads((prepared / "statistics.json").read_text())
    files = {split: (tiny.folder / f"{split}.tsv").read_bytes() for split in ("train", "valid", "test")}
    expected = {split: hashlib.sha256(content).hexdigest() for split, content in files.items()}
    expected["train+valid"] = hashlib.sha256(files["train"] + files["valid"]).hexdigest()
    assert statistics["sha256"] == expected
    assert statistics["recipe"] == {
        "vocabulary": 300,
        "max_words": 12,
        "joined": True,
        "subword": "sentencepiece",
    }
    assert statistics["corpus"]["name"] == "tiny-de-en"
    assert str(tiny.folder) not in (prepared / "statistics.json").read_text()


def test_statistics_agree_with_the_files(prepared: Path) -> None:
    from fairseq.data import Dictionary, data_utils

    statistics = json.loads((prepared / "statistics.json").read_text())
    for language, suffix in (("de", "src"), ("en", "tgt")):
        dictionary = Dictionary.load(str(prepared / "bin" / f"dict.{language}.txt"))
        assert statistics["vocabulary"][language] == len(dictionary)
        for split, counts in statistics["splits"].items():
            dataset = data_utils.load_indexed_dataset(str(prepared / "bin" / f"{split}.de-en.{language}"), dictionary)
            assert counts["pairs"] == len(dataset)
            assert counts["tokens"][language] == dataset.sizes.sum() - len(dataset)  # without </s>
            assert counts["unknown_tokens"][language] == sum(int((ids == dictionary.unk()).sum()) for ids in dataset)
            assert counts["words"][language] == len((prepared / "raw" / f"{split}.{suffix}").read_text().split())


def test_text_separates_columns_and_pairs() -> None:
    assert as_text([("a", "b"), ("c", "d")]) == "a\tb\nc\td\n"
