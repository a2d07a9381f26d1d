"""The heads that a call keeps, as a number or a share."""

from __future__ import annotations

import math
import operator
import re
from fractions import Fraction

from headprune.heads import HeadSpace, Scope

SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def asked(keep: int | str) -> int | Fraction:
    """The number of heads, or the share of them, that `keep` asks for, of a model that is not known yet.

    :raises ValueError: neither of them, less than no heads or more than all.
    """
    if isinstance(keep, str) and (share := SHARE.fullmatch(keep.strip())):
        if (part := Fraction(share[1]) / 100) > 1:
            raise ValueError(f"keep is {keep!r}; a share of the heads is within 0%…100%")
        return part
    try:
        number = int(keep) if isinstance(keep, str) else operator.index(keep)
    except (ValueError, TypeError):
        number = None
    if number is None or number < 0 or isinstance(keep, bool):
        raise ValueError(f"keep is {keep!r}; it takes a number of heads, 24, or a share of them, '60%'")
    return number


def heads_to_keep(keep: int | str, total: int) -> int:
    """The number of heads that `keep` asks for.

    :param keep: a number of heads, also as text, or a share of them: `"60%"`, rounded to the nearest head, halves up
    :param total: N, the heads of the model
    :raises ValueError: something else, or less than no heads or more than all of them.
    """
    amount = asked(keep)
    if isinstance(amount, Fraction):
        return math.floor(amount * total + Fraction(1, 2))
    if amount > total:
        raise ValueError(f"keep is {keep!r}, outside 0…{total}, the heads of the model")
    return amount


def allowed(keep: int | str, space: HeadSpace, scope: Scope) -> int:
    """The number of heads that `keep` asks for, where `scope` lets all others go.

    :raises ValueError: as `heads_to_keep`, or fewer heads than the scope protects.
    """
    budget = heads_to_keep(keep, len(space))
    if budget < (least := scope.smallest(space)):
        raise ValueError(f"keep is {keep!r}, less than the {least} heads that types and min_per_module protect")
    return budget
