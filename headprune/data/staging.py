"""Folders that appear complete or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STATISTICS = "statistics.json"  # marks a prepared corpus as complete


def write_statistics(folder: Path, **statistics: Any) -> dict[str, Any]:
    """Write statistics.json into `folder`; returns its content."""
    (folder / STATISTICS).write_text(json.dumps(statistics, indent=2) + "\n", encoding="utf-8")
    return statistics


def raw_lines(folder: Path, name: str) -> list[str]:
    """The lines of a text that a prepared corpus keeps as it was, `train.src`."""
    return (folder / "raw" / name).read_bytes().decode("utf-8").split("\n")[:-1]


@contextmanager
def staged_folder(folder: Path, marker: str) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `folder` when the block ends without an exception.

    The work happens in a hidden sibling, which is removed on any exception; a killed process leaves the
    sibling behind and `folder` as it was. An earlier result is replaced; it is known by the file `marker`,
    which the block must write.

    :param folder: the folder to create; missing parents are created
    :param marker: name of the file that tells a complete result from somebody's own folder
    :raises FileExistsError: `folder` holds files but no `marker`, so it is not an earlier result
    :raises OSError: the parent cannot be written
    """
    folder = folder.absolute()
    refuse_foreign(folder, marker)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as name:
        work = Path(name) / "new"
        work.mkdir()
        yield work
        if not (work / marker).is_file():
            raise RuntimeError(f"{marker} was not written, so {folder} would not be recognised as complete")
        refuse_foreign(folder, marker)
        if folder.exists():
            os.replace(folder, Path(name) / "old")
        os.replace(work, folder)


def refuse_foreign(folder: Path, marker: str) -> None:
    """Raise FileExistsError unless `folder` is absent, an earlier result, or free of files."""
    if folder.is_dir() and not folder.is_symlink():
        files = (path for path in folder.rglob("*") if not path.is_dir())
        if (folder / marker).is_file() or next(files, None) is None:
            return
    elif not os.path.lexists(folder):
        return
    raise FileExistsError(f"{folder} exists and was not made here (no {marker} in it): remove it or name another")
