#!/usr/bin/env python3
"""The benchmark of the library: every row of docs/performance.md, on made-up data.

    python benchmarks/run.py [--rows sampler,step] [--rounds 30] [--threads 1] [--output results/benchmark]

What a row compares takes turns in every round, forwards and backwards, so that a busy machine slows all alike; ratios
are medians over rounds with quartiles. Writes
`--output` as .json and .md, with the hardware in both. `headprune` tells
the allocator of its jobs to keep large tensors; all that is compared here has that, stock fairseq too, unless
`--allocator default` leaves it as it is.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
ROWS = (
    "sampler",
    "step",
    "apart",
    "dropout",
    "breakdown",
    "evaluation",
    "beam",
    "importance",
    "masked",
    "all_attention",
    "language_model",
    "inference",
    "start",
)
NAMED = ("compiled",)  # measured only where they are asked for


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(ROWS), help=f"of {', '.join(ROWS + NAMED)}; separated by `,`")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--allocator", choices=["headprune", "default"], default="headprune")
    parser.add_argument("--output", type=Path, default=Path("results/benchmark"), help="without suffix")
    arguments = parser.parse_args()
    arguments.rows = arguments.rows.split(",")
    if unknown := set(arguments.rows) - {*ROWS, *NAMED}:
        parser.error(f"unknown rows: {', '.join(sorted(unknown))}; there are {', '.join(ROWS + NAMED)}")
    return arguments


def with_environment(threads: int, allocator: str) -> None:
    """Starts this program again with what is read before it is."""
    from headprune.system.allocator import ALLOCATOR

    wanted: dict[str, str | None] = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    wanted |= {name: value if allocator == "headprune" else None for name, value in ALLOCATOR.items()}
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        kept = {name: value for name, value in os.environ.items() if name not in wanted}
        kept |= {name: value for name, value in wanted.items() if value is not None}
        os.execve(sys.executable, [sys.executable, *sys.argv], kept)


def machine(threads: int) -> dict[str, Any]:
    """The machine that the numbers depend on."""
    from headprune.results.provenance import libraries, processor

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    told = {"processor": processor(), "cores": os.cpu_count(), "threads": threads, "libraries": libraries()}
    return told | {"load": load, "time": time.strftime("%Y-%m-%d %H:%M:%S")}


def milliseconds(quartiles: dict[str, float]) -> str:
    return "{median:.2f} [{low:.2f}, {high:.2f}]".format(**{k: 1000 * v for k, v in quartiles.items()})


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    found = results["machine"]
    name, threads = found["processor"]["name"], found["threads"]
    told = f"{name} ({found['processor']['kernels']}), {found['cores']} cores, threads: {threads}"
    told += f", torch {found['libraries']['torch']}, allocator: {results['settings']['allocator']}"
    lines = [told, ""]
    lines += ["| row | what | ms | ms of processor time | ratio | ratio of processor time | target | note |"]
    lines += ["|" + " --- |" * 8]
    for line in results["lines"]:
        cells = [line["row"], line["what"], *(milliseconds(line[key]) for key in ("seconds", "processor_seconds"))]
        for key in ("ratio", "processor_ratio"):
            cells.append("{median:.3f} [{low:.3f}, {high:.3f}]".format(**line[key]) if line[key] else "")
        cells += ["" if line["target"] is None else f"≤ {line['target']:.2f}", line["note"]]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = parsed()
    with_environment(arguments.threads, arguments.allocator)
    warnings.simplefilter("ignore")
    import torch
    from rows.base import Settings

    torch.set_num_threads(arguments.threads)
    settings = Settings(arguments.rounds, arguments.threads, arguments.seed)
    results: dict[str, Any] = {"machine": machine(arguments.threads), "settings": dict(vars(settings)), "lines": []}
    results["settings"] |= {"allocator": arguments.allocator}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    for row in arguments.rows:
        measured = importlib.import_module(f"rows.{row}").measure(settings)
        results["lines"] += [line.record() for line in measured]
        text = json.dumps(results, indent=1, ensure_ascii=False)
        arguments.output.with_suffix(".json").write_text(text, encoding="utf-8")
        arguments.output.with_suffix(".md").write_text(table(results), encoding="utf-8")
        print(f"{row}: done", file=sys.stderr, flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
