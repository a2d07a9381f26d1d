"""Subword pieces: learning a SentencePiece model, text to pieces and back."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path

SPACE = "\u2581"  # SentencePiece's mark of a word's beginning
LONGEST = 1 << 18  # characters of a sentence that a model is learned from; UTF-8 has at most 4 bytes each


def normalise(text: str) -> str:
    """Runs of whitespace (any that Unicode knows) as one space, none at the ends."""
    return " ".join(text.split())


def parts(line: str) -> Iterator[str]:
    """A line in runs of words of at most `LONGEST` characters; of a longer word, the runs of letters."""
    while len(line) > LONGEST:
        end = line.rfind(" ", 1, LONGEST + 1)
        yield line[: end if end > 0 else LONGEST]
        line = line[end + 1 if end > 0 else LONGEST :]
    yield line


def learn(lines: Iterable[str], pieces: int) -> bytes:
    """Learn a byte-pair SentencePiece model: no text normalisation, every character covered.

    The same lines in the same order give the same bytes: one thread, no sampling, and no path in the model.

    :param lines: training text; whitespace is normalised
    :param pieces: pieces in the model, its three control symbols included
    :returns: the content of the model file
    :raises ValueError: the text has too many distinct characters, or too little text, for that many pieces
    """
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(part for line in lines for part in parts(normalise(line))),
            model_writer=model,
            model_type="bpe",
            vocab_size=pieces,
            character_coverage=1.0,
            normalization_rule_name="identity",
            max_sentence_length=4 * LONGEST,  # bytes; longer ones would be left out silently
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        rule = str(error).rpartition("] ")[2] or str(error)  # without the position in SentencePiece's source
        raise ValueError(f"cannot learn a vocabulary of {pieces} subword pieces: {rule}") from None
    return model.getvalue()


def encode(model_path: Path | str, lines: Iterable[str]) -> list[str]:
    """Cut lines into pieces with a learned model.

    :param lines: text; whitespace is normalised first, so no piece contains a space of any kind
    :returns: per line its pieces joined by single spaces; what the model does not know keeps its characters
    """
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_file=str(model_path))
    text = [normalise(line) for line in lines]
    return [" ".join(pieces) for pieces in model.encode(text, out_type=str, num_threads=1)]


def decode(pieces: str) -> str:
    """The text of one line of space-separated pieces: the inverse of `encode` up to whitespace.

    The mark U+2581 itself cannot be told from a space: it comes back as one.
    """
    return normalise(pieces.replace(" ", "").replace(SPACE, " "))
