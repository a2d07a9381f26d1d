"""Paths of the files beside the library: methods, profiles, the workflow, scripts of figures, fidelity cards."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
INSIDE = PACKAGE / "bundled"  # made by setup.py when a wheel is built; a clone has none


def bundled(name: str) -> Path:
    """Path of a folder or file of the repository: in a clone at its root, in an installed wheel within the package.

    :param name: its path in the repository, such as `methods` or `workflows/config`
    :raises FileNotFoundError: this installation lacks it.
    """
    path = (INSIDE if INSIDE.is_dir() else PACKAGE.parent) / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: install headprune anew, `pip install .` in a clone of it")
    return path
