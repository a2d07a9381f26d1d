"""The papers' figures beside ours: docs/papers.md is what papers.yaml says, and all that this names exists."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from headprune.analysis.drawings import find
from headprune.analysis.tables import label_of, read
from headprune.config import load
from headprune.pipeline.plan import Plan

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "paper_figures"
PUBLISHED = ROOT / "results/published"
ITEMS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "papers.yaml").read_text(encoding="utf-8"))
KEYS = {"paper", "item", "shows", "script", "profile", "arms", "run", "same", "differs"}
FOUR = ["Michel et al. 2019", "Voita et al. 2019", "Li et al. 2021", "Shim et al. 2021"]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    specification = importlib.util.spec_from_file_location("papers_page", ROOT / "tools" / "papers_page.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def labels() -> dict[str, set[str]]:
    """Labels of the lines that a profile draws, by profile: draws are pooled."""
    names = {item["profile"] for item in ITEMS if "profile" in item}
    plans = {name: Plan(load(ROOT / "workflows" / "config" / f"{name}.yaml")) for name in names}
    return {
        name: {label for model in plan.config.models for label in plan.grid.labels_for(model)}
        for name, plan in plans.items()
    }


def test_the_page_is_what_the_file_says(tool: ModuleType) -> None:
    wanted = "python tools/papers_page.py > docs/papers.md"
    assert (ROOT / "docs" / "papers.md").read_text(encoding="utf-8") == tool.page(), f"write it again: {wanted}"


def test_all_four_papers_are_there_and_that_of_the_claims_on_inference() -> None:
    assert list(dict.fromkeys(item["paper"] for item in ITEMS)) == [*FOUR, "HIES"]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: f"{item['paper']}, {item['item']}")
def test_what_an_entry_names_exists(item: dict[str, Any], labels: dict[str, set[str]]) -> None:
    assert set(item) <= KEYS
    assert item["shows"].endswith(".")
    assert item["differs"].endswith(".")
    if "script" not in item:
        assert "profile" not in item and "run" not in item
        return
    assert item["script"] in {script.path.name for script in find(FOLDER).values()}
    assert set(item.get("arms", [])) <= labels[item["profile"]] if "profile" in item else "arms" not in item


@pytest.mark.parametrize("item", [item for item in ITEMS if "run" in item], ids=lambda item: item["item"])
def test_what_was_run_has_the_lines_that_are_compared(item: dict[str, Any]) -> None:
    for name in item["run"]:
        assert (PUBLISHED / name / "results.md").is_file()
        assert (
            set(item.get("arms", [])) & {label_of(line) for line in read(PUBLISHED / name).lines()}
            or "arms" not in item
        )


def test_its_commands_are_ones_that_run(tool: ModuleType) -> None:
    """Targets of the workflow, profiles and scripts that are there."""
    scripts = {script.path.name: script for script in find(FOLDER).values()}
    for item in ITEMS:
        if "profile" not in item:
            continue
        run, *draw = tool.commands(item, scripts)
        _, target, *_, profile = run.split(" ")
        assert target in ("figures", "tables", "claims")
        assert (ROOT / profile).is_file()
        assert all((ROOT / line.split(" ")[1]).is_file() for line in draw)
