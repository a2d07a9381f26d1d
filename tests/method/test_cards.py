"""Fidelity cards: their sections, every option of the method, and proofs that exist."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from headprune.method import Entry, load_methods
from headprune.method.display import card

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = ["Paper and equation", "Hyper-parameters", "Deviations from the released code", "Proof", "Cost"]
PROOF = re.compile(r"`(tests/[\w/]+\.py|…)(?:::(\w+))?`")  # … repeats the file named last

cards = pytest.mark.parametrize("entry", load_methods().values(), ids=lambda entry: entry.name)


@cache
def functions_in(path: Path) -> set[str]:
    """Names of the test functions of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@cards
def test_a_card_has_its_sections(entry: Entry) -> None:
    text = card(entry).read_text(encoding="utf-8")
    assert text.startswith(f"# {entry.name}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS


@cards
def test_a_card_names_every_option_and_no_other(entry: Entry) -> None:
    text = card(entry).read_text(encoding="utf-8")
    rows = text.split("## Hyper-parameters")[1].split("##")[0].splitlines()
    named = {name for row in rows if row.startswith("| `") for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    options = {item.name for item in fields(entry.method.Options)}  # type: ignore[attr-defined]
    assert options <= named
    assert named - options <= {"draws"}  # of the profile


@cards
def test_the_tests_that_prove_it_exist(entry: Entry) -> None:
    file, proofs = "", PROOF.findall(card(entry).read_text(encoding="utf-8"))
    assert proofs
    for where, name in proofs:
        file = file if where == "…" else where
        known = functions_in(ROOT / file) | {""}  # a whole file is proof, too
        assert name in known or (name.endswith("_") and any(test.startswith(name) for test in known)), (file, name)
