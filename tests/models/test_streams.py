"""Streams cut into rows and segments, against slices of the plain list of tokens."""

from __future__ import annotations

from typing import Any

import headprune.models.compat  # noqa: F401

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headprune.models.streams import Segments, TokenStream, windows

END, PAD = 2, 1


class Lines(list):
    """A stand-in for fairseq's indexed data set."""

    @property
    def sizes(self) -> np.ndarray:
        return np.array([len(line) for line in self])


def stream(total: int, training: bool = True) -> TokenStream:
    """Tokens 10, 11, 12, … in lines of 1 to 3."""
    tokens = torch.arange(10, 10 + total)
    lines, begin = Lines(), 0
    while begin < total:
        lines.append(tokens[begin : begin + 1 + begin % 3])
        begin += 1 + begin % 3
    return TokenStream(lines, END, PAD, training)


def concatenated(segments: Segments) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets of every row (rows, columns)."""
    items = [segments[index] for index in range(len(segments))]
    inputs = torch.cat([item["net_input"]["src_tokens"] for item in items], 1)
    return inputs, torch.cat([item["target"] for item in items], 1)


@given(st.integers(1, 200), st.integers(1, 9), st.integers(1, 20), st.integers(1, 3))
def test_targets_are_the_row_shifted_by_one_without_padding(total: int, rows: int, length: int, shards: int) -> None:
    if total < rows * shards:
        return
    columns, found = total // (rows * shards), []
    for shard in range(shards):
        segments = Segments(stream(total), rows, length, shard, shards)
        inputs, targets = concatenated(segments)
        assert targets.shape == (rows, columns)
        assert torch.equal(inputs[:, 1:], targets[:, :-1])
        assert len(segments) == -(-columns // length)
        assert all(segments[i]["target"].shape[1] == length for i in range(len(segments) - 1))
        assert [segments[i]["net_input"]["start"] for i in range(len(segments))] == [True] + [False] * (
            len(segments) - 1
        )
        assert segments.dropped == total - columns * rows * shards
        found += targets.flatten().tolist()
        before = [END, *range(10, 10 + total)]
        assert inputs[:, 0].tolist() == [before[(shard * rows + row) * columns] for row in range(rows)]
    assert found == list(range(10, 10 + columns * rows * shards))  # the shards partition the corpus, in its order


@given(st.integers(1, 200), st.integers(1, 9), st.integers(1, 20), st.integers(1, 3))
def test_evaluation_scores_every_token_once(total: int, rows: int, length: int, shards: int) -> None:
    if total < rows * shards:
        return
    parts = [Segments(stream(total), rows, length, shard, shards, drop_remainder=False) for shard in range(shards)]
    assert len({len(part) for part in parts}) == 1  # or workers would wait for one another
    found = []
    for part in parts:
        inputs, targets = concatenated(part)
        assert sum(part[i]["ntokens"] for i in range(len(part))) == int(targets.ne(PAD).sum())
        assert targets[:, :-1].ne(PAD).all()  # padding in the last column only
        assert torch.equal(inputs.eq(PAD), targets.eq(PAD))
        found += targets[targets.ne(PAD)].tolist()
        positions = torch.cat([part.positions(i) for i in range(len(part))], 1)
        assert torch.equal(positions[positions >= 0] + 10, targets[targets.ne(PAD)])
    assert found == list(range(10, 10 + total))


def test_rows_are_rolled_by_cumulative_offsets_of_their_own() -> None:
    rolled, still = (Segments(stream(1_000), 4, 7, roll_seed=seed) for seed in (3, None))
    rows = concatenated(still)[1]
    draws = torch.randint(250, (3, 4), generator=torch.Generator().manual_seed(3))
    offsets = torch.zeros(4, dtype=torch.long)
    seen = []
    for epoch in (1, 2, 3):
        offsets += draws[epoch - 1]
        rolled.set_epoch(epoch)
        inputs, targets = concatenated(rolled)
        for row in range(4):
            assert torch.equal(targets[row], rows[row].roll(-int(offsets[row])))
        assert torch.equal(targets - 1, torch.where(inputs.eq(END), 9, inputs))  # true predecessors, at the joint too
        seen.append(targets)
    assert not torch.equal(seen[0], seen[1])
    assert len({int(row[0] - row.min()) for row in seen[0]}) > 1
    rolled.set_epoch(2)
    assert torch.equal(concatenated(rolled)[1], seen[1])
    still.set_epoch(9)
    assert torch.equal(concatenated(still)[1], rows)


def test_workers_roll_their_own_rows() -> None:
    whole = Segments(stream(1_000), 4, 7, roll_seed=3)
    parts = [Segments(stream(1_000), 2, 7, shard, 2, roll_seed=3) for shard in (0, 1)]
    for segments in (whole, *parts):
        segments.set_epoch(5)
    assert torch.equal(concatenated(whole)[1], torch.cat([concatenated(part)[1] for part in parts]))


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"rows": 0, "length": 3}, "at least 1"),
        ({"rows": 2, "length": 0}, "at least 1"),
        ({"rows": 2, "length": 3, "shard": 2, "shards": 2}, "worker 2 of 2"),
        ({"rows": 11, "length": 3}, "10 tokens do not fill 11 rows"),
        ({"rows": 3, "length": 3, "drop_remainder": False, "roll_seed": 1}, "unequal length"),
    ],
)
def test_impossible_rows_are_refused(arguments: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        Segments(stream(10), **arguments)


def test_a_segment_past_the_end_is_an_index_error() -> None:
    with pytest.raises(IndexError):
        Segments(stream(10), 2, 3)[2]
    assert len(list(Segments(stream(10), 2, 3))) == 2


def test_windows_are_anywhere() -> None:
    batch = windows(stream(30), torch.tensor([[0, 1], [7, 8]]), start=True)
    assert batch["net_input"]["src_tokens"].tolist() == [[END, 10], [16, 17]]
    assert batch["target"].tolist() == [[10, 11], [17, 18]]
    assert (batch["ntokens"], batch["nsentences"], batch["net_input"]["start"]) == (4, 2, True)
