"""Predicates over which heads survive, and what single heads are worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from headprune.analysis.evidence import BySeed, Evidence
from headprune.analysis.predicates.base import Comparison, OfLines, Predicate, Share, at
from headprune.analysis.tables import line_of
from headprune.statistics.randomisation import least_p

ALONE = "of kind keep_one of a model with some quality"


class OfMasks(OfLines):
    def of_masks(self, evidence: Evidence, system: str, what: str, effects: BySeed, missing: str) -> Comparison:
        """A comparison that is about the masks of a system."""
        line = line_of(system)
        absent = not evidence.budgets(line, (0, 1))
        missing = f"{system} is not in the results" if absent else missing
        budgets, lost = evidence.budgets(line, self.kept), self.lost(evidence, system)
        return Comparison(f"{system}: {what}{at(budgets)}", effects, missing, lost, elsewhere=absent)


class Survival(OfMasks):
    """The share of heads kept of one attention type less that of another."""

    predicate: Literal["survival"]
    more: Literal["encoder", "cross", "decoder"]
    less: Literal["encoder", "cross", "decoder"]
    unit: ClassVar[str] = "share of heads kept"

    def parts(self, evidence: Evidence) -> Iterator[Comparison]:
        for system in self.systems:
            table = evidence.survival(line_of(system), self.kept)
            shares = table.groupby(["seed", "type"])["kept"].mean().unstack() if len(table) else table
            known = len(table) and {self.more, self.less} <= set(shares.columns)
            effects = {int(str(s)): float(r[self.more] - r[self.less]) for s, r in shares.iterrows()} if known else {}
            missing = "" if effects else f"no masks of {system} over {self.more} and {self.less} heads"
            yield self.of_masks(evidence, system, f"{self.more} − {self.less}", effects, missing)


class SurvivalByDepth(OfMasks):
    """The share of heads of a type kept in the upper half of the layers less that in the lower half."""

    predicate: Literal["survival_by_depth"]
    type: Literal["encoder", "cross", "decoder"]
    unit: ClassVar[str] = "share of heads kept"

    def parts(self, evidence: Evidence) -> Iterator[Comparison]:
        for system in self.systems:
            table = evidence.survival(line_of(system), self.kept)
            table = table[table["type"] == self.type]
            layers = int(table["layer"].max()) + 1 if len(table) else 0
            effects = {}
            for seed, own in table.groupby("seed") if layers > 1 else ():
                upper = own["layer"] >= layers - layers // 2
                lower = own["layer"] < layers // 2
                effects[int(str(seed))] = float(own.loc[upper, "kept"].mean() - own.loc[lower, "kept"].mean())
            missing = "" if effects else f"no masks of {system} over two layers of {self.type} heads"
            yield self.of_masks(evidence, system, f"upper − lower {self.type} layers", effects, missing)


class OneHead(Predicate):
    """The share of attention modules that lose no more than `tolerance` with one head, the best, left alone."""

    predicate: Literal["one_head"]
    tolerance: Share = 0.05  # of the unpruned quality
    unit: ClassVar[str] = "share of modules"

    def parts(self, evidence: Evidence) -> Iterator[Comparison]:
        losses = module_losses(evidence)
        effects = {seed: float(np.mean([x <= self.tolerance for x in own.values()])) for seed, own in losses.items()}
        yield Comparison("modules that live with one head", effects, "" if effects else f"no ablations {ALONE}")


class OneHeadOf(Predicate):
    """The loss of quality with one head, the best, left alone in the last module of a type."""

    predicate: Literal["one_head_of_last"]
    type: Literal["encoder", "cross", "decoder"]

    def parts(self, evidence: Evidence) -> Iterator[Comparison]:
        effects = {}
        for seed, own in module_losses(evidence).items():
            layers = [layer for kind, layer in own if kind == self.type]
            if layers:
                effects[seed] = own[self.type, max(layers)]
        missing = "" if effects else f"no ablations of {self.type} heads {ALONE}"
        yield Comparison(f"last {self.type} layer with one head", effects, missing)


class DropOne(Predicate):
    """The share of heads without which quality is not significantly lower.

    No p counts as smaller than the segments that differ allow, whatever test gave it. Where it is not known in how many
    they differ, what is significant counts as a loss, which speaks against a claim that most heads can go.
    """

    predicate: Literal["drop_one"]
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.01
    unit: ClassVar[str] = "share of heads"

    def parts(self, evidence: Evidence) -> Iterator[Comparison]:
        table = evidence.ablations
        table = table[table["kind"] == "drop_one"]
        sign = evidence.study.quality.sign
        least = table["segments_differing"].astype(float).map(least_p).fillna(0)
        p_value = table["p_value"].clip(lower=least)
        lower = (p_value < self.alpha) & (sign * table["value"] < sign * table["unpruned"])
        effects = {int(str(s)): float(1 - own.mean()) for s, own in lower.groupby(table["seed"])}
        yield Comparison("heads that can go alone", effects, "" if effects else "no ablations of kind drop_one")


def module_losses(evidence: Evidence) -> dict[int, Mapping[tuple[str, int], float]]:
    """The share of the unpruned quality that is lost with the best head alone in a module, by seed and (type, layer).

    A model without quality, BLEU 0, has no share.
    """
    table = evidence.ablations
    table = table[table["kind"] == "keep_one"]
    quality = evidence.study.quality
    found: dict[int, dict[tuple[str, int], float]] = {}
    for (seed, kind, layer), own in table.groupby(["seed", "type", "layer"]) if len(table) else ():
        shares = [quality.share(*pair) for pair in own[["value", "unpruned"]].to_numpy(dtype=float)]
        if not np.isfinite(shares).all():
            continue
        found.setdefault(int(str(seed)), {})[str(kind), int(str(layer))] = 1 - max(shares)
    return dict(sorted(found.items()))
