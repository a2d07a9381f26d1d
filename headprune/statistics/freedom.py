"""The freedom of random masks that keep as many heads of every module as another mask does."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, prod

LARGEST_SHARE = 0.8  # of K: twins that share more with their mask on average are hardly another choice
FEWEST_MASKS = 20
Counts = Sequence[tuple[int, int]]  # of every module the heads kept and all heads


def masks_with(counts: Counts) -> int:
    """The number of masks with these counts, Π C(n, k) over modules, exactly."""
    return prod(comb(heads, kept) for kept, heads in counts)


def expected_overlap(counts: Counts) -> float:
    """The number of heads that two such masks share on average, Σ k² / n: the hypergeometric means of the modules.

    :param counts: a module without heads counts as one that shares none
    """
    return sum(kept * kept / heads for kept, heads in counts if heads)


def are_too_near(expected: float, kept: float) -> bool:
    """Tells whether random twins are too near to their mask to be a control.

    :param expected: heads shared on average, of `expected_overlap`
    :param kept: K
    """
    return expected > LARGEST_SHARE * kept


def are_too_few(masks: int) -> bool:
    """Tells whether there are too few masks, of `masks_with`, for random twins to be a control."""
    return masks < FEWEST_MASKS


def in_words(number: int) -> str:
    """A count in full up to a million, else rounded, `about 3.2 × 10^12`."""
    if number <= 10**6:
        return f"{number:,}"
    digits, _, power = f"{number:.1e}".partition("e+") if number < 10**300 else _beyond_floats(number)
    return f"about {digits} × 10^{int(power)}"


def _beyond_floats(number: int) -> tuple[str, str, str]:
    text = str(number)
    return f"{text[0]}.{text[1]}", "", str(len(text) - 1)
