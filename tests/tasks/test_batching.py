"""The choice of examples, against loops over them; and what is lost in a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from headprune.evaluation.scores import Paired, against_first
from headprune.settings import Speed
from headprune.statistics.mcnemar import mcnemar
from headprune.tasks.batching import by_length, collated, drawn, typical

LENGTHS = np.array([5, 3, 9, 3, 4, 4, 4, 8, 2, 4])


class Numbers:
    """A dataset of fairseq's kind; of a batch with the number `lost`, that example goes."""

    def __init__(self, lost: int = -1) -> None:
        self.lost = lost

    def num_tokens(self, number: int) -> int:
        return int(LENGTHS[number])

    def __getitem__(self, number: int) -> int:
        return number

    def collater(self, numbers: Sequence[int]) -> dict[str, Any]:
        return {"id": torch.tensor([number for number in numbers if number != self.lost])}


def numbers_of(batches: Sequence[dict[str, Any]]) -> list[list[int]]:
    return [batch["id"].tolist() for batch in batches]


def test_batches_are_filled_in_order_up_to_their_size() -> None:
    """Sizes with padding: the longest example times their number."""
    order = np.arange(len(LENGTHS))
    found = numbers_of(collated(Numbers(), "valid", order, LENGTHS, 12, "an example"))
    expected: list[list[int]] = [[]]
    for number in order.tolist():
        grown = [*expected[-1], number]
        if max(LENGTHS[grown]) * len(grown) > 12:
            expected.append([number])
        else:
            expected[-1] = grown
    assert found == expected
    short = numbers_of(collated(Numbers(), "valid", *by_length(order, LENGTHS), 12, "an example"))
    assert [number for batch in short for number in batch] == sorted(
        order.tolist(), key=lambda number: (LENGTHS[number], number)
    )


def test_an_example_that_is_too_long_or_lost_is_an_error() -> None:
    order = np.array([7, 0, 1])
    with pytest.raises(ValueError, match="split valid: a sentence of 8 tokens exceeds max_tokens = 7"):
        collated(Numbers(), "valid", order, LENGTHS[order], 7, "a sentence")
    with pytest.raises(ValueError, match="split valid: batches hold 2 of 3 blocks"):
        collated(Numbers(lost=0), "valid", order, LENGTHS[order], 20, "a block")


@pytest.mark.parametrize("count", [0, 3, 10, 50])
def test_samples_are_the_first_of_a_random_order_that_fit(count: int) -> None:
    order = torch.randperm(10, generator=torch.Generator().manual_seed(4)).tolist()
    assert drawn(10, count, 4) == sorted(order[:count])
    fitting = [number for number in order if LENGTHS[number] <= 4]
    assert drawn(10, count, 4, LENGTHS <= 4) == sorted(fitting[:count])


@pytest.mark.parametrize(("singles", "together"), [(1, 1), (3, 4), (8, 20)])
def test_typical_examples_stand_in_the_middle_of_all_by_length(singles: int, together: int) -> None:
    def read(numbers: Sequence[int]) -> list[dict[str, Any]]:
        return [{"id": torch.tensor(numbers)}]

    order = sorted(range(10), key=lambda number: (LENGTHS[number], number))
    ones, many = typical(read, LENGTHS, Speed(sentences=singles, batch_size=together))
    assert numbers_of(ones) == [[number] for number in order[5 : 5 + singles]]
    assert many["id"].tolist() == sorted(order[max(0, 5 - together // 2) :][:together])


def test_systems_are_scored_and_tested_against_the_first() -> None:
    base, other = np.array([1, 1, 1, 1, 0, 0]), np.array([0, 0, 0, 1, 0, 0])
    found = against_first({"whole": base, "half": other, "again": base}, lambda right: float(right.mean()), mcnemar)
    assert found == {
        "whole": Paired(4 / 6, None),
        "half": Paired(1 / 6, 2 * 0.5**3, 3),  # 3 examples differ, all in one direction: two of the 2³ swaps
        "again": Paired(4 / 6, 1.0, 0),
    }
