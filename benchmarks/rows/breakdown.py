"""The parts that take the time of a training step: torch's profiler over steps of stock fairseq and of this library."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import synthetic
from interleaved import Quartiles
from torch.profiler import ProfilerActivity, profile

from rows.base import Line, Settings
from rows.step import KINDS, steps

PROFILED = ("stock", "ungated", "dsp, pipelined")
PARTS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::addmm_"),
    "attention": ("attention_for_cpu", "_Attention", "aten::bmm", "aten::baddbmm", "aten::_softmax"),
    "loss": ("log_softmax", "CrossEntropy", "aten::gather", "aten::scatter", "aten::logsumexp"),
    "layer norms": ("native_layer_norm",),
    "optimiser": ("Optimizer.step", "adam", "addcdiv", "addcmul", "aten::sqrt", "foreach", "vector_norm"),
    "copies and fills": ("aten::copy_", "aten::fill_", "aten::cat", "aten::index", "embedding"),
    "element-wise": ("aten::add", "aten::mul", "aten::sum", "aten::clamp", "threshold", "relu", "aten::div"),
}


def part_of(operation: str, parts: Mapping[str, Sequence[str]] = PARTS) -> str:
    """The part of the step that an operation of torch belongs to; Python and autograd's own work are `rest`."""
    for part, names in parts.items():
        if any(operation == name or (not name.startswith("aten::mm") and name in operation) for name in names):
            return part
    return "rest: Python, autograd, views"


def shares(
    step: Callable[[], Any], number: int, names: Mapping[str, Sequence[str]] = PARTS
) -> tuple[float, dict[str, float]]:
    """Seconds a step under the profiler, and the share of every part of it."""
    for _ in range(3):
        step()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(number):
            step()
    parts: dict[str, float] = {}
    for event in profiler.key_averages():
        part = part_of(event.key, names)
        parts[part] = parts.get(part, 0.0) + event.self_cpu_time_total
    total = sum(parts.values())
    return total / number / 1e6, {part: spent / total for part, spent in sorted(parts.items(), key=lambda x: -x[1])}


def measure(settings: Settings) -> list[Line]:
    words = synthetic.dictionary()
    batches = synthetic.batches(words, 40, settings.seed)
    found = []
    for kind in PROFILED:
        seconds, parts = shares(steps(KINDS[kind], words, batches, settings.seed), settings.rounds)
        told = ", ".join(f"{part} {share:.0%}" for part, share in parts.items())
        once = Quartiles.of([seconds])
        found.append(Line("breakdown", f"{kind}, under the profiler", once, once, note=told))
    return found
