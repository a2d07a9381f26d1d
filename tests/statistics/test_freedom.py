"""The freedom of random masks with given counts, against all of them one by one."""

from __future__ import annotations

from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headprune.statistics.freedom import are_too_few, are_too_near, expected_overlap, in_words, masks_with

MODULE = st.integers(0, 5).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
COUNTS = st.lists(MODULE, min_size=1, max_size=3)


def every_mask(counts: list[tuple[int, int]]) -> list[frozenset[tuple[int, int]]]:
    """All masks, each as the (module, head) that it keeps."""
    choices = [combinations([(m, head) for head in range(n)], k) for m, (k, n) in enumerate(counts)]
    return [frozenset(head for part in parts for head in part) for parts in product(*choices)]


@given(COUNTS)
def test_all_masks_one_by_one(counts: list[tuple[int, int]]) -> None:
    masks = every_mask(counts)
    shared = [len(masks[0] & mask) for mask in masks]  # with any one of them
    assert masks_with(counts) == len(set(masks)) == len(masks)
    assert expected_overlap(counts) == pytest.approx(sum(shared) / len(shared), abs=1e-9)


def test_counts_are_exact_beyond_floats() -> None:
    assert masks_with([(32, 64)] * 20) == 1832624140942590534**20
    assert in_words(1832624140942590534**20) == "about 1.8 × 10^365"


@pytest.mark.parametrize(
    ("number", "words"),
    [(1, "1"), (999, "999"), (10**6, "1,000,000"), (3_240_000, "about 3.2 × 10^6"), (10**20, "about 1.0 × 10^20")],
)
def test_words(number: int, words: str) -> None:
    assert in_words(number) == words


def test_little_freedom() -> None:
    assert are_too_near(8.01, 10) and not are_too_near(8.0, 10)  # above four fifths
    assert are_too_few(19) and not are_too_few(20)
    assert are_too_few(1)  # of no heads at all there is one choice
