"""The picture and the table of `gradients.py`, from its measurements."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "paper_figures"))

import matplotlib.pyplot as plt
from looks import (
    BLACK,
    BLUE,
    DASHED,
    DOT_DASHED,
    DOTTED,
    DOUBLE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    Look,
    styled,
)

LOOKS = {
    "dsp": Look(VERMILLION, "P"),
    "sst": Look(BLUE, "o", DASHED),
    "ste, st_relaxed": Look(GREEN, "^", DOT_DASHED),
    "capped_simplex": Look(ORANGE, "s", DOTTED),
    "imle": Look(PURPLE, "D", DASHED),
    "simple": Look(BLACK, "*"),
    "ste, st_gumbel": Look(SKY, ">"),
    "ste, plain": Look(GREY, "v"),
    "score function": Look(GREY, "X", DOTTED),
}
TITLES = {
    "dsp": "DSP",
    "sst": "SST",
    "ste, st_relaxed": "STE, relaxed",
    "capped_simplex": "capped simplex",
    "imle": "I-MLE",
    "simple": "SIMPLE",
    "ste, st_gumbel": "STE, Gumbel",
    "ste, plain": "STE",
    "score function": "score function",
}
PANELS = {
    "deviation": "deviation of one draw\n÷ size of the exact gradient",
    "cosine_of_mean": "cosine with it:\nmean of all draws",
    "cosine_of_clipped": "cosine with it:\nmean of clipped draws",
    "cosine_of_draw": "cosine with it:\none draw, on average",
}
SPREADS = {"start": "logits of deviation 0.5", "later": "logits of deviation 2"}


def medians(found: pd.DataFrame) -> pd.DataFrame:
    """Medians over the problems, each estimator judged by the masks it draws."""
    own = found[found["own"]]
    keys = ["spread", "estimator", "setting"]
    return own.drop(columns=["problem", "target", "own"]).groupby(keys, sort=False).median().reset_index()


def table(found: pd.DataFrame) -> str:
    """The medians as Markdown."""
    heads = (
        "logits",
        "estimator",
        "temperature or strength",
        "bias",
        "deviation",
        "cosine: mean",
        "clipped",
        "one draw",
    )
    lines = [f"| {' | '.join(heads)} |", "| --- | ---" + " | ---:" * 6 + " |"]
    for row in medians(found).itertuples():
        measures = (row.bias, row.deviation, row.cosine_of_mean, row.cosine_of_clipped, row.cosine_of_draw)
        cells = (row.spread, row.estimator, f"{row.setting:g}" if row.setting else "–", *(f"{m:.2f}" for m in measures))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(found: pd.DataFrame, output: Path) -> None:
    """Writes `output` as .png and .pdf."""
    middle = medians(found)
    with styled():
        figure, axes = plt.subplots(2, len(PANELS), figsize=(DOUBLE, 4.2), sharex=True, sharey="col")
        for line, (spread, what) in zip(axes, SPREADS.items(), strict=True):
            line[0].set_ylabel(what)
            for ax, measure in zip(line, PANELS, strict=True):
                panel(ax, middle[middle["spread"] == spread], measure)
        for ax, label in zip(axes[0], PANELS.values(), strict=True):
            ax.set_title(label, fontsize=7.5)
        figure.supxlabel("temperature, or strength of I-MLE; estimators without either are level lines", fontsize=8)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=5)
        for kind in ("png", "pdf"):
            figure.savefig(output.with_suffix(f".{kind}"), metadata={"CreationDate": None} if kind == "pdf" else None)
        plt.close(figure)


def panel(ax: plt.Axes, part: pd.DataFrame, measure: str) -> None:
    """One measure: lines over the temperature, and at the left edge what has none."""
    low, high = part.loc[part["setting"] > 0, "setting"].agg(["min", "max"])
    for name, look in LOOKS.items():
        own = part[part["estimator"] == name].sort_values("setting")
        if len(own) > 1:
            ax.plot(own["setting"], own[measure], label=TITLES[name], **look.line)
        else:
            style = look.line | {"linewidth": 0.8, "markevery": [0]}
            ax.plot([high * 2, low], [own[measure].iloc[0]] * 2, label=TITLES[name], **style)
    ax.set_xscale("log")
    ax.set_xlim(high * 3, low / 1.5)
    ax.set_xticks([1, 1e-2, 1e-4])
    if measure == "deviation":
        ax.set_yscale("symlog", linthresh=0.1)
