"""Sentences on what a run was given instead of making it: models from checkpoints, and shares of valid as splits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headprune.analysis.manifests import told

ONE = "one checkpoint for every seed, so that n counts draws and gates, not trainings"
SEVERAL = "a checkpoint for every seed"


def sentence(folder: Path, dataset: str, model: str) -> str:
    """The sentence on a model and its data, for captions; empty where both were made by the run, or no manifest tells.

    :param folder: of results
    """
    own, data = told(folder, "config", "models", model), told(folder, "config", "datasets", dataset)
    parts = [*_of_model(own), *_of_data(data)]
    return f"{'; '.join(parts)}." if parts else ""


def _of_model(section: Mapping[str, Any]) -> list[str]:
    if "checkpoints" not in section:
        return []
    kind = SEVERAL if section["checkpoints"] else ONE
    return [f"The model was given: {kind}; what its training took is not known"]


def _of_data(section: Mapping[str, Any]) -> list[str]:
    shares = section.get("divide_valid") or {}
    divided = " and ".join(f"{share:.0%} {split}" for split, share in shares.items())
    return [f"of the valid split that was given, {divided}, the rest valid"] if divided else []
