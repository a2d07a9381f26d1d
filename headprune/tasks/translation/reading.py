"""The way from the tokens of a model to text: subwords joined, tokenisation undone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, get_args

import headprune.models.compat  # noqa: F401

from fairseq.data.data_utils import post_process

from headprune.naming import unknown

Subwords = Literal["none", "subword_nmt", "sentencepiece", "gpt2"]
Tokenizer = Literal["none", "moses"]
MARKED = 0.01  # of a dictionary's symbols, those that bear the mark of its kind of subwords, at least


def subwords_of(symbols: Iterable[str]) -> Subwords:
    """The kind of subwords that a dictionary holds, by the marks of fairseq's tools: `@@` at the end, `▁` before the
    first letter of a word, numbers alone for GPT-2's.

    :param symbols: of the dictionary, without special ones and those that fill it up
    """
    words = [symbol for symbol in symbols if not symbol.startswith("madeupword")]
    if not words:
        return "none"
    kinds: tuple[tuple[Subwords, Callable[[str], bool], float], ...] = (
        ("subword_nmt", lambda word: word.endswith("@@"), MARKED),
        ("sentencepiece", lambda word: word.startswith("\u2581"), MARKED),
        ("gpt2", str.isdigit, 1.0),
    )
    return next((kind for kind, marked, least in kinds if sum(map(marked, words)) >= least * len(words)), "none")


@dataclass(frozen=True)
class TextReading:
    """Subwords and tokeniser of a corpus, by fairseq's names.

    :param subwords: `none`, `subword_nmt` (`@@`, fastBPE's too), `sentencepiece` or `gpt2`
    :param tokenizer: `none` or `moses`
    :param language: of the text, which Moses wants to know
    :param gpt2: the folder with `encoder.json` and `vocab.bpe`, which the pieces of GPT-2 are read with
    :raises ValueError: an unknown name, or GPT-2's pieces without their files.
    """

    subwords: Subwords = "none"
    tokenizer: Tokenizer = "none"
    language: str = "en"
    gpt2: Path | None = None

    def __post_init__(self) -> None:
        for what, name, known in (
            ("bpe", self.subwords, get_args(Subwords)),
            ("tokenizer", self.tokenizer, get_args(Tokenizer)),
        ):
            if name not in known:
                raise ValueError(unknown(what, name, known))
        if self.subwords == "gpt2":
            missing = [str(path) for path in self._gpt2_files() if not path.is_file()]
            if missing:
                raise ValueError(f"bpe gpt2 reads its pieces with encoder.json and vocab.bpe; missing: {missing}")

    def words(self, pieces: str) -> str:
        """A line of tokens with subwords joined; the tokeniser's marks stay."""
        return self._gpt2(pieces) if self.subwords == "gpt2" else str(post_process(pieces, self.subwords))

    def text(self, pieces: str) -> str:
        """A line of tokens as text."""
        return self._detokenize(self.words(pieces))

    def _gpt2_files(self) -> tuple[Path, Path]:
        folder = self.gpt2 or Path()
        return folder / "encoder.json", folder / "vocab.bpe"

    @cached_property
    def _gpt2(self) -> Callable[[str], str]:
        from fairseq.data.encoders.gpt2_bpe_utils import get_encoder

        encoder = get_encoder(*map(str, self._gpt2_files()))

        def decoded(pieces: str) -> str:
            runs = groupby(
                pieces.split(), str.isdigit
            )  # a letter may be several pieces, so that they are read together
            return "".join(encoder.decode([*map(int, run)]) if numbers else "".join(run) for numbers, run in runs)

        return decoded

    @cached_property
    def _detokenize(self) -> Callable[[str], str]:
        if self.tokenizer == "none":
            return lambda words: words
        from sacremoses import MosesDetokenizer

        moses: Any = MosesDetokenizer(self.language)
        return lambda words: str(moses.detokenize(words.split()))
