"""Tokens as text, against the tools that made them."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest
import sentencepiece
from fairseq.data.encoders.gpt2_bpe import GPT2BPE
from fairseq.data.encoders.gpt2_bpe_utils import bytes_to_unicode
from fairseq.data.encoders.moses_tokenizer import MosesTokenizer, MosesTokenizerConfig
from hypothesis import given
from hypothesis import strategies as st

from headprune.data import encode
from headprune.data.subwords import learn
from headprune.tasks.translation.reading import TextReading, subwords_of

WORD = st.text(alphabet="abc'-", min_size=1, max_size=8)
LINES = ["Well, that's it – isn't it?", "The old house (no. 3) stands there.", "He said: \"it's 5 o'clock\"."]


@given(st.lists(st.lists(WORD, min_size=1, max_size=4), min_size=1, max_size=5))
def test_subwords_are_joined(words: list[list[str]]) -> None:
    """Every piece of a word but the last ends in the mark."""
    pieces = " ".join(" ".join([*(f"{piece}@@" for piece in word[:-1]), word[-1]]) for word in words)
    assert TextReading("subword_nmt").words(pieces) == " ".join("".join(word) for word in words)
    assert TextReading("none").words(pieces) == pieces


def test_sentencepiece_comes_back(tmp_path: Path) -> None:
    model = tmp_path / "subword.model"
    model.write_bytes(learn(LINES, 45))
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    for pieces in encode(model, LINES):
        assert TextReading("sentencepiece").text(pieces) == processor.decode(pieces.split())


def test_moses_is_undone_as_fairseq_does() -> None:
    tokenizer = MosesTokenizer(MosesTokenizerConfig(source_lang="en", target_lang="en"))
    reading = TextReading("none", "moses", "en")
    for line in LINES:
        assert reading.text(tokenizer.encode(line)) == tokenizer.decode(tokenizer.encode(line))
    assert reading.words(tokenizer.encode(LINES[0])) == tokenizer.encode(LINES[0])


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GPT-2's pieces without merges: a number for every byte."""
    folder = tmp_path_factory.mktemp("gpt2")
    numbers = {character: byte for byte, character in bytes_to_unicode().items()}
    (folder / "encoder.json").write_text(json.dumps(numbers), encoding="utf-8")
    (folder / "vocab.bpe").write_text("#version: 0.2\n", encoding="utf-8")
    return folder


@given(line=st.text(alphabet="ab é€", max_size=12))
def test_gpt2_is_read_as_fairseq_does(gpt2: Path, line: str) -> None:
    """Letters of several bytes are put together again."""
    files = {"gpt2_encoder_json": str(gpt2 / "encoder.json"), "gpt2_vocab_bpe": str(gpt2 / "vocab.bpe")}
    encoder, reading = GPT2BPE(Namespace(**files)), TextReading("gpt2", gpt2=gpt2)
    assert reading.text(encoder.encode(line)) == encoder.decode(encoder.encode(line)) == line


def test_what_is_no_piece_stays(gpt2: Path) -> None:
    assert TextReading("gpt2", gpt2=gpt2).text("104 105 <<unk>> 33") == "hi<<unk>>!"


@pytest.mark.parametrize(
    ("symbols", "kind"),
    [
        (["ab@@", "c", "d"], "subword_nmt"),
        (["\u2581ab", "c", "d"], "sentencepiece"),
        (["13", "262", "madeupword0000"], "gpt2"),
        (["13", "a"], "none"),
        (["madeupword0000"], "none"),
        ([], "none"),
    ],
)
def test_dictionaries_show_their_subwords(symbols: list[str], kind: str) -> None:
    assert subwords_of(symbols) == kind
