"""The evidence that claims are decided on: qualities, costs, masks and ablations of one model, by seed."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from headprune.analysis.manifests import told
from headprune.analysis.study import REFERENCE, Pair, Point, Study
from headprune.analysis.tables import CELL, LINE, Line, Results, ResultsError, in_group, measured, split_arm
from headprune.analysis.updates import TOTAL, pretrained_updates, total_updates, trained_updates
from headprune.results.schema import ABLATION_COLUMNS, LATER

BySeed = dict[int, float]
LATENCY_BATCH = {"latency_ms": 1}


class Evidence:
    """One (profile, track, dataset, model) of a results folder."""

    def __init__(self, results: Results, group: tuple[str, ...]) -> None:
        self.results, self.group, self.track = results, group, group[1]
        self.study = Study(results, group)
        self.cells = in_group(results.cells, group)
        self.n_heads = int(self.cells["n_heads"].max())
        self._kept_costs: dict[str, dict[Point, BySeed]] = {}

    def budgets(self, line: Line, kept: tuple[float, float]) -> list[int]:
        """Budgets of a line whose share of all heads lies in a range, ends included."""
        own = [k for other, k in self.study.points if other == line]
        return [k for k in own if kept[0] - 1e-9 <= k / self.n_heads <= kept[1] + 1e-9]

    def quality(self, line: Line, budget: int) -> BySeed:
        """Share of the unpruned quality of the same seed that is left."""
        point, top = self.study.at(line, budget), self.study.at(REFERENCE, budget)
        own, unpruned = (self.study.values.get(at, {}) if at else {} for at in (point, top))
        quality = self.study.quality
        both = sorted(set(own) & set(unpruned))
        shares = {s: quality.share(float(quality.value(own[s])), float(quality.value(unpruned[s]))) for s in both}
        return {seed: share for seed, share in shares.items() if np.isfinite(share)}

    def difference(self, line: Line, baseline: Line, budget: int) -> BySeed:
        """Quality less that of a baseline, within seeds, over the mean unpruned quality of all seeds.

        Of perplexities both are logarithms. A baseline that keeps another number of heads is taken at as many
        (`Study.baseline`). None of a mask and twins that have too little freedom to differ from it.
        """
        pair = self._pair(line, baseline, budget)
        unpruned = self.study.values.get((REFERENCE, self.n_heads), {})
        if pair is None or not unpruned or self.study.is_bound(pair):
            return {}
        whole, found = abs(float(np.mean(list(unpruned.values())))), self.study.across(pair)
        differences = zip(found.seeds, found.differences, strict=True)
        return {seed: difference / whole for seed, difference in differences} if whole else {}

    def apart(self, line: Line, baseline: Line, kept: tuple[float, float]) -> list[int]:
        """The budgets at which a baseline is taken at as many heads as a line keeps, not at K."""
        pairs = {k: self._pair(line, baseline, k) for k in self.budgets(line, kept)}
        return [k for k, pair in pairs.items() if pair and self.study.is_apart(pair)]

    def _pair(self, line: Line, baseline: Line, budget: int) -> Pair | None:
        system, other = self.study.at(line, budget), self.study.at(baseline, budget)
        return Pair(system, other) if system and other else None

    def shared(self, line: Line, baseline: Line, kept: tuple[float, float]) -> list[int]:
        """The budgets of a line that a baseline has, too, with whatever seeds."""
        return [k for k in self.budgets(line, kept) if self._pair(line, baseline, k)]

    def bound(self, line: Line, baseline: Line, kept: tuple[float, float]) -> list[str]:
        """The budgets at which a mask is not compared with its twins, and why."""
        pairs = [Pair((line, k), (baseline, k)) for k in self.budgets(line, kept)]
        return [f"K = {pair.system[1]}: {self.study.freedom(pair)}" for pair in pairs if self.study.is_bound(pair)]

    def cost(self, metric: str, line: Line, budget: int) -> BySeed:
        """A cost over that of the unpruned model of the same seed."""
        table = self._costs(metric)
        own, top = table.get((line, budget), {}), table.get((REFERENCE, self.n_heads), {})
        return {seed: own[seed] / top[seed] for seed in sorted(set(own) & set(top)) if top[seed] > 0}

    def spent(self, metric: str, line: Line, budget: int) -> BySeed:
        """A cost as it was measured, mean over the draws of a seed."""
        return self._costs(metric).get((line, budget), {})

    def heads(self, line: Line, budget: int) -> BySeed:
        """Heads that were kept, mean over the draws of a seed."""
        runs = self.study.runs
        own = runs[(runs["method"] == line[0]) & (runs["line"] == line[1]) & (runs["budget"] == budget)]
        means = own.dropna(subset=["heads_kept"]).groupby("seed")["heads_kept"].mean()
        return {int(str(seed)): float(heads) for seed, heads in means.items()}

    def exact(self, line: Line, kept: tuple[float, float]) -> dict[int, list[bool]]:
        """Return by seed for every cell with a result whether it keeps as many heads as were asked for."""
        runs = self.study.runs
        own = runs[(runs["method"] == line[0]) & (runs["line"] == line[1]) & (runs["status"] == "ok")]
        own = own[own["budget"].isin(self.budgets(line, kept))]
        cells = (own["heads_kept"] == own["budget"]).groupby(own["seed"])
        return {int(str(seed)): [bool(cell) for cell in part] for seed, part in cells}

    def trials(self, line: Line) -> int | None:
        """Number of trainings that the search of a line for K may add, by the manifest; None where it does not tell."""
        method, arm = line[0], split_arm(line[1])[0]
        for entry in self._entries:
            if (entry.get("name"), entry.get("arm") or "") == (method, arm) and entry.get("coefficients") is not None:
                return entry.get("trials")
        return None

    def survival(self, line: Line, kept: tuple[float, float]) -> pd.DataFrame:
        """Share of heads kept by (seed, type, layer), over budgets; empty without masks."""
        masks = self._masks
        own = masks[(masks["method"] == line[0]) & (masks["line"] == line[1])] if len(masks) else masks
        if not len(own):
            return pd.DataFrame(columns=["seed", "type", "layer", "kept"])
        own = own[own["budget"].isin(self.budgets(line, kept))]
        return own.groupby(["seed", "type", "layer"])["kept"].mean().reset_index()

    @cached_property
    def ablations(self) -> pd.DataFrame:
        """Rows of ablations.csv of this model that have a result; empty without the file.

        :raises ResultsError: ablations.csv is unreadable or lacks a column
        """
        path = self.results.folder / "ablations.csv"
        if not path.is_file():
            return pd.DataFrame(columns=list(ABLATION_COLUMNS))
        try:
            table = pd.read_csv(path, float_precision="round_trip")
        except (OSError, ValueError) as error:
            raise ResultsError(f"{path.name} is not a readable CSV file: {error}") from error
        table = table.reindex(columns=[*table.columns, *(c for c in LATER if c not in table.columns)])
        if absent := [column for column in ABLATION_COLUMNS if column not in table.columns]:
            raise ResultsError(f"{path.name} lacks the columns {', '.join(absent)}")
        own = (table["profile"] == self.group[0]) & (table["model"] == self.group[3])
        return table[own & (table["metric"] == self.study.quality.metric) & (table["status"] == "ok")]

    @cached_property
    def _entries(self) -> list[dict[str, Any]]:
        """The methods of the profile as they were configured; none without a readable manifest."""
        return [entry for entry in told(self.results.folder, "config").get("methods") or [] if isinstance(entry, dict)]

    @cached_property
    def _masks(self) -> pd.DataFrame:
        if self.results.masks is None:
            return pd.DataFrame()
        completed = self.study.runs.loc[self.study.runs["status"] == "ok", CELL]
        return in_group(self.results.masks, self.group).merge(completed, on=CELL)

    def _costs(self, metric: str) -> dict[Point, BySeed]:
        if metric not in self._kept_costs:
            self._kept_costs[metric] = self._read_costs(metric)
        return self._kept_costs[metric]

    def _read_costs(self, metric: str) -> dict[Point, BySeed]:
        if metric == TOTAL:
            rows = total_updates(
                self.cells, trained_updates(self.results.folder), pretrained_updates(self.results.folder)
            )
        else:
            rows = measured(self.cells, metric, batch_size=LATENCY_BATCH.get(metric))
        means: Any = rows.groupby([*LINE, "budget", "seed"])["value"].mean()
        found: dict[Point, BySeed] = {}
        for (method, line, budget, seed), value in means.items():
            found.setdefault(((method, line), int(budget)), {})[int(seed)] = float(value)
        return found
