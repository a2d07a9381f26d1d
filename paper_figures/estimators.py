"""Gradient importance when the absolute value is taken elsewhere, or not at all.

Writes estimators.csv, .md and .tex: test quality of every arm of the method, agreement of its masks with those of
the paper's estimator (absolute value per example), and the difference the signed estimator makes, seed by seed.

python paper_figures/estimators.py RESULTS_DIR OUT_DIR
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from captions import caption
from command import run
from common import GROUP, Quality, Results, group_label, in_group, outcomes, quality_of, write_text
from families import ARMS, line_label
from masks import expected_jaccard, usable_masks
from tabling import ABSENT, escape, tabular

from headprune.analysis.drawings import Table

NAME = "estimators"
TABLE = Table(
    "Importance by gradients: the estimators compared on one model.",
    needs=("arms:gradient_importance",),
    target="figures",
)
METHOD, REFERENCE, SIGNED = "gradient_importance", "one_shot", "signed"
COLUMNS = [*GROUP, "arm", "budget", "seed", "quality", "difference", "agreement", "chance"]
TITLES = {
    "quality": "Test quality",
    "agreement": "Jaccard agreement of the masks with one-shot",
    "difference": "Difference in test quality to one-shot of the same seed",
}
OPENING = (
    "Gradient importance by its estimator. One-shot takes the absolute value per example, as the paper has it; signed "
    "takes none, position one per position, batch one per batch; iterative is one-shot estimated anew after every "
    "step. Mean over seeds, of perplexity geometric (lowest to highest). Jaccard: heads kept by both over heads kept "
    "by either; chance: its expectation for two random masks. Difference: positive is better than one-shot, in the "
    "units of the metric, of perplexity in nats per token."
)
NOTHING = "No comparison of estimators in these results: it needs one_shot and another arm of gradient_importance."


def draw(results: Results, out_dir: Path) -> None:
    """Write the tables; where there is nothing to compare, tables that say so."""
    results = results.untreated()
    results = results.only([line for line in results.lines() if line[0] == METHOD])
    found = [(group, compared(results, group)) for group in results.groups()]
    found = [(group, runs) for group, runs in found if not runs.empty]
    if not found:
        text = NOTHING + "\n"
        write_text(out_dir / f"{NAME}.csv", pd.DataFrame(columns=COLUMNS).to_csv(index=False))
        write_text(out_dir / f"{NAME}.md", text)
        write_text(out_dir / f"{NAME}.tex", f"% {text}")
        write_text(out_dir / f"{NAME}.txt", text)
        return
    text = caption(results, OPENING)
    write_text(out_dir / f"{NAME}.csv", pd.concat([runs for _, runs in found]).to_csv(index=False))
    markdown, latex = [], []
    for group, runs in found:
        label = group_label(results, group)
        for title, header, body in tables(runs, quality_of(in_group(results.cells, group))):
            heading = ", ".join(part for part in (title, label) if part)
            rule = ["---", *["---:"] * (len(header) - 1)]
            lines = ["| " + " | ".join(cells) + " |" for cells in (header, rule, *body)]
            markdown.append(f"## {heading}\n\n" + "\n".join(lines) + "\n")
            latex.append(f"% {heading}\n" + escape(tabular(header, body)))
    write_text(out_dir / f"{NAME}.md", "\n".join(markdown) + "\n" + text.replace("\n", "  \n"))
    write_text(out_dir / f"{NAME}.tex", "\n".join(latex))
    write_text(out_dir / f"{NAME}.txt", text)


def compared(results: Results, group: tuple[str, ...]) -> pd.DataFrame:
    """One row per (arm, budget, seed): quality, difference and agreement (NaN without a partner), chance."""
    cells = in_group(results.cells, group)
    quality = quality_of(cells)
    runs = outcomes(cells, quality)
    runs = runs[(runs["method"] == METHOD) & (runs["status"] == "ok")]
    if REFERENCE not in set(runs["arm"]) or runs["arm"].nunique() < 2:
        return pd.DataFrame()
    at = ["budget", "seed"]
    reference = runs[runs["arm"] == REFERENCE].set_index(at)["value"].rename("reference")
    runs = runs.join(reference, on=at)
    kept = kept_heads(results, group)
    agreement = [
        jaccard(kept.get((row.arm, row.budget, row.seed)), kept.get((REFERENCE, row.budget, row.seed)))
        for row in runs.itertuples(index=False)
    ]
    chance = [expected_jaccard(int(n), int(k)) for n, k in zip(runs["n_heads"], runs["heads_kept"], strict=True)]
    runs = runs.assign(
        quality=runs["value"],
        difference=quality.worth(runs["value"]) - quality.worth(runs["reference"]),
        agreement=agreement,
        chance=chance,
    )
    return runs[COLUMNS].sort_values(["arm", "budget", "seed"], ascending=[True, False, True])


def kept_heads(results: Results, group: tuple[str, ...]) -> dict[tuple[str, int, int], frozenset[str]]:
    """The heads kept, by arm, budget and seed."""
    for other, masks in usable_masks(results):
        if other == group:
            own = masks[(masks["method"] == METHOD) & (masks["kept"] == 1)]
            by_cell = own.groupby(["arm", "budget", "seed"])["head"]
            return {(str(arm), int(k), int(seed)): frozenset(heads) for (arm, k, seed), heads in by_cell}
    return {}


def jaccard(one: frozenset[str] | None, other: frozenset[str] | None) -> float:
    """|A ∩ B| / |A ∪ B|; NaN where a mask is absent or both keep nothing."""
    union = (one or frozenset()) | (other or frozenset())
    return len(one & other) / len(union) if one is not None and other is not None and union else float("nan")


def tables(runs: pd.DataFrame, quality: Quality) -> list[tuple[str, list[str], list[list[str]]]]:
    """The printed tables of one group: title, header, body."""
    budgets = sorted(runs["budget"].unique(), reverse=True)
    header = ["", *(f"K = {budget:g}" for budget in budgets)]
    names = [*(arm for arm in ARMS[METHOD]), *sorted(set(runs["arm"]) - set(ARMS[METHOD]))]
    arms = [arm for arm in names if arm in set(runs["arm"])]
    found = []
    for column, title in TITLES.items():
        shown = arms if column == "quality" else [arm for arm in arms if arm != REFERENCE]
        places = {"quality": quality.digits, "difference": quality.difference_digits}.get(column, 2)
        body = [
            [line_label((METHOD, arm)), *(_spread(runs, arm, budget, column, quality, places) for budget in budgets)]
            for arm in shown
        ]
        if column == "agreement":
            chance = runs.groupby("budget")["chance"].mean()
            body.append(["chance", *(f"{chance[budget]:.2f}" for budget in budgets)])
        found.append((title, header, body))
    signed = runs[runs["arm"] == SIGNED]
    if not signed.empty:
        values = signed.set_index(["seed", "budget"])["difference"].dropna()
        body = [
            [f"seed {seed}", *(_signed(values.get((seed, budget)), quality.difference_digits) for budget in budgets)]
            for seed in sorted(signed["seed"].unique())
        ]
        found.append(("Signed − one-shot, seed by seed", header, body))
    return found


def _spread(runs: pd.DataFrame, arm: str, budget: int, column: str, quality: Quality, digits: int) -> str:
    """`27.31 (27.19 to 27.43)`; differences with their sign; one run has no range to show."""
    values = runs.loc[(runs["arm"] == arm) & (runs["budget"] == budget), column].dropna()
    if values.empty:
        return ABSENT
    average = quality.mean(values) if column == "quality" else values.mean()
    shows = {"difference": partial(_signed, digits=digits), "quality": quality.text}
    show = shows.get(column, f"{{:.{digits}f}}".format)
    return show(average) + (f" ({show(values.min())} to {show(values.max())})" if len(values) > 1 else "")


def _signed(value: float | None, digits: int) -> str:
    return ABSENT if value is None else f"{value:+.{digits}f}".replace("-", "−")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run(draw, __doc__, argv, with_masks=True)


if __name__ == "__main__":
    sys.exit(main())
