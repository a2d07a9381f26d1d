"""Docstrings are sentences or noun phrases that say something when read alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("benchmarks", "headprune", "methods", "paper_figures", "tests", "tools")
# Words that complete the name of what they document: `exact`: "Whether it hits its budget."
FRAGMENTS = {"As", "By", "From", "How", "Of", "What", "When", "Where", "Whether", "Which"}
FILES = [path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def fragments(code: str) -> list[str]:
    """The docstrings of a file that begin as a fragment, each with its line."""
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, DOCUMENTED)]
    found = [(getattr(node, "lineno", 1), (ast.get_docstring(node) or "").split("\n")[0]) for node in nodes]
    return [f"{line}: {text}" for line, text in found if text.split(maxsplit=1)[:1] and text.split()[0] in FRAGMENTS]


@pytest.mark.parametrize("file", FILES)
def test_docstrings_stand_alone(file: str) -> None:
    assert fragments((ROOT / file).read_text(encoding="utf-8")) == []


def test_a_fragment_is_found_wherever_it_stands() -> None:
    fragment, sentence = '"""Of three seeds."""', '"""The mean of three seeds."""'
    assert fragments(f"{fragment}\nclass A:\n    {sentence}\n    def f(self):\n        {fragment}") == [
        "1: Of three seeds.",
        "4: Of three seeds.",
    ]
