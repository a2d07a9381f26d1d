"""The summary of a report: what ran, what failed, how good the unpruned model is and who is best at each budget."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import yaml

from headprune.analysis.study import competes, methods_of, missed
from headprune.analysis.tables import (
    LINE,
    UNPRUNED,
    Quality,
    Results,
    by_seed,
    in_group,
    label_of,
    lines_of,
    outcomes,
    quality_in,
    seed_values,
)
from headprune.report.sources import Sources
from headprune.statistics import Estimate

LEAST = 3  # seeds that an interval needs


@dataclass(frozen=True)
class Best:
    """The pruned line with the best mean over seeds at a budget."""

    budget: int
    labels: tuple[str, ...]  # several where their means print alike, none where even the best is noise
    quality: Estimate
    share: float  # of the unpruned quality
    rivals: int  # lines that have a result at this budget
    without_result: int  # cells of any line at this budget


@dataclass(frozen=True)
class ReportOverview:
    """One (profile, track, dataset, model) in numbers."""

    labels: Mapping[str, str]
    quality: Quality
    n_heads: int
    methods: int  # that prune
    arms: int  # of them, untreated
    seeds: int
    statuses: Mapping[str, int]  # cells by status
    unpruned: Estimate
    best: tuple[Best, ...]

    @property
    def cells(self) -> int:
        """Number of cells that were planned."""
        return sum(self.statuses.values())

    @property
    def without_result(self) -> int:
        """Number of cells that have no result."""
        return self.cells - self.statuses.get("ok", 0)


def overview(results: Results, group: tuple[str, ...]) -> ReportOverview:
    """Counts and best lines, among the lines that compete in the results table, too.

    :returns: the numbers of one (profile, track, dataset, model)
    """
    cells = in_group(results.cells, group)
    quality = quality_in(results, group)
    runs = outcomes(cells, quality)
    statuses, lines = Counter(runs["status"]), lines_of(runs)
    top = runs.loc[runs["method"] == UNPRUNED].groupby("seed")["value"].agg(quality.mean).dropna()
    unpruned = quality.estimate(top.to_numpy(dtype=float))
    return ReportOverview(
        labels=dict(zip(("profile", "track", "dataset", "model"), group, strict=True)),
        quality=quality,
        n_heads=int(runs["n_heads"].max()) if runs["n_heads"].notna().any() else 0,
        methods=len(methods_of(lines)),
        arms=sum(map(competes, lines)),
        seeds=runs["seed"].nunique(),
        statuses=dict(sorted(statuses.items())),
        unpruned=unpruned,
        best=tuple(_best(runs, quality, unpruned)),
    )


def _best(runs: pd.DataFrame, quality: Quality, unpruned: Estimate) -> list[Best]:
    values = seed_values(by_seed(runs, quality))
    off, found = missed(runs), []
    heads = runs[runs["status"] == "ok"].groupby([*LINE, "budget"])["heads_kept"].mean().to_dict()
    for budget in sorted({budget for (line, budget) in values if competes(line)}, reverse=True):
        rivals = {
            line: quality.estimate(list(own.values()))
            for (line, at), own in values.items()
            if at == budget and competes(line) and (line, at) not in off and heads[(*line, at)] <= budget
        }
        if rivals:
            line = max(rivals, key=lambda one: quality.sign * rivals[one].value)
            own = runs[(runs["budget"] == budget) & (runs["method"] != UNPRUNED)]
            best = rivals[line]
            share = quality.share(best.value, unpruned.value)
            lost = int((own["status"] != "ok").sum())
            alike = [one for one in rivals if round(rivals[one].value - best.value, quality.digits) == 0]
            labels = tuple(map(label_of, [line, *(one for one in sorted(alike) if one != line)]))
            labels = () if quality.is_noise(best.value, unpruned.value) else labels
            found.append(Best(budget, labels, best, share, len(rivals), lost))
    return found


def interval(estimate: Estimate, quality: Quality) -> str:
    """`15.46 [14.10, 16.82]`; without bounds below three seeds; a dash without a value."""
    if not np.isfinite(estimate.value):
        return "–"
    bounds = f" [{quality.text(estimate.low)}, {quality.text(estimate.high)}]" if _has_interval(estimate) else ""
    return f"{quality.text(estimate.value)}{bounds}".replace("-", "−")


def _has_interval(estimate: Estimate) -> bool:
    return estimate.n >= LEAST and estimate.has_interval


def percent(share: float) -> str:
    """`97.1 %`; a dash where there is nothing to be a share of."""
    return f"{100 * share:.1f} %" if np.isfinite(share) else "–"


def provenance(sources: Sources) -> dict[str, str]:
    """The origin of the results as far as the manifest tells it: texts by what they tell of."""
    manifest = sources.manifest
    git = _mapping(manifest, "git")
    environment = _mapping(manifest, "environment")
    calls = [call for call in _list(manifest.get("calls")) if isinstance(call, dict)]
    texts = {
        "Data": f"cells.parquet, {sources.results.data}",
        "Code": f"commit {git['commit']}{', with changes' * bool(git.get('dirty'))}" if git.get("commit") else "",
        "Hardware": str(environment.get("hardware", "")),
        "Platform": " · ".join(str(manifest[key]) for key in ("python", "platform") if manifest.get(key)),
        "Libraries": ", ".join(f"{name} {version}" for name, version in _mapping(environment, "libraries").items()),
        "Collected": str(manifest.get("collected", "")),
        "Time of all jobs": f"{manifest['job_seconds'] / 3600:.2f} h"
        if _is_number(manifest.get("job_seconds"))
        else "",
        "Commands": "\n".join(str(call.get("command", "")) for call in calls),
    }
    return {name: text for name, text in texts.items() if text.strip()}


def configuration(sources: Sources) -> str:
    """The profile as it was given, or as resolved where that is not known; empty without a manifest."""
    config = sources.manifest.get("given") or sources.manifest.get("config")
    return as_yaml(config) if config else ""


def as_yaml(value: Any) -> str:
    """A JSON-able value as a reader of profiles knows it."""
    return yaml.safe_dump(json.loads(json.dumps(value)), sort_keys=False, allow_unicode=True, width=100)


def _mapping(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
