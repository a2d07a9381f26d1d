"""Lengths and repetitions of hypotheses, against sacrebleu's own counts and a loop."""

from __future__ import annotations

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from headprune.tasks.translation import metrics
from headprune.tasks.translation.outputs import Hypotheses

REFERENCES = ["The cat's on the mat, isn't it?", "Yes: 3.5 of 10,000.", "", "a b c"]
WORDS = st.lists(st.sampled_from(["a", "b", "c", "the", "mat,", "it's", "3.5"]), max_size=12).map(" ".join)


def counted(hypothesis: list[str], order: int) -> tuple[int, int]:
    """The n-grams that occurred before, and all of them, by a loop."""
    seen, again = [], 0
    for start in range(len(hypothesis) - order + 1):
        gram = hypothesis[start : start + order]
        again += gram in seen
        seen.append(gram)
    return again, len(seen)


@given(st.lists(WORDS, min_size=4, max_size=4))
def test_lengths_are_those_that_bleu_counts(hypotheses: list[str]) -> None:
    """The lengths of sacrebleu's corpus BLEU, relative 1e-12."""
    theirs = sacrebleu.corpus_bleu(hypotheses, [REFERENCES])
    found = metrics.length_ratio(hypotheses, REFERENCES)
    assert found.value == pytest.approx(theirs.sys_len / theirs.ref_len, rel=1e-12)


@given(st.lists(WORDS, max_size=6), st.integers(1, 5))
def test_repetitions_are_counted_within_hypotheses(hypotheses: list[str], order: int) -> None:
    """A loop over 13a tokens, relative 1e-12; their order makes no difference."""
    tokenize = sacrebleu.metrics.BLEU().tokenizer
    counts = [counted(tokenize(line).split(), order) for line in hypotheses]
    again, every = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
    found = metrics.repetition_rate(hypotheses, order).value
    assert found == pytest.approx(again / every if every else 0, rel=1e-12)
    assert metrics.repetition_rate(hypotheses[::-1], order).value == found


@pytest.mark.parametrize(
    ("hypotheses", "rate"),
    [
        (["to be or not to be or not to be"], 3 / 7),  # to be or not, be or not to, or not to be: each once more
        (["a b c d", "a b c d"], 0),  # repeated between hypotheses, not within one
        (["no no no no no no"], 2 / 3),
        (["a b c", ""], 0),  # no 4-gram at all
        (["a b c d e", "no no no no no"], 1 / 4),  # over all hypotheses together
    ],
)
def test_repetition_rates_by_hand(hypotheses: list[str], rate: float) -> None:
    assert metrics.repetition_rate(hypotheses).value == pytest.approx(rate)


def test_lengths_by_hand() -> None:
    assert metrics.length_ratio(["a b", "c d e f"], ["a b c", "d."]).value == pytest.approx(6 / 5)
    assert metrics.length_ratio(["a", "b"], ["", ""]).value == 2  # nothing to compare with counts as one token
    assert metrics.length_ratio(["", ""], ["a", "b"]).value == 0
    with pytest.raises(ValueError, match="2 hypotheses for 1 references"):
        metrics.length_ratio(["a", "b"], ["a"])


def test_scores_name_the_tokeniser_and_are_recomputed_by_verification() -> None:
    found = metrics.scores(["the cat"] * 4, REFERENCES, "en")
    assert {found[name].signature for name in Hypotheses.later} == {f"tok:13a|version:{sacrebleu.__version__}"}
    assert set(found) == set(Hypotheses.recomputed)
