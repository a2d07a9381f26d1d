"""Damage to files of a results folder, for every kind of file that is in one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

Damage = Callable[[Path, Path], None]  # of a file; the other one is of its kind


def _written(content: Callable[[bytes], bytes]) -> Damage:
    return lambda path, other: (path.write_bytes(content(path.read_bytes())), None)[1]


DAMAGES: dict[str, Damage] = {
    "removed": lambda path, other: path.unlink(),
    "empty": _written(lambda content: b""),
    "cut": _written(lambda content: content[: len(content) // 2]),
    "other JSON": _written(lambda content: b"[1, 2]\n"),
    "another's": lambda path, other: (shutil.copyfile(other, path), None)[1],
}
# Patterns below a results folder. What has no second file of its pattern is replaced by one of the next pattern.
KINDS = (
    "jobs/dense/*/*.json",
    "jobs/score/*/*/*.json",
    "jobs/gates/*/*/*/*.json",
    "jobs/search/*/*/*.json",
    "jobs/treat/*/*/*.json",
    "jobs/retrain/*/*/*/*.json",
    "jobs/ablate/*/*/*.json",
    "jobs/test/*/*/*.json",
    "jobs/speed/*/*.json",
    "jobs/data/*.json",
    "dense/*/s?.json",
    "dense/*/*.manifest.json",
    "dense/*/*.pt",
    "trials/*/*.pt",
    "cells/*/*/*/model.pt",
    "cells/*/*/*/pruned.json",
    "cells/*/*/*/test.json",
    "cells/*/*/*/speed.json",
    "cells/*/*/*/identity.json",
    "cells/*/*/*/manifest.json",
    "segments/*/*/*/*.test.*",
    "segments/*/*/*/*.valid.*",
    "trials/*/*.json",
    "ablations/*/*.json",
    "data/*/statistics.json",
    "data/*/manifest.json",
    "data/*/subword.model",
    "data/*/bin/*.bin",
    "data/*/bin/*.idx",
    "data/*/bin/dict.*",
    "data/*/raw/*",
    "cells.csv",
    "masks.parquet",
    "cells.parquet",
    "curves.csv",
    "manifest.json",
    "tables/*.csv",
)
DRAWN = ("tables/*.md", "figures/*.png", "figures/*.txt")  # of the tables
HINTS = (  # the run can do without them
    "progress/plan.json",
    "progress/calls.json",
    "progress/execution.json",
    "progress/overview.json",
    "progress/dense-*.json",
    "progress/drawn.json",
)


def victim(folder: Path, pattern: str, number: int = 0) -> Path:
    """A file of a kind; another one for another number."""
    files = sorted(folder.glob(pattern))
    assert files, f"{folder} holds no {pattern}"
    return files[number % len(files)]


def another(folder: Path, pattern: str, path: Path) -> Path:
    """A file of the same kind, or the next, that holds something else."""
    patterns = [*KINDS, *DRAWN, *HINTS]
    start = patterns.index(pattern)
    for following in patterns[start:] + patterns[:start]:
        for other in sorted(folder.glob(following)):
            if other.read_bytes() != path.read_bytes():
                return other
    raise AssertionError(f"there is nothing else in {folder}")


def damage(folder: Path, pattern: str, how: str, number: int = 0) -> Path:
    """Does it; returns the file it was done to."""
    path = victim(folder, pattern, number)
    DAMAGES[how](path, another(folder, pattern, path))
    return path


def contents(folder: Path) -> Mapping[str, bytes]:
    """Every file but logs and notes on progress, by its place."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in ("logs", "progress", "locks", "attempts")
    }


@contextmanager
def lent(copy: Path, original: Path, place: Path) -> Iterator[Path]:
    """A copy of a run, whole and in a place where nothing was before, as what is cached goes by places.

    Far quicker than another copy: a run has hundreds of files and folders, and making and removing them takes its time.
    """
    restore(copy, original)
    copy.rename(place)
    yield place
    if place.exists():  # else its test has moved it, and the next one is made anew
        place.rename(copy)


def restore(folder: Path, original: Path) -> None:
    """Makes a copy what it was copied from, wherever it is another by size or time of writing."""
    there = _files(folder)
    wanted = _files(original)
    for name in there.keys() - wanted.keys():
        (folder / name).unlink()
    for name in sorted(wanted):
        if there.get(name) != wanted[name]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(original / name, folder / name)
    for path, _, _ in os.walk(folder, topdown=False):
        if not (original / Path(path).relative_to(folder)).is_dir():
            os.rmdir(path)
    for path, _, _ in os.walk(original):
        (folder / Path(path).relative_to(original)).mkdir(exist_ok=True)


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of writing of every file in a folder."""
    paths = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    return {str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}
