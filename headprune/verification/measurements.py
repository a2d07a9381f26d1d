"""Scores recomputed from outputs, counts from masks and from the checkpoints themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headprune.verification.base import Report
from headprune.verification.scores import check_scores


def check_measurements(report: Report, models: bool) -> None:
    """Check the measurements of every cell that was pruned.

    :param models: load the checkpoints, too, and count heads and parameters in them
    """
    for path in sorted(report.folder.glob("cells/*/*/*/pruned.json")):
        pruned = report.read(path)
        if pruned.get("status") != "ok":
            continue
        check_mask(report, path, pruned)
        check_scores(report, path.parent)
        if models:
            check_model(report, path.with_name("model.pt"), pruned)


def check_mask(report: Report, path: Path, pruned: dict[str, Any]) -> None:
    """The heads kept are heads of the model, each once, in its order."""
    kept = set(pruned["mask"])
    report.compare("masks", path, "mask", pruned["mask"], [head for head in pruned["heads"] if head in kept])


def check_model(report: Report, path: Path, pruned: dict[str, Any]) -> None:
    """The checkpoint has exactly the heads of the mask, and as many parameters as the record says."""
    from headprune import cost, removal
    from headprune.heads import attention_points

    if not path.is_file():
        return report.missing("checkpoints", path)
    try:
        model = removal.load(path)
    except (ValueError, KeyError, RuntimeError) as error:
        report.compare("checkpoints", path, "the checkpoint", f"not readable ({error})", "a pruned model")
        return None
    kept = [f"{point.name}.{index}" for point in attention_points(model) for index in point.indices]
    report.compare("checkpoints", path, "heads", sorted(kept), sorted(pruned["mask"]))
    for name, embeddings in (("parameters", True), ("parameters_non_embedding", False)):
        where = path.with_name("pruned.json")
        report.compare("checkpoints", where, name, pruned[name], cost.parameters(model, embeddings=embeddings))
    return None
