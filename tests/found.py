"""Faults that were found from outside, as rows: what was given, the wrong value of that day, the right one, its source.

A row outlives its fault: the test computes the right value and is never satisfied by the wrong one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True)
class Found:
    """One fault.

    :param given: what was done, in words: the name of the test's row
    :param wrong: what came of it when the fault was found
    :param right: what must come of it
    :param source: who says so: a formula, a brute-force loop, another tool, a document
    :param case: what the test needs to do it again
    """

    given: str
    wrong: Any
    right: Any
    source: str
    case: Any = None


def rows(*found: Found) -> pytest.MarkDecorator:
    """The parameter `found` of a test, a row at a time."""
    return pytest.mark.parametrize("found", found, ids=[row.given for row in found])
