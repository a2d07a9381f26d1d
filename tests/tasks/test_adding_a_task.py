"""The page on tasks: its excerpts are of the toy task, what it names exists, and no part of a task is left out."""

from __future__ import annotations

import inspect
import pkgutil
import re
import tomllib
from pathlib import Path

import pytest

from headprune import tasks
from headprune.tasks.base import Task
from headprune.tasks.outputs import Outputs
from headprune.tasks.work import Work

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "adding-a-task.md").read_text(encoding="utf-8")
FILES = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests" / "toy_task").glob("*.py"))]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("excerpt", blocks("python"))
def test_excerpts_are_those_of_the_toy_task(excerpt: str) -> None:
    assert any(excerpt.rstrip() in text for text in FILES)


def test_the_entry_point_is_of_the_group() -> None:
    (table,) = blocks("toml")
    assert tomllib.loads(table) == {"project": {"entry-points": {tasks.GROUP: {"reverse": "toy_task:REVERSING"}}}}
    assert any(text.rstrip().endswith("REVERSING = Reversing()") for text in FILES)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(headprune(?:\.\w+)+)`", PAGE))))
def test_names_exist(name: str) -> None:
    assert pkgutil.resolve_name(name)


@pytest.mark.parametrize("kind", [Task, Work, Outputs])
def test_no_part_of_a_task_is_left_out(kind: type) -> None:
    named = {name for row in re.findall(r"^\| (`.+?) \|", PAGE, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    functions = {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")}
    own = (functions | set(kind.__annotations__)) - {"units", "provenance"}  # which tasks have without saying so
    assert own <= named, own - named
