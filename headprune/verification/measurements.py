"""Scores recomputed from segments, counts from masks and from the checkpoints themselves."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import pandas as pd

from headprune.verification.base import Report

SCORED = {"test": "test.json", "valid": "pruned.json"}  # the record that holds the scores of a split


def check_measurements(report: Report, models: bool) -> None:
    """Of every cell that was pruned.

    :param models: load the checkpoints, too, and count heads and parameters in them
    """
    for path in sorted(report.folder.glob("cells/*/*/*/pruned.json")):
        pruned = report.read(path)
        if pruned.get("status") != "ok":
            continue
        check_mask(report, path, pruned)
        check_scores(report, path.parent, pruned)
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


def check_scores(report: Report, cell: Path, pruned: dict[str, Any]) -> None:
    """Metrics of every split that was read, from its segments."""
    name = cell.relative_to(report.folder / "cells")
    data = report.folder / "data" / str(report.read(cell / "identity.json").get("dataset"))
    for split, record in SCORED.items():
        found = report.read(cell / record)
        scores = found if split == "test" else found.get("valid")
        if not scores or found.get("status") != "ok":
            continue
        hypotheses = report.folder / "segments" / name / f"hypotheses.{split}.txt.gz"
        likelihoods = report.folder / "segments" / name / f"likelihoods.{split}.parquet"
        try:
            if hypotheses.is_file():
                check_translations(report, cell / record, scores, hypotheses, data, split)
            elif likelihoods.is_file():
                check_likelihoods(report, cell / record, scores, likelihoods, data, split)
            else:
                report.missing("scores", hypotheses.parent, f"segments of {split}")
        except (OSError, EOFError, ValueError, KeyError, zlib.error) as error:
            report.compare("scores", cell / record, f"scores on {split}", "recorded", f"not recomputable: {error}")


def check_translations(report: Report, where: Path, scores: dict[str, Any], path: Path, data: Path, split: str) -> None:
    """BLEU and chrF of the hypotheses on the raw references."""
    from headprune.evaluation import translation

    hypotheses = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")[:-1]
    references = (data / "raw" / f"{split}.tgt").read_text(encoding="utf-8").split("\n")[:-1]
    if not report.compare("scores", path, "lines", len(hypotheses), len(references)):
        return
    language = report.read(data / "statistics.json")["corpus"]["target"]
    computed = {
        "bleu": translation.bleu(hypotheses, references),
        "chrf": translation.chrf(hypotheses, references),
        "bleu_tokenized_lower": translation.bleu_tokenized_lower(hypotheses, references, language),
    }
    for metric, score in computed.items():
        value, signature = scores.get(metric, [None, ""])
        report.close("scores", where, f"{metric} on {split}", value, score.value)
        if signature != score.signature:
            report.notes.append(
                f"{report.name(where)}: {metric} was computed as {signature}, here as {score.signature}"
            )


def check_likelihoods(report: Report, where: Path, scores: dict[str, Any], path: Path, data: Path, split: str) -> None:
    """Perplexity, and bits per byte of the whole split, from the log-likelihood of every segment."""
    table = pd.read_parquet(path)
    nats = -math.fsum(table["log_likelihood"]) / int(table["tokens"].sum())
    report.close("scores", where, f"perplexity on {split}", scores["perplexity"][0], math.exp(nats))
    counts = report.read(data / "statistics.json").get("splits", {}).get(split, {})
    if "bits_per_byte" in scores and {"tokens", "bytes"} <= set(counts):
        computed = nats * counts["tokens"] / math.log(2) / counts["bytes"]
        report.close("scores", where, f"bits_per_byte on {split}", scores["bits_per_byte"][0], computed)
