"""Recomputing what can be recomputed of a results folder: a number that was changed does not go unnoticed."""

from __future__ import annotations

from pathlib import Path

from headprune.verification.base import Difference, Report
from headprune.verification.files import check_files, check_machine, check_signatures
from headprune.verification.measurements import check_measurements
from headprune.verification.tables import check_tables

__all__ = ["Difference", "Report", "verify"]


def verify(folder: Path, models: bool = True) -> Report:
    """Compares everything in a results folder with what it was made of.

    - files with the sha256 in the manifests: data, checkpoints, records, outputs, tables
    - signatures with the identities they are the digests of
    - BLEU and chrF with hypotheses and references, perplexity with the likelihoods of segments
    - heads and parameters with masks and checkpoints
    - tables with records, and with each other

    Of published results, which have no cells, the tables are checked against the manifest, each other and the outputs
    beside them.

    :param models: load every checkpoint; the slowest part by far
    :returns: what was compared, by kind, and every difference
    :raises FileNotFoundError: it is not a results folder
    """
    if not any((folder / name).exists() for name in ("cells.parquet", "cells.csv", "manifest.json", "cells")):
        raise FileNotFoundError(f"{folder} is no results folder: it has no tables, no manifest.json and no cells/")
    report = Report(folder)
    check_machine(report)
    check_files(report)
    check_signatures(report)
    check_tables(report)
    check_measurements(report, models)
    return report
