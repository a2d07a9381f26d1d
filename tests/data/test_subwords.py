from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headprune.data import corpus, decode, encode, read_pairs
from headprune.data.splits import SPLITS
from headprune.data.subwords import learn, normalise

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2581"), max_size=40)


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """Both sides of every split of the default corpus."""
    embedded = corpus("lohelp-de-en")
    return [side for split in SPLITS for pair in read_pairs(embedded, split) for side in pair]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> Path:
    path = tmp_path_factory.mktemp("subwords") / "subword.model"
    path.write_bytes(learn(lines[:4000], 1000))
    return path


def test_every_line_of_the_corpus_round_trips(model: Path, lines: list[str]) -> None:
    assert [decode(pieces) for pieces in encode(model, lines)] == [normalise(line) for line in lines]


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXT, max_size=5))
def test_any_text_round_trips_and_fairseq_sees_the_same_pieces(model: Path, texts: list[str]) -> None:
    encoded = encode(model, texts)
    assert [decode(pieces) for pieces in encoded] == [normalise(text) for text in texts]
    # fairseq.tokenizer.tokenize_line splits at any Unicode whitespace.
    assert [re.sub(r"\s+", " ", pieces).strip() for pieces in encoded] == encoded


def test_nothing_is_normalised_but_whitespace(model: Path) -> None:
    for text in ("ﬁ", "Ａ１", "e\u0301", "…", "<unk> </s> <s>", "日本語"):
        assert decode(encode(model, [text])[0]) == text
    assert decode("▁a ▁b c") == "a bc"


def test_learning_is_deterministic(lines: list[str]) -> None:
    assert learn(lines[:600], 300) == learn(lines[:600], 300)


@pytest.mark.parametrize(("pieces", "rule"), [(5, "smaller than required_chars"), (50_000, "too high")])
def test_impossible_vocabulary_says_why(pieces: int, rule: str, lines: list[str]) -> None:
    with pytest.raises(ValueError, match=f"cannot learn a vocabulary of {pieces} subword pieces: .*{rule}"):
        learn(lines[:50], pieces)
