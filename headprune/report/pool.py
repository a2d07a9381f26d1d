"""Values that many cells share, each kept once; and numbers as short as a reader needs them."""

from __future__ import annotations

import json
import math
from typing import Any

DIGITS = 7  # significant, of numbers that are not whole


class Pool:
    """A list of distinct JSON-able values; what refers to one of them holds its place."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[str, int] = {}

    def add(self, value: Any) -> int:
        """The place of the value."""
        key = json.dumps(value, sort_keys=True)
        if key not in self._places:
            self._places[key] = len(self.values)
            self.values.append(value)
        return self._places[key]


def short(value: float) -> float | int | None:
    """Rounded to `DIGITS` significant digits; whole numbers stay exact, what is not finite is None."""
    number = float(value)
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else float(f"{number:.{DIGITS}g}")
