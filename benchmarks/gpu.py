#!/usr/bin/env python3
"""Training speed on a GPU at the size of IWSLT14: this library in bf16 beside stock fairseq in fp16, and several cells.

    python benchmarks/gpu.py [--steps 60] [--cells 1,2,4] [--size iwslt14] [--output results/gpu]

Every configuration is a process of its own, so that several on one GPU are what several jobs of a grid are. Writes
tokens a second, the GPU's utilisation and peak memory, and the hours that a grid of joint DSP trainings would take, as
.json and .md. `--size tiny --cpu` tries the script where there is no GPU; its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


class Shape(NamedTuple):
    """A Transformer, and the tokens of a batch; the lengths of sentences are those of `synthetic`."""

    layers: int
    width: int
    feed_forward: int
    heads: int
    max_tokens: int


SIZES = {"iwslt14": Shape(6, 512, 1024, 4, 4096), "tiny": Shape(1, 32, 32, 2, 500)}
DSP = ["--gate-method", "dsp", "--gate-total-updates", "40000", "--gate-lr", "0.2"]
KINDS = ("stock, fp16", "ours, bf16", "ours, bf16, DSP joint", "ours, bf16, DSP pipelined")
GRID_UPDATES, BUDGETS, SEEDS = 40_000, 17, 6  # one joint training for every budget of the paper's grid and seed


def arguments(kind: str, shape: Shape, cpu: bool) -> list[str]:
    """Arguments of `fairseq-train` for a kind of training."""
    import synthetic

    argv = synthetic.arguments(*(synthetic.STOCK if kind.startswith("stock") else synthetic.OURS), dropout=0.3)
    for side in ("encoder", "decoder"):
        argv += [f"--{side}-embed-dim", str(shape.width), f"--{side}-ffn-embed-dim", str(shape.feed_forward)]
        argv += [f"--{side}-layers", str(shape.layers), f"--{side}-attention-heads", str(shape.heads)]
    argv += [*DSP, "--gate-budget", str(shape.heads * shape.layers)] if "DSP" in kind else []
    argv += ["--gate-pipelined"] if "pipelined" in kind else []
    if cpu:
        return [*argv, "--cpu"]
    return [*argv, "--fp16"] if kind.startswith("stock") else [*argv, "--bf16", "--fp16-no-flatten-grads"]


def worker(kind: str, size: str, steps: int, cpu: bool) -> dict[str, float]:
    """Trains, the first fifth to warm up, and tells how fast."""
    import synthetic
    import torch

    shape = SIZES[size]
    words = synthetic.dictionary()
    batches = synthetic.batches(words, 40, 1, max_tokens=shape.max_tokens, sentences=8000)
    trainer = synthetic.trainer(arguments(kind, shape, cpu), words, seed=1)
    trainer.cuda_env = None  # else it forgets the peak memory after every update
    wait: Callable[[], None] = torch.cuda.synchronize if torch.cuda.is_available() and not cpu else lambda: None
    tokens, start = 0, 0.0
    for step in range(steps):
        if step == steps // 5:
            wait()
            tokens, start = 0, time.perf_counter()
        batch = batches[step % len(batches)]
        trainer.train_step([batch])
        tokens += batch["ntokens"]
    wait()
    seconds = time.perf_counter() - start
    peak = 0.0 if cpu else torch.cuda.max_memory_allocated() / 2**20
    return {"tokens": tokens, "seconds": seconds, "peak_mib": peak}


def together(kind: str, cells: int, options: argparse.Namespace) -> dict[str, Any]:
    """Several trainings of a kind side by side, with the utilisation of the GPU meanwhile."""
    command = [sys.executable, __file__, "--worker", kind, "--size", options.size, "--steps", str(options.steps)]
    command += ["--cpu"] if options.cpu else []
    watch = (
        None
        if options.cpu
        else subprocess.Popen(
            ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "500"],
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
    )
    with ThreadPoolExecutor(cells) as pool:
        runs = [
            pool.submit(subprocess.run, command, capture_output=True, text=True, encoding="utf-8") for _ in range(cells)
        ]
    found = [json.loads(run.result().stdout.splitlines()[-1]) for run in runs if run.result().returncode == 0]
    shares: list[float] = []
    if watch is not None:
        watch.terminate()
        shares = [float(line) for line in watch.communicate()[0].split()]
    rate = sum(one["tokens"] / one["seconds"] for one in found)
    return {
        "kind": kind,
        "cells": cells,
        "failed": cells - len(found),
        "reason": next((run.result().stderr[-300:] for run in runs if run.result().returncode), ""),
        "tokens_per_second": rate,
        "utilisation": statistics.median(shares) if shares else None,
        "peak_mib": max((one["peak_mib"] for one in found), default=0.0),
    }


def table(results: dict[str, Any]) -> str:
    """The results as Markdown; hours are those of the grid of joint trainings, at the rate of the row."""
    lines = [f"{results['device']}, torch {results['torch']}, size {results['size']}", ""]
    lines += [
        "| training | cells at once | target tokens/s | ÷ stock | GPU busy | peak MiB a cell | failed | grid, hours |"
    ]
    lines += ["|" + " --- |" * 8]
    stock = results["lines"][0]["tokens_per_second"] or float("nan")
    for line in results["lines"]:
        rate = line["tokens_per_second"]
        busy = "" if line["utilisation"] is None else f"{line['utilisation']:.0f} %"
        hours = GRID_UPDATES * BUDGETS * SEEDS * results["tokens_a_step"] / rate / 3600 if rate else float("nan")
        cells = [line["kind"], line["cells"], f"{rate:,.0f}", f"{rate / stock:.2f}", busy, f"{line['peak_mib']:.0f}"]
        told = f"{hours:,.0f}" if "joint" in line["kind"] else ""
        lines.append("| " + " | ".join(map(str, [*cells, line["failed"], told])) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--cells", default="1,2,4", help="numbers of trainings side by side on the GPU")
    parser.add_argument("--size", choices=SIZES, default="iwslt14")
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--output", type=Path, default=Path("results/gpu"), help="without suffix")
    parser.add_argument("--worker", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(worker(options.worker, options.size, options.steps, options.cpu)))
        return
    import synthetic
    import torch

    if not options.cpu and not torch.cuda.is_available():
        parser.error("there is no GPU; --size tiny --cpu tries the script")
    batches = synthetic.batches(synthetic.dictionary(), 40, 1, SIZES[options.size].max_tokens, 8000)
    device = "CPU" if options.cpu else torch.cuda.get_device_name()
    results: dict[str, Any] = {"device": device, "torch": torch.__version__, "size": options.size, "lines": []}
    results["tokens_a_step"] = sum(batch["ntokens"] for batch in batches) / len(batches)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        for cells in map(int, options.cells.split(",")):
            results["lines"].append(together(kind, cells, options))
            options.output.with_suffix(".json").write_text(json.dumps(results, indent=1), encoding="utf-8")
            options.output.with_suffix(".md").write_text(table(results), encoding="utf-8")
    print(table(results))


if __name__ == "__main__":
    main()
