"""The findings of a verification."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Difference:
    """Something that is written down and does not come out when it is recomputed."""

    where: str  # a file, relative to the results
    what: str  # a file's sha256, a metric, a column of a row
    recorded: str
    recomputed: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} is {self.recorded}, recomputed {self.recomputed}"


@dataclass
class Report:
    """All findings on one results folder."""

    folder: Path
    differences: list[Difference] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)  # by kind of thing
    notes: list[str] = field(default_factory=list)  # what could not be checked, and why

    def compare(self, kind: str, where: str | Path, what: str, recorded: Any, recomputed: Any) -> bool:
        """Counts one comparison; notes the difference, if there is one. Whether the two are equal."""
        self.checked[kind] += 1
        if recorded == recomputed:
            return True
        self.differences.append(Difference(self.name(where), what, _short(recorded), _short(recomputed)))
        return False

    def close(self, kind: str, where: str | Path, what: str, recorded: Any, recomputed: float) -> bool:
        """The same for real numbers, equal to nine digits: sums may be taken in another order."""
        equal = isinstance(recorded, int | float) and abs(recorded - recomputed) <= 1e-9 * max(1.0, abs(recomputed))
        return self.compare(kind, where, what, recorded, recorded if equal else recomputed)

    def missing(self, kind: str, where: str | Path, what: str = "the file") -> None:
        self.compare(kind, where, what, "missing", "expected")

    def read(self, path: Path) -> Any:
        """A JSON object; {} and a difference if the file is damaged, {} if there is none."""
        if not path.is_file():
            return {}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            self.compare("files", path, "the file", "not JSON", str(error))
            return {}
        if not isinstance(found, dict):
            self.compare("files", path, "the file", type(found).__name__, "an object")
            return {}
        return found

    def name(self, path: str | Path) -> str:
        """A path as it is shown."""
        return path.relative_to(self.folder).as_posix() if isinstance(path, Path) else path


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}…"
