"""Batches of fairseq's datasets whose examples are read each on its own: all of a split, a sample, typical ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import headprune.models.compat  # noqa: F401

import numpy as np
import torch
from fairseq.data import data_utils

from headprune.settings import Speed

Batch = dict[str, Any]
UNBOUNDED = 10**9  # tokens of a batch


def collated(
    dataset: Any, split: str, order: np.ndarray, lengths: np.ndarray, max_tokens: int, one: str
) -> list[Batch]:
    """Examples of a split in batches, each once.

    :param order: their numbers, in the order in which batches are filled (examples,)
    :param lengths: their tokens, in that order
    :param max_tokens: of a batch, padding included
    :param one: what an example is called, with its article: `a sentence`
    :raises ValueError: an example alone exceeds `max_tokens`, or is lost.
    """
    longest = lengths.max(initial=0)
    if longest > max_tokens:
        raise ValueError(f"split {split}: {one} of {longest} tokens exceeds max_tokens = {max_tokens}")
    groups = data_utils.batch_by_size(order, dataset.num_tokens, max_tokens=max_tokens)
    batches: list[Batch] = [dataset.collater([dataset[int(number)] for number in group]) for group in groups]
    found = sorted(int(number) for batch in batches for number in batch["id"])
    if found != sorted(map(int, order)):
        raise ValueError(f"split {split}: batches hold {len(found)} of {len(order)} {one.split()[1]}s")
    return batches


def by_length(numbers: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Examples and their lengths, the short ones first; equally long ones stay in their order."""
    order = np.argsort(lengths, kind="stable")
    return numbers[order], lengths[order]


def drawn(total: int, count: int, seed: int, fit: np.ndarray | None = None) -> list[int]:
    """The numbers of a random sample without repetition, in rising order.

    :param count: at most so many
    :param fit: which examples can be in it (total,); None: all
    """
    order = torch.randperm(total, generator=torch.Generator().manual_seed(seed))
    if fit is not None:
        order = order[torch.as_tensor(fit)[order]]
    return sorted(order[:count].tolist())


def typical(
    read: Callable[[Sequence[int]], list[Batch]], lengths: np.ndarray, settings: Speed
) -> tuple[list[Batch], Batch]:
    """Examples of median length: single ones for latency, and one batch for throughput.

    :param read: gives the batches of these examples; a single one however long they are
    :param lengths: of all examples
    """
    order = np.argsort(lengths, kind="stable").tolist()
    middle = len(order) // 2
    singles = [read([number])[0] for number in order[middle : middle + settings.sentences]]
    (batch,) = read(sorted(order[max(0, middle - settings.batch_size // 2) :][: settings.batch_size]))
    return singles, batch
