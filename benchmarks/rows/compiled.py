"""A training step whose layers torch compiles, beside the same without: tried, and not taken.

Both compute attention with torch, which does not look into functions of C. Compiling takes minutes, so that this row is
measured only where it is named.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import synthetic
import torch

from headprune.models import lean, native
from rows.base import Line, Settings, lines, take_turns
from rows.step import KINDS, steps

LAYERS = ("encoder_layer", "decoder_layer")
COMPARED = ("ungated", "dsp, pipelined")
WARMUP = 5  # rounds; a shape that is new, such as a batch without padding, is compiled when it is met


def measure(settings: Settings) -> list[Line]:
    words = synthetic.dictionary()
    batches = synthetic.batches(words, 40, settings.seed)
    plain = {name: getattr(lean, name) for name in LAYERS}
    compiled = {name: torch.compile(layer, dynamic=True) for name, layer in plain.items()}
    found = []
    for kind in COMPARED:
        ways = {kind: plain, f"{kind}, layers compiled": compiled}
        calls = {
            name: by_way_of(layers, steps(KINDS[kind], words, batches, settings.seed)) for name, layers in ways.items()
        }
        found += lines("compiled", take_turns(calls, settings.rounds, warmup=WARMUP), kind)
    return found


def by_way_of(layers: dict[str, Any], step: Callable[[], Any]) -> Callable[[], Any]:
    """A step that computes its layers with these functions, and none of attention in C."""

    def run() -> Any:
        with mock.patch.multiple(lean, **layers), mock.patch.object(native.attention, "available", return_value=False):
            return step()

    return run
