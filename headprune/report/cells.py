"""The cells of a results folder as the page holds them: identity, status, measurements, mask, configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from headprune.analysis.tables import CELL, in_group, outcomes, quality_of
from headprune.heads import TYPES
from headprune.naming import cell_id
from headprune.report.examples import ExampleOutputs
from headprune.report.logs import Logs
from headprune.report.pool import Pool, short
from headprune.report.sources import Sources
from headprune.tasks import units_of

Record = dict[str, Any]
OWN = ["method", "arm", "budget", "seed"]
MEASUREMENT = ["metric", "split", "batch_size", "unit", "metric_signature"]  # what tells columns of values apart


def cells_of(sources: Sources) -> Record:
    """Everything the page shows of cells.

    :returns: `groups` (track, dataset, model, their examples and units of their own), `metrics` (columns of values),
        `spaces` (heads of models), `pool` (what cells share) and `cells`, which point into the others by place
    """
    pool, spaces = Pool(), Pool()
    metrics = _metrics(sources.results.cells)
    logs = Logs(sources.folder, pool)
    configurations = _configurations(sources.manifest, pool)
    values, masks = _values(sources.results.cells, metrics), _masks(sources.results.masks, spaces)
    groups, cells = [], []
    for number, group in enumerate(sources.results.groups()):
        own = in_group(sources.results.cells, group)
        quality = quality_of(own)
        outputs = ExampleOutputs(sources.folder, group, pool)
        signatures = own.drop_duplicates(CELL).set_index(OWN).get("signature", pd.Series(dtype=object))
        for row in outcomes(own, quality).to_dict("records"):
            key, name = tuple(row[part] for part in CELL), cell_id(group[3], *(row[part] for part in OWN))
            signature = signatures.get(tuple(row[part] for part in OWN), "")
            cell = {"id": name, "group": number} | {part: row[part] for part in ("method", "arm", "status", "reason")}
            cell |= {"budget": int(row["budget"]), "seed": int(row["seed"]), "signature": str(signature)}
            cell |= {"kept": short(row["heads_kept"]), "heads": short(row["n_heads"])}
            cell |= values.get(key, {"values": [], "quartiles": {}})
            cell |= {"mask": masks.get(key), "config": configurations.get(str(signature))}
            cell |= {"outputs": outputs.of(row["method"], row["arm"], int(row["budget"]), int(row["seed"]))}
            cells.append(cell | logs.of(name, failed=row["status"] != "ok"))
        labels = dict(zip(("profile", "track", "dataset", "model"), group, strict=True))
        groups.append(labels | {"quality": quality.metric, "label": quality.label, "examples": outputs.shared})
        groups[-1]["layout"] = outputs.layout
        groups[-1]["units"] = units_of(group[1])
    _tell_apart(cells, groups)
    return {"groups": groups, "metrics": metrics, "spaces": spaces.values, "pool": pool.values, "cells": cells}


def _metrics(cells: pd.DataFrame) -> list[Record]:
    """The distinct measurements of a table, those of the test set first."""
    known = cells.reindex(columns=MEASUREMENT)[cells["status"] == "ok"].drop_duplicates()
    split = known["split"].map({"test": 0, "valid": 1}).fillna(2)
    known = known.assign(order=split).sort_values(["order", "metric", "batch_size"], kind="stable")
    return [
        {
            **{column: _text(row[column]) for column in MEASUREMENT},
            "batch_size": None if pd.isna(row["batch_size"]) else int(row["batch_size"]),
        }
        for row in known.to_dict("records")
    ]


def _text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)


def _values(cells: pd.DataFrame, metrics: list[Record]) -> dict[tuple[Any, ...], Record]:
    """The values of every cell in the order of `metrics`, and quartiles by place where there are any."""
    places = {tuple(metric.values()): number for number, metric in enumerate(metrics)}
    table = cells[cells["status"] == "ok"].reindex(columns=[*CELL, *MEASUREMENT, "value", "q25", "q75"])
    found: dict[tuple[Any, ...], Record] = {}
    for row in table.to_dict("records"):
        batch = None if pd.isna(row["batch_size"]) else int(row["batch_size"])
        name = tuple(batch if column == "batch_size" else _text(row[column]) for column in MEASUREMENT)
        own = found.setdefault(tuple(row[part] for part in CELL), {"values": [None] * len(metrics), "quartiles": {}})
        own["values"][places[name]] = short(row["value"])
        if np.isfinite(row["q25"]) and np.isfinite(row["q75"]):
            own["quartiles"][places[name]] = [short(row["q25"]), short(row["q75"])]
    return found


def _masks(masks: pd.DataFrame | None, spaces: Pool) -> dict[tuple[Any, ...], Record]:
    """The place of every cell's head space, and a digit for every head of it: 1 kept, 0 removed."""
    if masks is None:
        return {}
    order = masks.assign(rank=masks["type"].map({kind: n for n, kind in enumerate(TYPES)}).fillna(len(TYPES)))
    order = order.sort_values(["rank", "type", "layer", "index"], kind="stable")
    found = {}
    for key, own in order.groupby(CELL, sort=False):
        modules: dict[tuple[str, int], list[int]] = {}
        for kind, layer, index in own[["type", "layer", "index"]].to_numpy(dtype=object):
            modules.setdefault((kind, int(layer)), []).append(int(index))
        space = spaces.add([[kind, layer, heads] for (kind, layer), heads in modules.items()])
        found[key] = {"space": space, "bits": "".join("1" if kept else "0" for kept in own["kept"])}
    return found


def _configurations(manifest: Mapping[str, Any], pool: Pool) -> dict[str, Record]:
    """The configuration that every signature stands for: by key the place of the value."""
    signatures = manifest.get("signatures", {})
    if not isinstance(signatures, dict):
        return {}
    known = {name: entry for name, entry in signatures.items() if isinstance(entry, dict)}
    return {name: {key: pool.add(value) for key, value in entry.items()} for name, entry in known.items()}


def _tell_apart(cells: list[Record], groups: list[Record]) -> None:
    """Cells of merged tables may share the name they have in their own folder: then it gets profile and dataset."""
    names = [cell["id"] for cell in cells]
    if len(set(names)) < len(names):
        for cell in cells:
            group = groups[cell["group"]]
            cell["id"] = f"{group['profile']}/{group['dataset']}/{cell['id']}"
