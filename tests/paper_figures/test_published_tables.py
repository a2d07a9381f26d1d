"""Tables that are committed beside published results are those that the present scripts make of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from figure_runs import SCRIPTS

PUBLISHED = SCRIPTS.parent / "results" / "published"
TABLES = [
    *(("claims", path.parent.name) for path in sorted(PUBLISHED.glob("*/claims.md"))),
    ("stabilisers", "small_lm"),
    ("ablations", "small"),
]


@pytest.mark.parametrize(("name", "folder"), TABLES)
def test_committed_tables_are_those_of_the_rows(
    script: Callable[[str], ModuleType], tmp_path: Path, name: str, folder: str
) -> None:
    assert script(name).main([str(PUBLISHED / folder), str(tmp_path)]) == 0
    (made,) = tmp_path.rglob(f"{name}.md")
    assert made.read_text(encoding="utf-8") == (PUBLISHED / folder / f"{name}.md").read_text(encoding="utf-8")


def test_the_verdicts_of_every_part_are_committed() -> None:
    assert {folder for name, folder in TABLES if name == "claims"} >= {
        path.name for path in PUBLISHED.glob("small*") if path.is_dir()
    }
