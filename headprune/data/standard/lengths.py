"""The lengths that sentence pairs may have, as Moses' clean-corpus-n judges them."""

from __future__ import annotations

from collections.abc import Sequence

RATIO = 1.5
LONGEST_WORD = 1000  # characters


def fault(source: Sequence[str], target: Sequence[str], longest: int, ratio: float = RATIO) -> str:
    """The reason why a pair is left out: `empty`, `long` or `uneven`; an empty text for one that is kept.

    :param source: tokens of it
    :param target: likewise
    :param longest: tokens that a side has at most; at least it has one
    :param ratio: by how many times the longer side has the tokens of the shorter one at most
    """
    shorter, longer = sorted(map(len, (source, target)))
    if shorter < 1:
        return "empty"
    if longer > longest or any(len(word) > LONGEST_WORD for side in (source, target) for word in side):
        return "long"
    return "uneven" if longer > ratio * shorter else ""
