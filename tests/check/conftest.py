"""Method files written by a test, and forgotten after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from headprune.check import CheckReport
from headprune.check.suite import check_here
from headprune.method import load_methods, registry

load_methods()  # those of the repository, which are imported once, stay

HEADER = """from dataclasses import dataclass
import random
import numpy
import torch
from headprune.heads import HeadSpace
from headprune.importance import example_losses, head_importance
from headprune.method import *
from headprune.relaxations import straight_through, top_k
"""

Write = Callable[..., Path]
CheckBody = Callable[[str], CheckReport]


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Methods that a test registers are forgotten after it."""
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(body, name)`: a method file after the usual imports, in a folder of its own."""

    def write(body: str, name: str = "mine.py") -> Path:
        file = tmp_path / name
        file.write_text(HEADER + body, encoding="utf-8")
        return file

    return write


@pytest.fixture
def check_body(write: Write) -> CheckBody:
    """The report on the one method of a file with this body."""

    def check_body(body: str) -> CheckReport:
        (report,) = check_here(write(body))
        return report

    return check_body
