"""The contracts of pruning methods, their registry, and the loader of `methods/` directories."""

from headprune.method.base import (
    Batches,
    GateMethod,
    NoOptions,
    OutputProjection,
    Progress,
    Pruning,
    Ranking,
    ScoreMethod,
    option,
)
from headprune.method.registry import Entry, load_files, load_methods, register
from headprune.naming import unknown

__all__ = [
    "Batches",
    "Entry",
    "GateMethod",
    "NoOptions",
    "OutputProjection",
    "Progress",
    "Pruning",
    "Ranking",
    "ScoreMethod",
    "load_files",
    "load_methods",
    "option",
    "register",
    "unknown",
]
