"""Files and functions of the library stay small enough to be read at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = {path.relative_to(ROOT).as_posix(): path for path in sorted((ROOT / "headprune").rglob("*.py"))}
LONGEST_FILE = 300  # lines
LONGEST_FUNCTION = 40  # lines, from `def` to the last of the body
MEDIAN_FILE = 100  # lines
LONGER: dict[str, str] = {}  # functions that are longer, each with the reason


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def functions(code: str) -> Iterator[tuple[str, int]]:
    """Every function of a file, those within others included: its name and its lines."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


@pytest.mark.parametrize("file", FILES)
def test_files_need_no_table_of_contents(file: str) -> None:
    assert len(read(FILES[file]).splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("file", FILES)
def test_functions_fit_on_a_screen(file: str) -> None:
    long = {f"{file}: {name}": lines for name, lines in functions(read(FILES[file])) if lines > LONGEST_FUNCTION}
    assert not {name: lines for name, lines in long.items() if name not in LONGER}


def test_most_files_are_short() -> None:
    assert median(len(read(path).splitlines()) for path in FILES.values()) <= MEDIAN_FILE


def test_lines_of_a_function_are_counted_from_its_name_to_its_end() -> None:
    code = "@wrapped\ndef outer(\n    a,\n):\n    def inner():\n        return a\n\n    return inner\n"
    assert sorted(functions(code)) == [("inner", 2), ("outer", 7)]
