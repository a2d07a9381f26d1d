"""The cost of the workflow itself in a grid of thousands of cells.

    python benchmarks/scale.py planning   # `snakemake -n`, before the run and after it
    python benchmarks/scale.py overhead   # a real run whose cells only write rows: seconds per cell
    python benchmarks/scale.py tables     # collection, tables and figures of a run of that size

Every command prints one JSON line per measurement, with the limit it must stay under and whether it did; the exit
status is 1 where one did not. `--cells` and `--batch` change the grid.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from simulation import ROOT, describe, grid, simulate, sizes, write_config

from headprune.config import load
from headprune.pipeline.plan import Plan

PLANNING = 60.0  # seconds
OVERHEAD = 1.0  # seconds per cell
TABLES = 300.0  # seconds
MEMORY = 4096.0  # MiB


def planning(folder: Path, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Dry runs of a grid of which nothing, and then all but the tables, has been computed."""
    plan = grid(folder / "results", arguments.cells, arguments.batch)
    config = write_config(plan, folder / "grid.yaml")
    print(describe(plan), file=sys.stderr)
    fresh = snakemake(folder, config, "-n", "--quiet", "all")
    simulate(plan)
    done = snakemake(folder, config, "-n", "--quiet", "all")
    common = {"cells": len(plan.cells), "jobs": len(plan.jobs), "batch": arguments.batch}
    return [
        {"what": "planning, nothing computed", **common, **fresh, "limit_seconds": PLANNING},
        {"what": "planning, all cells computed", **common, **done, "limit_seconds": PLANNING},
    ]


def overhead(folder: Path, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A run of the score methods of many draws; all but preparing the data counts."""
    plan = grid_of_draws(folder / "results", arguments.cells, arguments.batch)
    config, path = write_config(plan, folder / "overhead.yaml"), f"{shim(folder)}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "HEADPRUNE_WARM": ""}  # a process for every job
    data = [f"{plan.folder}/jobs/data/{name}.json" for name in plan.config.datasets]
    snakemake(folder, config, *data, **environment)
    run = snakemake(folder, config, f"{plan.folder}/cells.parquet", "--cores", str(arguments.cores), **environment)
    cells = len(plan.cells)
    run["seconds_per_cell"] = round(run["seconds"] / cells, 4)
    return [{"what": "a run that computes nothing", "cells": cells, **run, "limit_seconds_per_cell": OVERHEAD}]


def grid_of_draws(results: Path, cells: int, batch: str = "method") -> Plan:
    """The `smoke` profile with random masks alone: as many draws of each budget and seed as make `cells` cells."""
    source = yaml.safe_load((ROOT / "workflows/config/smoke.yaml").read_text(encoding="utf-8"))
    seeds, budgets = [1, 2], list(range(12))
    draws = max(2, cells // (len(seeds) * len(budgets)))
    source |= {"profile": "overhead", "results": str(results), "seeds": seeds, "budgets": budgets, "batch": batch}
    return Plan(load(source | {"methods": [{"name": "random", "draws": draws}]}))


def shim(folder: Path) -> Path:
    """A folder, to come first in PATH, whose `headprune` is the row writer."""
    command = folder / "bin" / "headprune"
    command.parent.mkdir()
    writer = Path(__file__).with_name("row_writer.py")
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{writer}" "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return command.parent


def tables(folder: Path, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Collection, tables and figures, as Snakemake runs them, one after the other."""
    plan = grid(folder / "results", arguments.cells, arguments.batch)
    config = write_config(plan, folder / "grid.yaml")
    simulate(plan, arguments.segments)
    print(describe(plan), dict(sizes(plan.folder)), file=sys.stderr)
    common = {"cells": len(plan.cells), "jobs": len(plan.jobs)}
    gathered = snakemake(folder, config, f"{plan.folder}/cells.parquet", "--cores", "1")
    drawn = snakemake(folder, config, "all", "--cores", "1")
    limits = {"limit_mib": MEMORY}
    both = {"seconds": round(gathered["seconds"] + drawn["seconds"], 1), "limit_seconds": TABLES}
    return [
        {"what": "collection", **common, **gathered, **limits},
        {"what": "tables and figures", **common, **drawn, **limits},
        {"what": "both", **common, **both},
    ]


def snakemake(folder: Path, config: Path, *arguments: str, **environment: str) -> dict[str, Any]:
    """Wall time, processor time and the largest memory of a process of one call of Snakemake; it must succeed."""
    command = [sys.executable, "-m", "snakemake", "--configfile", str(config), "--directory", str(folder)]
    command += ["--snakefile", str(ROOT / "Snakefile"), "--workflow-profile", str(ROOT / "profiles/default")]
    command += [] if "--cores" in arguments else ["--cores", "1"]
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    log = folder / "snakemake.log"
    start = time.monotonic()
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [*command, *arguments],
            stdout=output,
            stderr=output,
            env=os.environ | {"PYTHONPATH": python_path} | environment,
        )
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    if status:
        raise SystemExit(f"{' '.join(command)} failed:\n" + log.read_text(encoding="utf-8")[-4000:])
    computing = usage.ru_utime + usage.ru_stime
    return {"seconds": round(seconds, 1), "cpu_seconds": round(computing, 1), "mib": round(usage.ru_maxrss / 1024)}


def within(result: dict[str, Any]) -> bool:
    """True if a measurement is under all of its limits."""
    return all(result[key.removeprefix("limit_")] < limit for key, limit in result.items() if key.startswith("limit_"))


def main() -> None:
    commands = {"planning": planning, "overhead": overhead, "tables": tables}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=commands)
    parser.add_argument("--cells", type=int, default=5_000)
    parser.add_argument("--batch", choices=["seed", "method"], default="method")
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--segments", type=int, default=0, help="hypotheses per cell that `tables` finds on disk")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="headprune-scale-") as name:
        results = commands[arguments.command](Path(name), arguments)
    for result in results:
        print(json.dumps(result | {"within": within(result)}))
    sys.exit(0 if all(map(within, results)) else 1)


if __name__ == "__main__":
    main()
