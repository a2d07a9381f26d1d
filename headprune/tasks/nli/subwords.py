"""Subwords of judged pairs: learned on their train split, or those that a released RoBERTa reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from headprune.data.subwords import encode, learn, normalise
from headprune.results.provenance import file_sha256

MODEL = "subword.model"
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # in every dictionary of fairseq, and not in its file
FILES = ("encoder.json", "vocab.bpe", "dict.txt")  # of GPT-2's pieces, and of the numbers that a model gives them
Cut = Callable[[Sequence[str]], list[str]]  # of lines, the pieces of each, joined by spaces


class Subwords(ABC):
    """The way from text to pieces, and their dictionary."""

    @property
    @abstractmethod
    def told(self) -> dict[str, Any]:
        """All that pieces and dictionary depend on beside the text, as plain data; files by their content."""

    @abstractmethod
    def ready(self, folder: Path, lines: Iterable[str]) -> Cut:
        """Learns what is to be learned of the lines of the train split, and keeps it in a folder."""

    @abstractmethod
    def dictionary(self, words: Counter[str]) -> str:
        """The content of fairseq's dictionary.

        :param words: pieces of the train split, counted
        """


@dataclass(frozen=True)
class Learned(Subwords):
    """SentencePiece's, of a corpus; `vocabulary` is their number."""

    vocabulary: int

    @property
    def told(self) -> dict[str, Any]:
        return {"vocabulary": self.vocabulary}

    def ready(self, folder: Path, lines: Iterable[str]) -> Cut:
        (folder / MODEL).write_bytes(learn(lines, self.vocabulary))
        return partial(encode, folder / MODEL)

    def dictionary(self, words: Counter[str]) -> str:
        """The most frequent first, equal ones by name."""
        ordered = sorted(words.items(), key=lambda item: (-item[1], item[0]))
        return "".join(f"{word} {count}\n" for word, count in ordered if word not in SPECIAL)


@dataclass(frozen=True)
class Released(Subwords):
    """GPT-2's byte pairs, numbered by the dictionary of a released model. Raises ValueError where a file is missing."""

    folder: Path

    def __post_init__(self) -> None:
        if missing := [name for name in FILES if not (self.folder / name).is_file()]:
            raise ValueError(f"{self.folder} must hold {', '.join(FILES)}; it lacks {', '.join(missing)}")

    @property
    def told(self) -> dict[str, Any]:
        return {"gpt2": {name: file_sha256(self.folder / name) for name in FILES}}

    def ready(self, folder: Path, lines: Iterable[str]) -> Cut:
        """:raises ValueError: the files are no byte pairs of GPT-2's."""
        from fairseq.data.encoders.gpt2_bpe_utils import get_encoder

        try:
            encoder = get_encoder(*(str(self.folder / name) for name in FILES[:2]))
        except (ValueError, AttributeError) as error:
            raise ValueError(f"{self.folder}: {FILES[0]} or {FILES[1]} is not GPT-2's ({error})") from error

        def cut(lines: Sequence[str]) -> list[str]:
            try:
                return [" ".join(map(str, encoder.encode(normalise(line)))) for line in lines]
            except KeyError as error:
                raise ValueError(f"{self.folder / FILES[0]} lacks the piece {error}, of {FILES[1]}") from error

        return cut

    def dictionary(self, words: Counter[str]) -> str:
        return (self.folder / FILES[2]).read_text(encoding="utf-8")


def symbols_of(dictionary: str) -> set[str]:
    """The symbols in the content of a dictionary, whose lines are `symbol count` and may end in a flag of fairseq's."""
    lines = filter(None, dictionary.split("\n"))
    return {line.removesuffix(" #fairseq:overwrite").rpartition(" ")[0] for line in lines}
