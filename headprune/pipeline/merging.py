"""The tables of several runs of a profile, such as its parts, as one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headprune import results
from headprune.pipeline.agreement import check_configurations
from headprune.pipeline.manifests import NAME
from headprune.pipeline.store import Record, read_json, write_bytes, write_json
from headprune.provenance import file_sha256

CELLS = ("cells.parquet", "cells.csv")


def merge(folders: Sequence[Path], into: Path, segments: bool = False) -> int:
    """Writes the tables of `folders` as one, and a manifest that keeps what those of the runs say; returns the cells.

    :param folders: results of runs, or what was merged before
    :param into: must not hold tables of its own
    :param segments: copy hypotheses, per-segment statistics and the text of the test sets, too, for paired tests
    :raises ValueError: the runs are of several profiles or data sets, contradict each other in what they are
        configured to do, or disagree about a cell.
    :raises FileExistsError: there are results in `into`.
    """
    if any((into / name).exists() for name in (*CELLS, NAME)):
        raise FileExistsError(f"{into} holds results; choose another folder")
    manifests = [_manifest(folder) for folder in folders]
    check_configurations(folders, manifests)
    cells = results.merge(results.read_cells(folder) for folder in folders)
    merged = {
        name: results.merge_others(name, (results.read_table(p, columns) for f in folders if (p := f / name).exists()))
        for name, (columns, _) in results.OTHERS.items()
    }
    masks = merged["masks.parquet"]
    merged["masks.parquet"] = masks[masks["signature"].isin(cells["signature"])].reset_index(drop=True)
    record = _joined(folders, manifests)
    into.mkdir(parents=True, exist_ok=True)
    for name, table in {**dict.fromkeys(CELLS, cells), **merged}.items():
        content = results.to_csv(table) if name.endswith(".csv") else results.to_parquet(table)
        write_bytes(into / name, content)
    for folder in folders if segments else ():
        shutil.copytree(folder / "segments", into / "segments", dirs_exist_ok=True)
        for text in sorted(folder.glob("data/*/raw/test.*")):  # the same in all: their hashes are
            write_bytes(into / text.relative_to(folder), text.read_bytes())
    write_json(into / NAME, record | {"files": {name: file_sha256(into / name) for name in sorted({*CELLS, *merged})}})
    return int(cells.groupby(results.CELL_KEY).ngroups)


def _manifest(folder: Path) -> Record:
    if not (folder / NAME).is_file() or not (folder / CELLS[0]).is_file():
        raise FileNotFoundError(f"{folder} holds no {NAME} or no {CELLS[0]}; runs lie under results/")
    return read_json(folder / NAME)


def _joined(folders: Sequence[Path], manifests: Sequence[Record]) -> Record:
    """One manifest: profile, data and signatures of all, and of every run what else its own says."""
    data: dict[str, Any] = {}
    signatures: dict[str, Any] = {}
    runs: list[Record] = []
    for folder, manifest in zip(folders, manifests, strict=True):
        if manifest["profile"] != manifests[0]["profile"]:
            raise ValueError(
                f"{folder} is of profile {manifest['profile']!r}, {folders[0]} of {manifests[0]['profile']!r}"
            )
        for name, statistics in manifest["data"].items():
            if data.setdefault(name, statistics)["sha256"] != statistics["sha256"]:
                raise ValueError(f"{folder}: dataset {name!r} is another than that of the runs before")
        signatures |= manifest["signatures"]
        own = {key: value for key, value in manifest.items() if key not in ("profile", "data", "signatures", "runs")}
        runs += manifest.get("runs") or [own]
    return {"profile": manifests[0]["profile"], "data": data, "signatures": signatures, "runs": runs}
