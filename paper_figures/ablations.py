"""The worth of single heads: Michel et al.'s tables of heads taken away one by one, and of heads left alone.

Writes ablations.csv, .md and .tex. * marks p < 0.01 by a paired test on the validation set, uncorrected.

python paper_figures/ablations.py RESULTS_DIR OUT_DIR
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from captions import caption
from command import run
from common import Results, write_text
from tabling import ABSENT, escape, tabular

from headprune.analysis.drawings import Table
from headprune.analysis.quality import of_metric
from headprune.results.schema import LATER
from headprune.statistics.randomisation import least_p

NAME = "ablations"
TABLE = Table(
    "Heads of the unpruned model taken away one at a time, and left alone in their module.",
    needs=("ablations",),
    target="figures",
)
ALPHA = 0.01
NAMES = {"bleu": "BLEU", "bleu_tokenized": "BLEU of tokens"}
LOWER_IS_BETTER = ("perplexity",)
TYPES = ("encoder", "cross", "decoder")
TITLES = {
    "drop_one": "Without one head: difference in {metric} to the unpruned model",
    "keep_one": "One head alone in its module: difference in {metric}, the best head of each module",
}
OPENING = (
    "Heads of the unpruned model taken away one at a time (drop one), and all but one of a module taken away (keep "
    "one; the best head is chosen on the text it is scored on). Differences of BLEU, of perplexity those of its "
    "logarithm (nats per token). Validation set; * p < 0.01, paired test of the outputs, two-sided, each head for "
    "itself, without correction for their number; k segments that differ allow no p below 2^(1−k){unknown}."
)
UNKNOWN = ": these results do not say of every head in how many segments the outputs differ, which then has none"
NOTHING = "No ablations in these results: the profile asks for none."


def draw(results: Results, out_dir: Path) -> None:
    """Write the tables; where there are none, tables that say so."""
    path = results.folder / "ablations.csv"
    table = pd.read_csv(path, float_precision="round_trip") if path.exists() else pd.DataFrame(columns=["status"])
    table = table[table["status"] == "ok"]
    write_text(out_dir / f"{NAME}.csv", table.to_csv(index=False))
    if table.empty:
        write_text(out_dir / f"{NAME}.md", NOTHING + "\n")
        write_text(out_dir / f"{NAME}.tex", f"% {NOTHING}\n")
        return
    table = table.reindex(columns=[*table.columns, *(c for c in LATER if c not in table.columns)])
    unknown = UNKNOWN if table["segments_differing"].isna().any() else ""
    markdown, latex = [], []
    for heading, header, body in tables(table):
        rule = ["---", *["---:"] * (len(header) - 1)]
        lines = ["| " + " | ".join(cells) + " |" for cells in (header, rule, *body)]
        markdown.append(f"## {heading}\n\n" + "\n".join(lines) + "\n")
        latex.append(f"% {heading}\n" + escape(tabular(header, body)))
    text = caption(results, OPENING.format(unknown=unknown), with_metric=False)
    write_text(out_dir / f"{NAME}.md", "\n".join(markdown) + "\n" + text.replace("\n", "  \n"))
    write_text(out_dir / f"{NAME}.tex", "\n".join(latex))


def tables(table: pd.DataFrame) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Heading, header and rows of every table: drop one by type and layer × head, keep one by layer × type."""
    for (model, seed, kind), part in table.groupby(["model", "seed", "kind"]):
        metric = str(part["metric"].iloc[0])
        title = TITLES[str(kind)].format(metric=NAMES.get(metric, metric))
        base = f"{title} ({part['unpruned'].iloc[0]:.2f}; {model}, seed {seed})"
        quality = of_metric(metric)
        worth = [quality.worth(part[column]) for column in ("value", "unpruned")]
        part = part.assign(difference=quality.sign * (worth[0] - worth[1]), digits=quality.difference_digits)
        if kind == "keep_one":
            by_layer = part.groupby(["type", "layer"])["value"]
            best = part.loc[by_layer.idxmin() if metric in LOWER_IS_BETTER else by_layer.idxmax()]
            types = [name for name in TYPES if name in set(best["type"])]
            yield base, ["layer", *types], grid(best, "layer", "type", types)
            continue
        for name in TYPES:
            of_type = part[part["type"] == name]
            if not of_type.empty:
                heads = sorted(of_type["index"].unique())
                header = [f"{name} layer", *(f"head {int(head)}" for head in heads)]
                yield base, header, grid(of_type, "layer", "index", heads)


def grid(part: pd.DataFrame, down: str, across: str, columns: Sequence[object]) -> list[list[str]]:
    """One row per value of `down`; what is not there is a dash."""
    texts = {(row[down], row[across]): text(row) for _, row in part.iterrows()}
    return [
        [f"{int(value)}", *(texts.get((value, column), ABSENT) for column in columns)]
        for value in sorted(part[down].unique())
    ]


def text(row: pd.Series) -> str:
    """`−0.31*`"""
    allowed = least_p(float(row["segments_differing"])) < ALPHA  # NaN: not known, and no star
    star = "*" * (row["p_value"] < ALPHA and allowed)
    return f"{row['difference']:+.{row['digits']}f}{star}".replace("-", "−")


def main(argv: Sequence[str] | None = None) -> int:
    return run(draw, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
