"""Names of cells and of how they end; names that nobody knows, and the nearest that somebody does."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

STATUSES = ("ok", "failed", "diverged", "timeout", "missing")  # how a cell ends
OF_CELLS = "segments"  # folder of what the models of cells put out, within one of results


def cell_id(model: str, method: str, arm: str, budget: int, seed: int) -> str:
    """The folder of a cell below `cells/` and `segments/`, its name in tables of outputs.

    :param arm: as in the tables, with draw and treatment
    """
    separator = "." if arm and not arm.startswith("+") else ""
    return f"{model}/{method}{separator}{arm}/k{budget}-s{seed}"


def cell_folder(results: Path, cell: str) -> Path:
    """Folder with the outputs of a cell, by its id, as jobs write them."""
    return results / OF_CELLS / cell


def cell_name(cell: tuple[object, ...]) -> str:
    """`mt/help/tiny/dsp/joint/k4/s1`, for the eye.

    :param cell: track, dataset, model, method, arm, budget, seed; an empty text is left out
    """
    *texts, budget, seed = cell
    return "/".join([*(str(text) for text in texts if text), f"k{budget}", f"s{seed}"])


def counted(number: int, thing: str) -> str:
    """`1 cell`, `2 cells`."""
    return f"{number} {thing}{'s' * (number != 1)}"


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The error about an unknown name: `unknown method 'dps'; did you mean 'dsp'? available: …`"""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5) or _abbreviated(str(name), names)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown {what} {name!r}; {hint}available: {', '.join(names) or 'none'}"


def _abbreviated(name: str, known: Iterable[str]) -> list[str]:
    """The names of several words whose initials these are: `learning_rate` of `lr`."""
    return [each for each in known if len(name) > 1 and "".join(word[:1] for word in each.split("_")) == name]
