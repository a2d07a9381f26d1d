"""A results folder such as a run leaves, small, with texts that try to break out of the page."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from headprune.naming import cell_id
from headprune.results import schema

HOSTILE = """"'><img src=x onerror="hacked=1"><script>hacked=1</script></script><!-- ${hacked=1} &lt; \u2028 ]]>"""
HOSTILE_ARM = "<b onclick=hacked=1>&amp;'\""  # an arm is part of the path of a cell
ODD_ARM = "a%2Fb/c#d?e=1&f"  # signs that mean something in addresses
TRANSLATION = {"profile": "unit", "track": "mt", "dataset": "help", "model": "tiny"}
LANGUAGE = {"profile": "unit", "track": "lm", "dataset": "novel", "model": "reader"}
INFERENCE = {"profile": "unit", "track": "nli", "dataset": "pairs", "model": "judge"}
TYPES = ("encoder", "cross", "decoder")
LAYERS, HEADS = 2, 2
N_HEADS = len(TYPES) * LAYERS * HEADS
SEGMENTS = 25
QUALITY = {
    ("unpruned", "", 12, 1): 20.0,
    ("unpruned", "", 12, 2): 22.0,
    ("magnitude", "", 6, 1): 10.0,
    ("magnitude", "", 6, 2): 12.0,
    ("magnitude", "", 3, 1): 4.0,
    ("magnitude", "", 3, 2): None,  # failed
    ("dsp", HOSTILE_ARM, 6, 1): 15.0,
    ("dsp", HOSTILE_ARM, 6, 2): 17.0,
    ("dsp", HOSTILE_ARM + "+ft", 6, 1): 19.0,  # treated: does not compete
    ("random", ODD_ARM, 3, 1): 1.25,
}
PIXEL = base64.b64decode(  # a PNG of one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
CLAIM = {
    "id": "one",
    "source": HOSTILE,
    "text": f"A claim {HOSTILE}",
    **TRANSLATION,
    "wanted": ">= -0.02",
    "unit": "share",
}


def write(folder: Path) -> Path:
    """Everything that a report reads; the models of three tracks."""
    rows = list(rows_of(TRANSLATION, "bleu", QUALITY))
    for group, metric in ((LANGUAGE, "perplexity"), (INFERENCE, "accuracy")):
        rows += rows_of(group, metric, {("unpruned", "", 12, 1): 0.75, ("magnitude", "", 4, 1): 0.5})
    write_tables(folder, rows)
    write_translations(folder)
    write_values(folder)
    write_logs(folder)
    write_products(folder)
    signatures = {
        signature_of(cell): {"cell": HOSTILE, "settings": {"text": HOSTILE, "updates": 30}} for cell in QUALITY
    }
    manifest = {"given": {"profile": HOSTILE}, "signatures": signatures, "git": {"commit": HOSTILE, "dirty": True}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def write_tables(folder: Path, rows: list[dict[str, Any]]) -> None:
    """cells.parquet, and masks.parquet of the cells that have a result."""
    cells = schema.cells_table(rows)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cells.parquet").write_bytes(schema.to_parquet(cells))
    good = cells[cells["status"] == "ok"].drop_duplicates(schema.CELL_KEY)
    masks = [mask | cell for cell in good[schema.CELL_KEY].to_dict("records") for mask in mask_of(cell)]
    (folder / "masks.parquet").write_bytes(schema.to_parquet(schema.masks_table(masks)))


def rows_of(group: dict[str, str], metric: str, values: dict) -> Iterator[dict[str, Any]]:
    """Two metrics of every cell, and a row with the reason of one that failed."""
    for (method, arm, budget, seed), value in values.items():
        common = group | {"method": method, "arm": arm, "budget": budget, "seed": seed, "n_heads": N_HEADS}
        common["signature"] = signature_of((method, arm, budget, seed))
        if value is None:
            yield common | {"split": "test", "metric": metric, "status": "failed", "reason": f"no memory {HOSTILE}"}
            continue
        common |= {"status": "ok", "heads_kept": budget}
        yield common | {"split": "test", "metric": metric, "value": value, "metric_signature": HOSTILE}
        yield common | {"metric": "latency_ms", "value": 10 / 3, "q25": 3.0, "q75": 4.5, "batch_size": 1, "unit": "ms"}


def mask_of(cell: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The first heads of the head space are kept."""
    heads = [(kind, layer, index) for kind in TYPES for layer in range(LAYERS) for index in range(HEADS)]
    for place, (kind, layer, index) in enumerate(heads):
        yield {
            "head": f"{kind}.{layer}.{index}",
            "type": kind,
            "layer": layer,
            "index": index,
            "kept": place < cell["budget"],
        }


def signature_of(cell: tuple[str, str, int, int]) -> str:
    return "".join(f"{ord(sign):02x}" for sign in str(cell))[:12] + f"{cell[2]}{cell[3]}"


def folder_of(folder: Path, group: dict[str, str], cell: tuple[str, str, int, int]) -> Path:
    path = folder / "segments" / cell_id(group["model"], *cell)
    path.mkdir(parents=True)
    return path


def write_translations(folder: Path) -> None:
    """Hypotheses of every cell but the failed one, and the texts they are compared with."""
    for cell, value in QUALITY.items():
        if value is not None:
            middle = "old" if cell[0] == "unpruned" else f"new {HOSTILE}"
            text = "".join(f"the {middle} word {n}\n" for n in range(SEGMENTS))
            path = folder_of(folder, TRANSLATION, cell) / "hypotheses.test.txt.gz"
            path.write_bytes(gzip.compress(text.encode()))
    raw = folder / "data" / "help" / "raw"
    raw.mkdir(parents=True)
    for suffix in ("src", "tgt"):
        (raw / f"test.{suffix}").write_text("".join(f"{suffix} {n} {HOSTILE}\n" for n in range(SEGMENTS)), newline="\n")


def write_values(folder: Path) -> None:
    """Likelihoods and labels of both models of the other tracks."""
    for cell, nats in ((("unpruned", "", 12, 1), 64.0), (("magnitude", "", 4, 1), 96.0)):
        numbers = range(SEGMENTS)
        likelihoods = pd.DataFrame({"segment": numbers, "tokens": 32, "log_likelihood": -nats})
        language = folder_of(folder, LANGUAGE, cell)
        likelihoods.to_parquet(language / "likelihoods.test.parquet")
        texts = {"prompt": f"Once {HOSTILE}", "continuation": f"upon {nats:g} {HOSTILE}"}
        (language / "sample.test.json").write_text(json.dumps(texts))
        labels = pd.DataFrame({"segment": numbers, "label": HOSTILE, "predicted": [f"{n % 3}" for n in numbers]})
        labels.to_parquet(folder_of(folder, INFERENCE, cell) / "labels.test.parquet")


def write_logs(folder: Path) -> None:
    """One job computed all cells of magnitude; the failed one left a trace."""
    cells = [cell_id("tiny", *cell) for cell in QUALITY if cell[0] == "magnitude"]
    for name, content in (
        ("jobs/score/tiny/all/s1.json", json.dumps({"status": "ok", "cells": dict.fromkeys(cells, "ok")})),
        ("logs/score/tiny/all/s1.log", "first\n" * 100 + f"\x1b[31mlast line\x1b[0m {HOSTILE}\n"),
        ("cells/tiny/magnitude/k3-s2/pruned.json", json.dumps({"status": "failed", "trace": [f"Error: {HOSTILE}"]})),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def write_products(folder: Path) -> None:
    """A figure, two tables, claims."""
    for name in ("figures", "tables"):
        (folder / name).mkdir()
    for suffix in (".png", ".pdf"):
        (folder / "figures" / f"pareto{suffix}").write_bytes(PIXEL)
    (folder / "figures" / "pareto.txt").write_text(f"Quality against size. {HOSTILE}\nn = 2 seeds.\n")
    rows = f"| {HOSTILE} | **1.0** |\n| [a](http://x.org) | <ins>0.9</ins> |\n"
    table = f"## help {HOSTILE}\n\n| method | K = 6 |\n| --- | ---: |\n{rows}"
    (folder / "tables" / "results.md").write_text(table + "\n![b](http://x.org/b.png)  \nn = 2 seeds.\n")
    decided = {"verdict": "held", "effect": 0.125, "low": 0.05, "high": 0.25, "n": 2, "decided_by": HOSTILE, "note": ""}
    unknown = {"verdict": "no data", "n": 0, "note": "no data: none"}
    claims = pd.DataFrame([CLAIM | decided, CLAIM | unknown | {"id": "two"}])
    claims.to_csv(folder / "tables" / "claims.csv", index=False)
    (folder / "tables" / "claims.txt").write_text("Claims: 1 held.\n")
