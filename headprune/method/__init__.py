"""The contracts of pruning methods, their registry, and the loader of `methods/` directories.

Importing this package imports no torch; asking it for a contract does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from headprune.method.entry import Entry
from headprune.method.options import option
from headprune.method.spaces import Choices, Integers, LogUniform, Uniform
from headprune.naming import unknown

if TYPE_CHECKING:
    from headprune.method.base import (
        Batches,
        GateMethod,
        NoOptions,
        OutputProjection,
        Progress,
        Pruning,
        Ranking,
        ScoreMethod,
    )
    from headprune.method.registry import load_files, load_methods, register

__all__ = [
    "Batches",
    "Choices",
    "Entry",
    "GateMethod",
    "Integers",
    "LogUniform",
    "NoOptions",
    "OutputProjection",
    "Progress",
    "Pruning",
    "Ranking",
    "ScoreMethod",
    "Uniform",
    "load_files",
    "load_methods",
    "option",
    "register",
    "unknown",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "registry" if name in ("load_files", "load_methods", "register") else "base"
    return getattr(import_module(f"{__name__}.{module}"), name)
