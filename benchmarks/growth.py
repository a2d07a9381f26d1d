#!/usr/bin/env python3
"""Time against size: the subset sampler against N and K, steps and evaluation against batch and length, plans against
cells.

    python benchmarks/growth.py [--repeats 15] [--output docs/figures/growth]

Processor time, medians; sizes take turns in every round. The exponent of a panel is the slope of the larger half of
its points on logarithmic axes: 1 is linear. Writes `--output` as .png and .json, and prints a table.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Panel:
    """Something of which the size grows."""

    title: str
    axis: str
    calls: Mapping[int, Callable[[], Any]]  # by size
    bound: float  # of the exponent


def sampler_calls(sizes: Sequence[tuple[int, int]], key: int) -> dict[int, Callable[[], Any]]:
    """The sampler with its gradient, for pairs of N and K; `key` says which of them grows."""
    import torch
    from rows.base import repeated
    from rows.sampler import both_ways

    from headprune.relaxations import gumbel, subset_sample

    generator = torch.Generator().manual_seed(1)
    found = {}
    for total, budget in sizes:
        logits = torch.randn(total, generator=generator, dtype=torch.float64).requires_grad_()
        call = both_ways(subset_sample, logits, budget, gumbel((total,), generator))
        found[(total, budget)[key]] = repeated(call, 10)
    return found


def pairs(words: Any, sentences: int, length: int) -> dict[str, Any]:
    """A batch of sentence pairs of one length."""
    import torch

    tokens = torch.randint(4, len(words), (sentences, length), generator=torch.Generator().manual_seed(length))
    tokens[:, -1] = words.eos()
    inputs = {
        "src_tokens": tokens,
        "src_lengths": torch.full((sentences,), length),
        "prev_output_tokens": tokens.roll(1, 1),
    }
    return {
        "id": torch.arange(sentences),
        "nsentences": sentences,
        "ntokens": sentences * length,
        "net_input": inputs,
        "target": tokens,
    }


def panels() -> list[Panel]:
    import synthetic
    import torch
    from simulation import grid

    words = synthetic.dictionary()
    trainer = synthetic.trainer(synthetic.arguments(*synthetic.OURS), words, 1)
    model = synthetic.model(words, 1)
    steps = {n: pairs(words, n, 20) for n in (8, 16, 32, 64, 128)}
    lengths = {n: pairs(words, 16, n) for n in (16, 32, 64, 128, 256)}

    def train(batch: dict[str, Any]) -> Callable[[], Any]:
        return lambda: trainer.train_step([batch])

    def evaluate(batch: dict[str, Any]) -> Callable[[], Any]:
        def run() -> None:
            with torch.no_grad():
                model(**batch["net_input"])

        return run

    def plan(cells: int) -> Callable[[], Any]:
        def run() -> None:
            with tempfile.TemporaryDirectory() as folder:
                found = grid(Path(folder), cells)
                assert sum(1 for job in found.jobs for _ in found.needs(job))

        return run

    by_n = [(n, n // 2) for n in (36, 72, 144, 288, 576)]
    by_k = [(576, k) for k in (32, 64, 128, 256, 512)]
    return [
        Panel("subset sampler, K = N / 2", "heads N", sampler_calls(by_n, 0), 2.0),
        Panel("subset sampler, N = 576", "heads kept K", sampler_calls(by_k, 1), 1.0),
        Panel("training step, 20 subwords", "sentence pairs", {n: train(b) for n, b in steps.items()}, 1.0),
        Panel("teacher-forced, 16 pairs", "subwords a side", {n: evaluate(b) for n, b in lengths.items()}, 2.0),
        Panel("plan with all its needs", "cells", {n: plan(n) for n in (750, 1500, 3000, 6000)}, 1.0),
    ]


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """The slope of the larger half of the points on logarithmic axes."""
    import numpy as np

    start = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[start:]), np.log(seconds[start:]), 1)[0])


def measured(panel: Panel, repeats: int) -> dict[str, Any]:
    """Sizes, seconds of processor time, and the exponent."""
    from interleaved import Quartiles, take_turns

    times = take_turns({str(size): call for size, call in panel.calls.items()}, repeats, warmup=1)
    seconds = [Quartiles.of(own.processor).median for own in times.values()]
    sizes = list(panel.calls)
    told = {"title": panel.title, "axis": panel.axis, "sizes": sizes, "seconds": seconds, "bound": panel.bound}
    return told | {"exponent": exponent(sizes, seconds)}


def drawn(found: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A panel each, with a line of the exponent that must not be exceeded through the last point."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullFormatter

    plt.style.use(ROOT / "paper_figures" / "style.mplstyle")
    figure, axes = plt.subplots(1, len(found), figsize=(2.2 * len(found), 2.3), layout="constrained")
    for ax, panel in zip(axes, found, strict=True):
        sizes, seconds = panel["sizes"], [1000 * value for value in panel["seconds"]]
        ax.loglog(sizes, seconds, marker="o", markersize=3.5, label="measured")
        line = [seconds[-1] * (size / sizes[-1]) ** panel["bound"] for size in sizes]
        ax.loglog(sizes, line, color="0.6", linestyle="--", linewidth=1, label="bound")
        ax.set_title(f"{panel['title']}\nexponent {panel['exponent']:.2f}, bound {panel['bound']:g}", fontsize=7)
        ax.set_xlabel(panel["axis"])
        ax.set_xticks(sizes, map(str, sizes), fontsize=6)
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.minorticks_off()
    axes[0].set_ylabel("processor time, ms")
    axes[0].legend(fontsize=6, frameon=False)
    figure.savefig(path, dpi=200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "figures" / "growth", help="without suffix")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    import headprune.models.compat  # noqa: F401

    import torch

    torch.set_num_threads(1)
    found = [measured(panel, arguments.repeats) for panel in panels()]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    drawn(found, arguments.output.with_suffix(".png"))
    for panel in found:
        times = ", ".join(f"{n}: {1000 * s:.2f} ms" for n, s in zip(panel["sizes"], panel["seconds"], strict=True))
        print(f"{panel['title']}: exponent {panel['exponent']:.2f} (bound {panel['bound']:g}); {times}")


if __name__ == "__main__":
    main()
