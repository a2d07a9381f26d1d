"""Writing the merged folder: all of it, or nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from headprune.naming import cell_id
from headprune.results import schema
from headprune.results.merging import agreement, speeds
from headprune.results.merging.parts import CELL, MergeError, ResultsFolder, read
from headprune.results.outputs import pack, raw_texts, reader
from headprune.results.provenance import file_sha256
from headprune.system.files import discard

ANEW = ("profile", "seconds", "label")  # columns that may differ for one training


@dataclass(frozen=True)
class Merged:
    """The outcome of a merge: cells by status, and what should be known."""

    folder: Path
    cells: Mapping[str, int]
    notes: tuple[str, ...]


def merge(out: Path, folders: Sequence[Path], shared: bool = False, outputs: bool = True) -> Merged:
    """Merge results folders into a new one: tables, manifest, and outputs where there are any; of one, copy them.

    The new folder is fit to be published: the outputs of each model are one table, `cells.csv` is left out.
    A cell with a result in one part and without in others counts with its result. Speed counts where it was measured
    beside the unpruned model of the seed that counts. Parts may be of different profiles and are left as they are.

    :param shared: a cell that several parts have under one signature and with the same values counts once, as of the
        first of them; parts of a profile share what their methods start from
    :param outputs: what the paired tests read, too
    :returns: the outcome, with what should be known of it
    :raises MergeError: no part, one twice, `out` exists, another schema, data or configurations that differ, a cell
        with a result in two parts, damaged outputs; nothing is written.
    """
    if not folders or len({folder.resolve() for folder in folders}) < len(folders):
        raise MergeError("give results folders, each once")
    if out.exists():
        raise MergeError(f"{out} exists; merged results get a folder of their own")
    parts = [read(folder) for folder in folders]
    notes = agreement.check(parts, shared)
    owners = agreement.owners(parts)
    cells = _of_cells(parts, [part.cells for part in parts], owners, schema.ROW_KEY)
    cells, without_speed = speeds.of_one_round(cells, parts, owners)
    tables = {"cells.parquet": cells, **_others(parts, owners)}
    building = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        building.mkdir(parents=True)
        for name, table in tables.items():
            content = schema.to_csv(table) if name.endswith(".csv") else schema.to_parquet(table)
            (building / name).write_bytes(content)
        if outputs:
            _pack_outputs(parts, owners, building)
            _copy_texts(parts, building)
        manifest = _manifest(parts) | {"files": _digests(building)}
        (building / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")
        os.replace(building, out)
    finally:
        discard(building)
    statuses = pd.concat([part.status[owners[owners == i].index] for i, part in enumerate(parts)])
    return Merged(out, statuses.value_counts().to_dict(), (*notes, *without_speed))


def _others(parts: Sequence[ResultsFolder], owners: pd.Series) -> dict[str, pd.DataFrame]:
    """The tables beside the cells that a part has, by file name."""
    tables = {}
    for name in (name for name in schema.OTHERS if any(name in part.tables for part in parts)):
        if name == "masks.parquet":
            masks = [part.tables.get(name, schema.masks_table([])) for part in parts]
            tables[name] = _of_cells(parts, masks, owners, [*schema.CELL_KEY, "head"])
        else:
            tables[name] = _of_trainings(name, parts)
    return tables


def _digests(folder: Path) -> dict[str, str]:
    """The sha256 of every file of a folder, by its path in it."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}


def _of_cells(
    parts: Sequence[ResultsFolder], tables: Sequence[pd.DataFrame], owners: pd.Series, order: list[str]
) -> pd.DataFrame:
    """The rows of every cell from the part it counts of."""
    kept = []
    for number, table in enumerate(tables):
        own = owners[owners == number].index
        kept.append(table[table.set_index(CELL).index.isin(own)])
    return pd.concat(kept, ignore_index=True).sort_values(order, kind="stable", ignore_index=True)


def _of_trainings(name: str, parts: Sequence[ResultsFolder]) -> pd.DataFrame:
    """Rows of all parts; a training that several have is taken once, an ablation that failed in one where it did not.

    :raises MergeError: it says different things in two of them.
    """
    columns, key = schema.OTHERS[name]
    every = pd.concat([part.tables[name] for part in parts if name in part.tables], ignore_index=True)
    if name == "ablations.csv":
        study = key[: key.index("head")]
        ok = every["status"] == "ok"
        every = every[ok | ~every.set_index(study).index.isin(every[ok].set_index(study).index)]
    every = every.drop_duplicates([column for column in columns if column not in ANEW])
    twice = every[every.duplicated(key)]
    if len(twice):
        row = " ".join(f"{part}={twice.iloc[0][part]}" for part in key if not pd.isna(twice.iloc[0][part]))
        raise MergeError(f"these results cannot be merged: {name} of two of them differs for {row}")
    return every.sort_values(key, kind="stable", ignore_index=True)


def _pack_outputs(parts: Sequence[ResultsFolder], owners: pd.Series, out: Path) -> None:
    """The outputs of every cell from the part it counts of, a table per model.

    :raises MergeError: outputs that cannot be read.
    """
    cells: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for cell in owners.rename("part").reset_index().to_dict("records"):
        name = cell_id(*(cell[column] for column in ("model", "method", "arm", "budget", "seed")))
        cells[cell["model"]][cell["part"]].append(name)
    for model, of_parts in sorted(cells.items()):
        sources = [(reader(parts[number].folder, model), own) for number, own in sorted(of_parts.items())]
        try:
            pack(out, model, [(source, cell) for source, own in sources for cell in own])
        except ValueError as error:
            folders = ", ".join(str(parts[number].folder) for number in sorted(of_parts))
            raise MergeError(f"these results cannot be merged: outputs in {folders}: {error}") from error


def _copy_texts(parts: Sequence[ResultsFolder], out: Path) -> None:
    """The texts of the test sets, which the paired tests read."""
    for part in parts:
        for source in raw_texts(part.folder, "test"):
            target = out / source.relative_to(part.folder)
            if target.is_file() and target.read_bytes() != source.read_bytes():
                message = f"{source} is another text than that of an earlier part"
                raise MergeError(f"these results cannot be merged: {message}")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def _manifest(parts: Sequence[ResultsFolder]) -> dict[str, Any]:
    """The manifests as one: the first, with the data and signatures of all, and of every part what is its own."""
    known = [part for part in parts if part.manifest]
    own = [{key: value for key, value in part.manifest.items() if key != "signatures"} for part in known]
    whole: dict[str, Any] = {key: value for key, value in (own[0] if own else {}).items() if key != "given"}
    for section in ("data", "signatures"):
        whole[section] = {name: value for part in known for name, value in part.manifest.get(section, {}).items()}
    if printed := {name: texts for part in known for name, texts in part.manifest.get("printed", {}).items()}:
        whole["printed"] = printed
    whole["config"] = _union([manifest.get("config", {}) for manifest in own])
    whole["merged"] = [  # runs alone: what was merged before counts as those it was made of
        run
        for part, manifest in zip(known, own, strict=True)
        for run in manifest.get("merged") or [{"folder": str(part.folder)} | manifest]
    ]
    return whole


def _union(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Lists and named sections of all, everything else of the first."""
    whole: dict[str, Any] = {}
    for config in configs:
        for key, value in config.items():
            if isinstance(value, list) and key in whole:
                whole[key] = whole[key] + [item for item in value if item not in whole[key]]
            elif isinstance(value, dict) and key in ("datasets", "models") and key in whole:
                whole[key] = value | whole[key]
            else:
                whole.setdefault(key, value)
    return whole
