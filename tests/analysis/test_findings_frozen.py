"""Sentences of docs/findings.md on single heads of Multi30k, and on what trains nothing, from published rows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pytest
from quoting import FINDINGS, MULTI30K, ROOT, Values, gains, interval, lines_of, values_of
from scipy import stats

from headprune.statistics.seeds import paired_p

PART = FINDINGS.partition("### Single heads, and masks that train nothing")[2].partition('id="small"')[0]
TOLD = " ".join(PART.replace("**", "").split())
README = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
CORE, FROZEN = (ROOT / f"results/published/multi30k-{part}" for part in ("core", "frozen"))
BUDGETS = (38, 32, 24, 16, 10, 5)
ONE_SHOT, ITERATIVE, SIGNED = (f"gradient_importance.{arm}" for arm in ("one_shot", "iterative", "signed"))
LABELS = {"evolutionary": "evolutionary", "greedy": "greedy", "OBS": "obs", "Fisher": "fisher"}
CELL = ["method", "arm", "budget", "seed"]


@pytest.fixture(scope="module")
def found() -> Values:
    """The rows of both parts."""
    return values_of("multi30k-core") | values_of("multi30k-frozen")


@pytest.fixture(scope="module")
def ablations() -> pd.DataFrame:
    rows = pd.read_csv(FROZEN / "ablations.csv")
    rows = rows[rows["metric"] == "bleu"].assign(module=rows["head"].str.rsplit(".", n=1).str[0])
    return rows.assign(loss=1 - rows["value"] / rows["unpruned"])


def over(found: Values, one: str, other: str, budgets: tuple[int, ...] = BUDGETS) -> np.ndarray:
    """Differences within seeds, means over budgets: (seeds,)."""
    return np.mean([gains(found[one, k], found[other, k]) for k in budgets], axis=0)


def thousandths(numbers: Iterable[float], sign: str = "") -> str:
    """A mean with its t interval, by scipy, to three digits."""
    values = np.array(list(numbers))
    half = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)
    text = f"{values.mean():{sign}.3f} [{values.mean() - half:.3f}, {values.mean() + half:.3f}]"
    return text.replace("-", "−")


def test_cells() -> None:
    core, frozen = (
        {
            tuple(cell)
            for cell in pd.read_parquet(path / "cells.parquet")[CELL].astype({"arm": str}).drop_duplicates().to_numpy()
        }
        for path in (CORE, FROZEN)
    )
    new = len(frozen - core)
    assert f"{new} cells more, of the same models" in TOLD
    assert f"{len(frozen)} of which {len(frozen) - new} are the core's" in TOLD


def test_means(found: Values) -> None:
    """No other method that trains nothing is on average ahead of the five that are shown."""
    quoted = lines_of(FINDINGS.partition("The five masks on a trained model")[2], "\n| | K = 38 |")
    shown = [(LABELS.get(name) or MULTI30K[name][0], cells) for name, *cells in quoted]
    for label, cells in shown:
        assert cells == [interval(found[label, k].values()) for k in BUDGETS]
    lines = {label for label, k in values_of("multi30k-frozen") if k == 38 and "+" not in label}
    averages = {label: np.mean([list(found[label, k].values()) for k in BUDGETS]) for label in {*lines, ITERATIVE}}
    *_, next_one, last = sorted(averages, key=averages.get)[:-4]
    assert [label for label, _ in shown] == sorted(averages, key=averages.get, reverse=True)[:5]
    assert last == "fisher" and next_one in (ONE_SHOT, "gradient_importance.unnormalised")
    assert f"is {interval(over(found, last, ONE_SHOT), '+').lstrip('+')} BLEU below the last of them" in TOLD
    whole = np.mean(list(found["unpruned", 48].values()))
    best = [whole - max(np.mean(list(value.values())) for (_, k), value in found.items() if k == at) for at in (38, 10)]
    assert f"Without ten heads the best search is {best[0]:.1f} BLEU below the unpruned model" in TOLD
    searched = max(np.mean(list(found[label, 10].values())) for label in LABELS.values())
    assert f"without 38 it is {whole - searched:.1f} below" in TOLD


def test_searches_against_gradients(found: Values) -> None:
    quoted = [interval(over(found, search, ITERATIVE), "+") for search in ("greedy", "evolutionary")]
    assert "greedy removal {}, evolution {}, each ahead in".format(*quoted) in TOLD
    assert "greedy removal by {} and evolution by {}".format(*(text.lstrip("+") for text in quoted)) in README
    for search in ("greedy", "evolutionary"):
        pairs = [gain > 0 for k in BUDGETS for gain in gains(found[search, k], found[ITERATIVE, k])]
        assert f"each ahead in {sum(pairs)} of {len(pairs)} pairs" in TOLD
    assert f"It is {interval(over(found, 'obs', ITERATIVE), '+')} from the iterative order" in TOLD
    assert max(gains(found["obs", 32], found[ITERATIVE, 32])) < 0


def test_passes() -> None:
    """All six budgets count, which one run serves; and with the trials."""
    rows = pd.concat([pd.read_parquet(path / "cells.parquet") for path in (FROZEN, CORE)])
    rows = rows.fillna({"arm": ""}).drop_duplicates([*CELL, "metric"])

    def passes(method: str, arm: str = "", start: str = "prune") -> float:
        own = rows[(rows["method"] == method) & (rows["arm"] == arm)]
        metrics = [f"{start}_forward_sentences", f"{start}_backward_sentences"]
        return float(own[own["metric"].isin(metrics)].groupby("metric")["value"].mean().sum())

    found = {name: passes(name) for name in ("greedy", "evolutionary", "obs")}
    trials = {name: passes(name, start="tuning") for name in ("greedy", "evolutionary")}
    iterative = [passes("gradient_importance", "iterative", start) for start in ("prune", "tuning")]
    one, two = (f"{round(found[name], -3):,.0f}" for name in ("greedy", "evolutionary"))
    total = round(found["evolutionary"] + trials["evolutionary"], -3)
    assert f"they take {one} and {two} passes of an example, nearly all forward" in TOLD
    assert (
        trials["greedy"] == 0
        and f"with the trials of their options {one} (greedy removal has none) and {total:,.0f}" in TOLD
    )
    assert f"the iterative order {iterative[0]:,.0f} and {sum(iterative):,.0f}" in TOLD
    assert f"OBS takes {found['obs']:,.0f} forward passes" in TOLD


def test_subset_pruning_and_signed_gradients(found: Values) -> None:
    behind = {k: gains(found["greedy", k], found["dsp.pipelined", k]) for k in BUDGETS}
    assert f"is behind greedy removal by {interval(over(found, 'greedy', 'dsp.pipelined'))}: by" in TOLD
    assert "by {}, {} and {} at K = 38, 32 and 24, in all".format(*(interval(behind[k]) for k in (38, 32, 24))) in TOLD
    assert min(min(behind[k]) for k in (38, 32, 24)) > 0
    ahead = [sum(gain > 0 for gain in behind[k]) for k in (16, 10, 5)]
    assert "and in {}, {} and {} of them at 16, 10 and 5".format(*ahead) in TOLD
    joint = [interval(gains(found["dsp.joint", k], found["greedy", k])) for k in (24, 5)]
    assert "ahead of greedy removal by {} at K = 24 and {} at 5".format(*joint) in TOLD
    signed = {k: gains(found[ONE_SHOT, k], found[SIGNED, k]) for k in BUDGETS}
    quoted = interval(over(found, ONE_SHOT, SIGNED)), interval(signed[24]), interval(signed[5], "+").lstrip("+")
    assert "lose {} against absolute ones, from {} at K = 24 to {} at 5".format(*quoted) in TOLD
    assert f"Signed gradients lose {quoted[0]} BLEU" in README
    random = interval(over(found, SIGNED, "random"), "+")
    assert f"from random heads, {random}." in TOLD


def test_random_heads_and_biases(found: Values) -> None:
    assert f"they are {interval(over(found, 'random_balanced', 'random'), '+')} above random ones" in TOLD
    twins = over(found, f"{ONE_SHOT}+twin", "random_balanced", (24, 16, 10))
    assert f"are {interval(twins)} above balanced ones at K = 24, 16 and 10" in TOLD
    biases = {
        label: {k: gains(found[f"{label}+bc", k], found[label, k]) for k in BUDGETS}
        for label in (ONE_SHOT, "magnitude")
    }
    means = [interval(over(found, f"{label}+bc", label), "+") for label in biases]
    assert f"with the one-shot masks {means[0]}, lower in all six seeds at K = 32, 24 and 16, higher in all" in TOLD
    assert max(max(biases[ONE_SHOT][k]) for k in (32, 24, 16)) < 0 < min(biases[ONE_SHOT][5])
    ends = [interval(biases["magnitude"][k], "+") for k in (24, 5)]
    assert "with magnitude {}, from {} at 24 to {} at 5".format(means[1], *ends) in TOLD
    assert all(max(found["keep_one", k].values()) < min(found["random", k].values()) for k in BUDGETS)


def test_masks_of_others() -> None:
    masks = pd.read_parquet(FROZEN / "masks.parquet").fillna({"arm": ""})
    kept = masks[masks["kept"]].groupby([*CELL])["head"].apply(frozenset)
    lines = {"entropy": ("entropy", ""), "unnormalised": ("gradient_importance", "unnormalised")}
    equal = {
        name: [
            kept[(*line, k, s)] == kept[("gradient_importance", "one_shot", k, s)] for k in BUDGETS for s in range(1, 7)
        ]
        for name, line in lines.items()
    }
    assert f"whose masks it has in {sum(equal['entropy'])} of {len(equal['entropy'])} cells" in TOLD
    assert all(equal["unnormalised"])


def test_single_heads(ablations: pd.DataFrame) -> None:
    alone = ablations[ablations["kind"] == "drop_one"]
    worse = alone["unpruned"] > alone["value"]
    free = ~(worse & (alone["p_value"] < 0.01))
    shares = free.groupby([alone["type"], alone["seed"]]).mean()
    quoted = [interval(shares[kind]) for kind in ("encoder", "decoder", "cross")]
    assert (
        "heads {} can go alone, of the decoder's {}, of those of cross-attention {}, which is not".format(*quoted)
        in TOLD
    )
    decided = [paired_p(shares[kind].to_numpy() - 0.5) < 0.05 for kind in ("encoder", "decoder", "cross")]
    assert decided == [True, True, False] and f"of cross-attention {quoted[2]} of the heads" in README
    counts = free.groupby(alone["seed"]).sum()
    assert f"{counts.min()} to {counts.max()} of 48 heads can go alone, by seed" in TOLD
    lost = (alone["unpruned"] - alone["value"])[free]
    assert f"{lost.mean():.2f} BLEU are lost by them on average and {lost.max():.2f} at most" in TOLD
    easier = (~(worse & (alone["p_value"] < 0.05))).groupby(alone["seed"]).mean()
    p_value = paired_p(easier.to_numpy() - 0.5)
    assert f"At p < 0.05 the share of heads is {thousandths(easier)}, p = {p_value:.2g}, undecided" in TOLD


def test_one_head_alone(ablations: pd.DataFrame) -> None:
    kept = ablations[ablations["kind"] == "keep_one"]
    best = kept.groupby(["type", "module", "seed"])["loss"].min()
    live = (best <= 0.05).groupby(["type", "seed"]).mean()
    told = f"all of the encoder's and {live['decoder'].mean():.2f} of the decoder's live with one head"
    assert live["encoder"].min() == 1 and f"{told}, of cross-attentions {interval(live['cross'])}." in TOLD
    assert f"{interval(live['cross'])} of the modules" in README
    closer = (best <= 0.03).groupby("seed").mean()
    assert f"is {thousandths(closer)}, p = {paired_p(closer.to_numpy() - 0.5):.2g}." in TOLD
    losses = best.groupby("module").mean()
    modules = [f"cross.{layer}" for layer in (3, 2, 1, 0)]
    quoted = "it loses {:.3f}, the three before it {:.3f}, {:.3f} and {:.3f}, all four significantly in every seed"
    assert (
        quoted.format(*losses[modules]) in TOLD
        and f"three did not (p = 0.031 each): it loses {losses['cross.3']:.0%}"[:-1] in README
    )
    decoder = f"self-attention loses {losses['decoder.0']:.3f}, the seven others"
    assert f"{decoder} {losses.drop([*modules, 'decoder.0']).max():.3f} at most" in TOLD
    chosen = kept.loc[kept.groupby(["module", "seed"])["loss"].idxmin()]
    assert (chosen[chosen["type"] == "cross"]["p_value"] < 0.01).all()


def test_the_average_head_alone(ablations: pd.DataFrame) -> None:
    average = ablations[ablations["kind"] == "keep_one"].groupby(["module", "seed"])["loss"].mean()
    live, last = (average <= 0.05).groupby("seed").mean(), average["cross.3"]
    assert f"one of its four heads {thousandths(live)} of the modules are within 5 %, undecided" in TOLD
    assert f"cross-attention loses {thousandths(last)}, not told apart from a tenth" in TOLD
    assert paired_p(live.to_numpy() - 0.5) > 0.05 and paired_p(last.to_numpy() - 0.1) > 0.05


def test_order_of_single_ablations(found: Values) -> None:
    """The claim whose two methods are in two parts, and what it is made of."""
    whole = np.mean(list(found["unpruned", 48].values()))
    effects = over(found, ITERATIVE, "drop_one") / whole
    assert f"{thousandths(effects, '+')} of the unpruned BLEU at six K" in TOLD
    assert f"p = {paired_p(effects + 0.02):.2g}, held" in TOLD
    larger = over(found, ITERATIVE, "drop_one", BUDGETS[:3]) / whole
    assert f"over the three larger K the effect is {thousandths(larger, '+')}." in TOLD
    assert f"less single ablations is {thousandths(over(found, ONE_SHOT, 'drop_one') / whole, '+')}, the" in TOLD
    again = over(found, ITERATIVE, "greedy") / whole
    assert f"which is greedy removal, {thousandths(again, '+')}, undecided" in TOLD and paired_p(again + 0.02) > 0.05
