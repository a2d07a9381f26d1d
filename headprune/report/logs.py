"""The end of what the jobs of a cell logged, and the trace of its failure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headprune.pipeline.failures import logs_of_cells
from headprune.report.pool import Pool
from headprune.results.layout import RunFolder

LINES, BYTES = 25, 2**14  # of the end of a log: the last lines within the last bytes
LONGEST = 400  # characters of a line
CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")  # colours and cursor movements of terminals


class Logs:
    """The logs of a results folder; cells computed by one job share the place of its text in `pool`."""

    def __init__(self, folder: Path, pool: Pool) -> None:
        self.folder, self.pool = folder, pool
        try:
            self._paths = logs_of_cells(RunFolder(folder))
        except (OSError, ValueError, KeyError):  # receipts that are no receipts
            self._paths = {}
        self._read: dict[Path, int | None] = {}

    def of(self, cell: str, failed: bool) -> dict[str, Any]:
        """`logs`: name and place of the end of each, or `silence`, the place of a sentence on why there is none;
        `trace` of a failed cell, where its record keeps one."""
        named = [self._paths.get(cell), self._paths.get(f"test {cell}")]
        paths = list(dict.fromkeys(path for path in named if path))
        found = [(path, self._end(path)) for path in paths]
        logs = [[self._name(path), place] for path, place in found if place is not None]
        silence = None if logs else self.pool.add(self._silence(paths))
        return {"logs": logs, "silence": silence, "trace": self._trace(cell) if failed else []}

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _silence(self, paths: Sequence[Path]) -> str:
        """The reason why a cell has no log to show."""
        if not RunFolder(self.folder).jobs.is_dir():
            return "No log: jobs/, which names the job of every cell, is not in these results."
        if not paths:
            return "No log: no receipt in jobs/ names this cell."
        if not (self.folder / "logs").is_dir():
            return "No log: logs/ is not in these results."
        empty, lost = ([path for path in paths if path.is_file() is there] for there in (True, False))
        told = [f"{self._name(path)} is empty: the job wrote nothing" for path in empty]
        return f"No log: {'; '.join([*told, *(f'{self._name(path)} is not in these results' for path in lost)])}."

    def _end(self, path: Path) -> int | None:
        if path not in self._read:
            text = end_of(path)
            self._read[path] = self.pool.add(text) if text else None
        return self._read[path]

    def _trace(self, cell: str) -> list[str]:
        for step in ("pruned", "test"):
            try:
                record = json.loads(RunFolder(self.folder).cell(cell).record(step).read_text(encoding="utf-8"))
                if record.get("trace"):
                    return [str(line) for line in record["trace"]]
            except (OSError, ValueError, AttributeError, TypeError):
                continue
        return []


def end_of(path: Path) -> str:
    """The last lines of a log, without what only terminals understand; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line.split("\r")[-1][:LONGEST] for line in CONTROL.sub("", text).replace("\r\n", "\n").split("\n")]
    return "\n".join(lines[-LINES - 1 :]).strip("\n")
