"""Lines of text as space-separated units of a language model, and back.

Four kinds: `bpe` (SentencePiece), `words` (as they stand between spaces, or with punctuation split off), `characters`
and `bytes`. All but `words` with split punctuation can be undone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, get_args

from headprune.data.subwords import SPACE, decode, encode, normalise

Units = Literal["bpe", "words", "characters", "bytes"]
UNITS: tuple[str, ...] = get_args(Units)

# fairseq takes these for its own: a padding symbol in the text, say, would be left out of every count.
RESERVED = frozenset({"<s>", "<pad>", "</s>"})

# Letters and digits with apostrophes, hyphens and points inside; or one other character.
_WORD = re.compile(r"\w+(?:['’.\-]\w+)*|[^\w\s]")


def cut(lines: Sequence[str], units: Units, model: Path | None = None, split_punctuation: bool = False) -> list[str]:
    """Per line its units, joined by single spaces; a blank line is an empty string.

    :param model: SentencePiece model, for `bpe`
    :param split_punctuation: for `words`: `it's, she said.` becomes `it's , she said .`
    :raises ValueError: a unit is one of `RESERVED` (with the number of the line).
    """
    if units == "bpe":
        assert model is not None
        found = encode(model, lines)
    elif units == "words":
        found = [" ".join(_WORD.findall(line)) if split_punctuation else normalise(line) for line in lines]
    elif units == "characters":
        found = [" ".join(normalise(line).replace(SPACE, " ").replace(" ", SPACE)) for line in lines]
    else:
        found = [" ".join(f"{byte:02x}" for byte in line.encode("utf-8")) for line in lines]
    for number, line in enumerate(found, start=1):
        if reserved := RESERVED.intersection(line.split(" ")):
            raise ValueError(f"line {number} has the unit {min(reserved)}, which is a symbol of fairseq's own")
    return found


def join(pieces: Iterable[str], units: Units) -> str:
    """The text of the units of one line: the inverse of `cut`, up to white space except for `bytes`.

    Unknown units come out as they are written. Bytes that are no UTF-8 come out as U+FFFD.
    """
    if units in ("bpe", "characters"):
        return decode(" ".join(pieces))
    if units == "words":
        return " ".join(pieces)
    known = [piece for piece in pieces if re.fullmatch("[0-9a-f]{2}", piece)]
    return bytes.fromhex("".join(known)).decode("utf-8", errors="replace")
