"""The parts of the fast beam search, each against the obvious way to do the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from headprune.models.beam.candidates import GROUP, Candidates, best, continued, forbid
from headprune.models.beam.memory import TargetMemory

Build = Callable[..., Any]


@given(
    seed=st.integers(0, 10_000),
    sentences=st.integers(1, 4),
    rows=st.integers(1, 5),
    groups=st.integers(1, 4),
    number=st.integers(1, 10),
    forbidden=st.booleans(),
)
def test_the_best_candidates(seed: int, sentences: int, rows: int, groups: int, number: int, forbidden: bool) -> None:
    """They are those that sorting all words of all hypotheses finds."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(sentences, rows, groups * GROUP, generator=generator, dtype=torch.float64)
    totals = torch.randn(sentences, rows, generator=generator, dtype=torch.float64)
    if forbidden:
        scores[torch.rand(scores.shape, generator=generator) < 0.3] = float("-inf")
    found = best(scores, totals, number)
    values, places = (scores + totals.unsqueeze(-1)).flatten(1).sort(descending=True)
    torch.testing.assert_close(found.scores, values[:, :number], rtol=0, atol=0)
    torch.testing.assert_close(found.parents * groups * GROUP + found.words, places[:, :number])


def test_what_is_no_number_is_the_first_candidate() -> None:
    """A search notices it there."""
    scores = torch.randn(2, 3, 2 * GROUP)
    scores[1, 2] = float("nan")
    found = best(scores, torch.zeros(2, 3), 4).scores[:, 0]
    assert found.isnan().tolist() == [False, True]


def test_what_may_not_follow() -> None:
    """There are six words; padding is 1 and the end 2."""
    never = float("-inf")
    for too_short, last, expected in (
        (False, False, [0, never, 0, 0, 0, 0]),
        (True, False, [0, never, never, 0, 0, 0]),
        (False, True, [never, never, 0, never, never, never]),
    ):
        scores = torch.zeros(2, 3, 6)
        forbid(scores, 1, 2, too_short, last)
        torch.testing.assert_close(scores, torch.tensor(expected).expand(2, 3, 6))


def test_what_ends_does_not_go_on() -> None:
    candidates = Candidates(*(torch.arange(6).repeat(2, 1) + offset for offset in (0, 10, 20)))
    ends = torch.tensor([[0, 1, 0, 0, 0, 0], [1, 0, 1, 1, 0, 0]], dtype=torch.bool)
    found = continued(candidates, ends, 3)
    assert found.scores.tolist() == [[0, 2, 3], [1, 4, 5]]
    assert found.words.tolist() == [[10, 12, 13], [11, 14, 15]]
    assert found.parents.tolist() == [[20, 22, 23], [21, 24, 25]]
    assert continued(candidates, None, 3).words.tolist() == [[10, 11, 12]] * 2


@given(seed=st.integers(0, 1000), steps=st.integers(1, 40), rows=st.integers(1, 5), alike=st.booleans())
def test_hypotheses_see_the_tokens_that_they_are_made_of(seed: int, steps: int, rows: int, alike: bool) -> None:
    """Against lists of tokens; sentences leave on the way."""
    generator = torch.Generator().manual_seed(seed)
    target = TargetMemory.empty(3, [1], torch.zeros(()))
    target.room = 4  # of the slots that there are, so that it is full soon
    tokens = torch.arange(3.0).view(3, 1)
    target.pairs(0, tokens.view(-1, 1).repeat(1, 2))
    seen = [[[float(token)]] for token in tokens]
    for step in range(steps):
        parents = torch.randint(1 if alike else len(seen[0]), (len(seen), rows), generator=generator)
        if step == 10:
            target.close(torch.tensor([0]), torch.tensor([2]), 2)
            seen, parents = [seen[2], seen[1]], parents[:2]
        target.descend(parents)
        new = torch.rand(len(seen) * rows, 1, generator=generator)
        pairs = target.pairs(0, new.repeat(1, 2))
        own = new.view(len(seen), rows).tolist()
        seen = [[seen[s][p] + [own[s][r]] for r, p in enumerate(parents[s].tolist())] for s in range(len(seen))]
        assert [[sorted(visible(pairs[s], row)) for row in target.mask[s]] for s in range(len(seen))] == [
            [sorted(row) for row in sentence] for sentence in seen
        ]
    if alike:
        assert target.mask.shape[-1] <= 4 + steps + 9 * rows + 64


def visible(pairs: Tensor, mask: Tensor) -> list[float]:
    """The keys of the slots that a hypothesis sees; values are the same."""
    chosen = pairs[mask == 0]
    assert torch.equal(chosen[:, 0], chosen[:, 1])
    return chosen[:, 0].tolist()


@pytest.mark.parametrize("beam", [1, 5, 100])
def test_memory_has_room_for_wide_beams(beam: int) -> None:
    target = TargetMemory.empty(2, [3, 0], torch.zeros((), dtype=torch.float64))
    target.pairs(0, torch.zeros(2, 6, dtype=torch.float64))
    for _ in range(12):
        target.descend(torch.arange(beam).expand(2, beam) % target.mask.shape[1])
        target.pairs(0, torch.zeros(2 * beam, 6, dtype=torch.float64))
        assert target.mask.shape[-1] <= target.layers[0].shape[1]
    assert target.mask.shape[1] == beam
