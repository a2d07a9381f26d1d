"""The importance of all heads against a plain forward and backward pass over the same batches."""

from __future__ import annotations

from typing import Any

import synthetic

from headprune.importance import example_losses, head_importance
from rows.base import Line, Settings, lines, take_turns

TARGET = 1.15


def plain(model: Any, batches: list[Any]) -> None:
    """Gradients of all weights."""
    for batch in batches:
        example_losses(model, batch).sum().backward()
    model.zero_grad()


def measure(settings: Settings) -> list[Line]:
    words = synthetic.dictionary()
    model, batches = synthetic.model(words, settings.seed), synthetic.batches(words, 4, settings.seed)
    calls = {
        "forward and backward": lambda: plain(model, batches),
        "importance": lambda: head_importance(model, batches),
    }
    return lines("importance", take_turns(calls, settings.rounds), "forward and backward", {"importance": TARGET})
