"""Sentences on what a run was given instead of making it: models from checkpoints, and shares of valid as splits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ONE = "one checkpoint for every seed, so that n counts draws and gates, not trainings"
SEVERAL = "a checkpoint for every seed"


def sentence(folder: Path, dataset: str, model: str) -> str:
    """The sentence on a model and its data, for captions; empty where both were made by the run, or no manifest tells.

    :param folder: of results
    """
    try:
        config = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["config"]
        parts = [*_of_model(config["models"][model]), *_of_data(config["datasets"][dataset])]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return ""
    return f"{'; '.join(parts)}." if parts else ""


def _of_model(section: Mapping[str, Any]) -> list[str]:
    if "checkpoints" not in section:
        return []
    kind = SEVERAL if section["checkpoints"] else ONE
    return [f"The model was given: {kind}; what its training took is not known"]


def _of_data(section: Mapping[str, Any]) -> list[str]:
    shares = section.get("divide_valid") or {}
    told = " and ".join(f"{share:.0%} {split}" for split, share in shares.items())
    return [f"of the valid split that was given, {told}, the rest valid"] if told else []
