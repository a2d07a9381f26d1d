"""Lengths of examples, by which multiply-accumulates are counted."""

from __future__ import annotations

from typing import Any

from headprune.heads import attention_points
from headprune.importance import padding_index, query_positions
from headprune.method import Batches


def mean_lengths(model: Any, batches: Batches) -> tuple[int, int]:
    """Mean lengths of the sources and the targets of examples, padding left out, rounded.

    :returns: source, 0 for a model without an encoder, and target, 1 for labels of whole examples
    """
    examples = sum(len(batch["target"]) for batch in batches)
    encoder = next((point for point in attention_points(model) if point.type == "encoder"), None)
    source = sum(int(query_positions(model, batch, encoder).sum()) for batch in batches) if encoder else 0
    target = sum(int(batch["target"].ne(padding_index(model)).sum()) for batch in batches)
    return round(source / examples), round(target / examples)
