"""A task that is nowhere in the library goes the whole way: plan, training, pruning, tests, tables, figures, report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PROFILE: dict[str, Any] = {
    "profile": "toy",
    "seeds": [1, 2],
    "budgets": [8, 4],  # of 12 heads
    "datasets": {"strings": {"track": "reverse", "strings": 300, "length": 4}},
    "models": {
        "reverser": {
            "track": "reverse",
            "dataset": "strings",
            "architecture": {"width": 16, "heads": 4},
            "training": {"updates": 60, "learning_rate": 0.02, "warmup": 5, "schedule": "linear"},
        }
    },
    "methods": [
        {"name": "unpruned"},
        {"name": "random"},
        {"name": "gradient_importance"},
        {"name": "dsp", "updates": 10, "budgets": [4], "options": {"cooldown": 0.5}},
    ],
    "treatments": [{"name": "fine_tune", "of": ["random"], "updates": 10}],
    "ablations": [{"kind": "drop_one", "seeds": [1], "samples": 100}],
    "calibration": {"sentences": 40},
    "speed": {"sentences": 1, "batch_size": 10, "repeats": 1, "most_repeats": 1},
}
ENTRY = "[headprune.tasks]\nreverse = toy_task:REVERSING\n"


def install(folder: Path) -> dict[str, str]:
    """Registers the task as an installed package would, in a folder; the environment in which it is found."""
    told = folder / "toy_task-1.0.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-task\nVersion: 1.0\n", encoding="utf-8")
    (told / "entry_points.txt").write_text(ENTRY, encoding="utf-8")
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), str(folder)])
    commands = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    known = {name: value for name, value in os.environ.items() if name != "HEADPRUNE_WARM"}  # has another PYTHONPATH
    return known | {"PYTHONPATH": path, "PATH": commands, "COLUMNS": "200"}


class Toy:
    """A folder in which the profile lies and runs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.environment = folder, install(folder / "installed")
        self.results = folder / "results" / "toy"
        (folder / "toy.yaml").write_text(yaml.safe_dump(PROFILE), encoding="utf-8")

    def call(self, module: str, *words: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", module, *words]
        known = environment or self.environment
        return subprocess.run(command, cwd=self.folder, env=known, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """After the whole run."""
    toy = Toy(tmp_path_factory.mktemp("toy"))
    words = ("--snakefile", str(ROOT / "Snakefile"), "--configfile", "toy.yaml", "--cores", "2")
    done = toy.call("snakemake", *words, "tables", "figures", "report")
    logs = "\n".join(path.read_text(encoding="utf-8")[-2000:] for path in toy.results.glob("logs/**/*.log"))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:] + logs[-6000:]
    return toy


def test_the_plan_knows_it(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    done = toy.call("headprune", "plan", "toy.yaml")
    assert done.returncode == 0, done.stderr
    assert "reverser" in done.stdout and "reverse" in done.stdout
    wrong = toy.call("headprune", "plan", "toy.yaml", environment={**toy.environment, "PYTHONPATH": str(ROOT)})
    assert wrong.returncode != 0
    assert "unknown track 'reverse'" in wrong.stderr and "available: lm, lm_blocks, mt" in wrong.stderr


def test_a_task_that_cannot_be_registered_is_named(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    told = tmp_path / "installed" / "toy_task-1.0.dist-info" / "entry_points.txt"
    told.write_text(ENTRY.replace("REVERSING", "REVERSED"), encoding="utf-8")
    done = toy.call("headprune", "plan", "toy.yaml")
    assert done.returncode != 0
    assert "the task 'reverse' of toy_task:REVERSED cannot be used" in done.stderr


def test_every_cell_has_its_measurements(toy: Toy) -> None:
    cells = pd.read_parquet(toy.results / "cells.parquet")
    assert set(cells["status"]) == {"ok"}
    assert set(cells["track"]) == {"reverse"}
    quality = cells[(cells["split"] == "test") & (cells["metric"] == "right_symbols")]
    assert len(quality) == 2 * (1 + 2 + 2 + 1 + 2)  # unpruned, random, gradient_importance, dsp, random+ft
    assert set(quality["unit"]) == {"share of symbols"}
    assert quality["value"].between(0, 1).all()
    unpruned = quality[quality["method"] == "unpruned"]["value"]
    assert (unpruned > 1 / 6).all()  # better than guessing one of six symbols
    assert (cells[cells["metric"] == "masked_vs_removed_max_abs"]["value"] < 1e-5).all()
    assert {"latency_ms", "throughput", "macs_per_token", "perplexity"} <= set(cells["metric"])
    ablations = pd.read_csv(toy.results / "ablations.csv")
    assert set(ablations["metric"]) == {"right_symbols"} and len(ablations) == 12


def test_the_code_of_the_task_is_in_the_signatures(toy: Toy) -> None:
    manifest = json.loads((toy.results / "manifest.json").read_text(encoding="utf-8"))
    untreated = [identity for identity in manifest["signatures"].values() if "base" not in identity]
    assert {len(identity["task"]) for identity in untreated} == {64}


def test_tables_and_figures_show_it(toy: Toy) -> None:
    table = (toy.results / "tables" / "results.md").read_text(encoding="utf-8")
    assert "gradient" in table
    caption = (toy.results / "figures" / "quality_vs_heads.txt").read_text(encoding="utf-8")
    assert (toy.results / "figures" / "quality_vs_heads.png").stat().st_size > 0, caption
    compared = pd.read_csv(toy.results / "tables" / "comparisons.csv")
    assert compared["p_outputs"].notna().any()
    assert set(compared.loc[compared["p_outputs"].notna(), "outputs_test"]) == {"approximate randomisation"}


def test_the_report_shows_answers(toy: Toy) -> None:
    page = (toy.results / "report.html").read_text(encoding="utf-8")
    assert '"layout":"labels"' in page.replace(" ", "")
    assert "ms per string" in page


def test_scores_are_verified(toy: Toy, tmp_path: Path) -> None:
    done = toy.call("headprune", "verify", str(toy.results))
    assert done.returncode == 0, done.stdout + done.stderr
    merged = toy.call("headprune", "merge", str(tmp_path / "toy"), str(toy.results))
    assert merged.returncode == 0, merged.stdout + merged.stderr
    packed = toy.call("headprune", "verify", str(tmp_path / "toy"))
    assert packed.returncode == 0, packed.stdout + packed.stderr
    assert "were not recomputed" not in packed.stdout
