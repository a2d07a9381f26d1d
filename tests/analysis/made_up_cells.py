"""Results folders with a few made-up cells, in the benchmark's own schema."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headprune.naming import cell_id

Values = Mapping[tuple[str, str, int, int], float | None]  # method, arm, budget, seed -> test quality; None: failed
GROUP = {"profile": "unit", "track": "mt", "dataset": "help", "model": "tiny"}
N_HEADS = 12


def rows_of(values: Values, group: Mapping[str, str] = GROUP, metric: str = "bleu", **costs: Any) -> list[dict]:
    """Rows of cells; `costs`: further metrics as functions of the number of heads kept."""
    rows = []
    for (method, arm, budget, seed), value in values.items():
        common = dict(group) | {"method": method, "arm": arm, "budget": budget, "seed": seed, "n_heads": N_HEADS}
        state = {"status": "failed", "reason": "no memory"} if value is None else {"status": "ok", "heads_kept": budget}
        rows.append(common | state | {"split": "test", "metric": metric, "value": value})
        if value is not None:
            rows += [
                common | state | {"split": "", "metric": name, "value": float(cost(budget))}
                for name, cost in costs.items()
            ]
    return rows


def write_hypotheses(folder: Path, method: str, arm: str, budget: int, seed: int, lines: list[str]) -> None:
    path = folder / "segments" / cell_id("tiny", method, arm, budget, seed) / "hypotheses.test.txt.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))
