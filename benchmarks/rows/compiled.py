"""A training step whose layers torch compiles, beside the same without: tried, and not taken.

Compiling takes minutes, so that this row is measured only where it is named.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import synthetic
import torch

from headprune.models import lean
from rows.base import Line, Settings, lines, take_turns
from rows.step import KINDS, steps

LAYERS = ("encoder_layer", "decoder_layer")
COMPARED = ("ungated", "dsp, pipelined")
WARMUP = 5  # rounds; a shape that is new, such as a batch without padding, is compiled when it is met


def measure(settings: Settings) -> list[Line]:
    words = synthetic.dictionary()
    batches = synthetic.batches(words, 40, settings.seed)
    compiled = {name: torch.compile(getattr(lean, name), dynamic=True) for name in LAYERS}
    found = []
    for kind in COMPARED:
        calls = {kind: steps(KINDS[kind], words, batches, settings.seed)}
        calls[f"{kind}, layers compiled"] = by_way_of(compiled, steps(KINDS[kind], words, batches, settings.seed))
        found += lines("compiled", take_turns(calls, settings.rounds, warmup=WARMUP), kind)
    return found


def by_way_of(layers: dict[str, Any], step: Callable[[], Any]) -> Callable[[], Any]:
    """A step that computes its layers with these functions."""

    def run() -> Any:
        with mock.patch.multiple(lean, **layers):
            return step()

    return run
