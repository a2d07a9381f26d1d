"""Sentences of docs/findings.md on single heads of Multi30k, and on what trains nothing, from published rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from quoting import FINDINGS, MULTI30K, ROOT, Values, gains, interval, lines_of, values_of

from headprune.statistics.seeds import paired_p

TOLD = " ".join(
    FINDINGS.partition("### Single heads, and masks that train nothing")[2].partition('id="small"')[0].split()
)
README = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
BUDGETS = (38, 32, 24, 16, 10, 5)
ONE_SHOT, ITERATIVE, SIGNED = (f"gradient_importance.{arm}" for arm in ("one_shot", "iterative", "signed"))
LABELS = {"evolutionary": "evolutionary", "greedy": "greedy", "OBS": "obs", "Fisher": "fisher"}


@pytest.fixture(scope="module")
def found() -> Values:
    """The rows of both parts."""
    return values_of("multi30k-core") | values_of("multi30k-frozen")


@pytest.fixture(scope="module")
def ablations() -> pd.DataFrame:
    rows = pd.read_csv(ROOT / "results/published/multi30k-frozen/ablations.csv")
    return rows[rows["metric"] == "bleu"].assign(module=rows["head"].str.rsplit(".", n=1).str[0])


def means(values: Values, one: str, other: str, budgets: tuple[int, ...]) -> list[float]:
    return [float(np.mean(gains(values[one, k], values[other, k]))) for k in budgets]


def test_means(found: Values) -> None:
    """No other method that trains nothing is on average ahead of the five that are shown."""
    quoted = lines_of(FINDINGS.partition("Of masks on the trained model that train nothing")[2], "\n| | K = 38 |")
    shown = [(LABELS.get(name) or MULTI30K[name][0], cells) for name, *cells in quoted]
    for label, cells in shown:
        assert cells == [interval(found[label, k].values()) for k in BUDGETS]
    lines = {label for label, k in values_of("multi30k-frozen") if k == 38 and "+" not in label}
    averages = {label: np.mean([list(found[label, k].values()) for k in BUDGETS]) for label in {*lines, ITERATIVE}}
    assert {label for label, _ in shown} == set(sorted(averages, key=averages.get)[-5:])


def test_searches_against_gradients(found: Values) -> None:
    ahead = [gains(found[search, k], found[ITERATIVE, k]) for search in ("greedy", "evolutionary") for k in BUDGETS]
    least, *_, most = sorted(np.mean(gain) for gain in ahead)
    assert f"by {least:.2f} to {most:.2f} BLEU at every K, with intervals on both sides of zero at all twelve" in TOLD
    assert f"are {least:.2f} to {most:.2f} BLEU above iterative gradient importance" in README
    assert all("[−" in interval(gain, "+") and ", −" not in interval(gain, "+") for gain in ahead)


def test_differences(found: Values) -> None:
    greedy = {k: gains(found["greedy", k], found["dsp.pipelined", k]) for k in BUDGETS}
    quoted = [np.mean(greedy[k]) for k in (38, 32, 24)], [sum(gain > 0 for gain in greedy[k]) for k in (16, 10, 5)]
    assert (
        "greedy removal by {:.2f}, {:.2f} and {:.2f} BLEU at K = 38, 32 and 24, in all six".format(*quoted[0]) in TOLD
    )
    assert "and in {}, {} and {} of them at 16, 10 and 5".format(*quoted[1]) in TOLD
    joint = [interval(gains(found["dsp.joint", k], found["greedy", k])) for k in (24, 5)]
    assert "ahead of greedy removal by {} at K = 24 and {} at 5".format(*joint) in TOLD
    signed = {k: gains(found[ONE_SHOT, k], found[SIGNED, k]) for k in BUDGETS[:5]}
    told = [interval(signed[38]), *(f"{np.mean(signed[k]):.2f}" for k in (32, 24, 16, 10))]
    least, *_, most = sorted(np.mean(signed[k]) for k in (32, 24, 16, 10))
    assert f"cost {least:.0f} to {most:.0f} BLEU with 32 to 10 heads" in README
    assert "cost {}, {}, {}, {} and {} BLEU".format(*told) in TOLD and min(map(min, signed.values())) > 0
    order = {k: np.mean(gains(found[ITERATIVE, k], found["drop_one", k])) for k in (38, 5)}
    assert f"{order[38]:+.2f} BLEU at K = 38 and {order[5]:+.2f} at 5" in TOLD


def test_random_heads(found: Values) -> None:
    told = [means(found, label, "random", (24, 16, 10)) for label in (f"{ONE_SHOT}+twin", ONE_SHOT)]
    assert "random heads by {:.2f}, {:.2f} and {:.2f} BLEU at K = 24, 16 and 10; the masks by".format(*told[0]) in TOLD
    assert "the masks by {:.2f}, {:.2f} and {:.2f}.".format(*told[1]) in TOLD
    balanced = {k: gains(found["random_balanced", k], found["random", k]) for k in BUDGETS[:4]}
    least, *_, most = sorted(np.mean(gain) for gain in balanced.values())
    assert f"are worth {least:.2f} to {most:.2f} BLEU at K of 16 and more" in TOLD
    assert [k for k, gain in balanced.items() if "[−" not in interval(gain, "+")] == [32]
    for label in (ONE_SHOT, "magnitude"):
        least, *_, most = sorted(means(found, f"{label}+bc", label, BUDGETS))
        assert f"{least:.2f} to {most:+.2f}".replace("-", "−") in TOLD
    kept = found["keep_one", 38].values()
    assert f"is at {np.mean(list(kept)):.2f} BLEU with 38 of 48 heads, below random heads at every K" in TOLD
    assert all(max(found["keep_one", k].values()) < min(found["random", k].values()) for k in BUDGETS)


def test_single_heads(ablations: pd.DataFrame) -> None:
    alone = ablations[ablations["kind"] == "drop_one"]
    worse = alone["unpruned"] > alone["value"]
    free = ~(worse & (alone["p_value"] < 0.01))
    types, layers = free.groupby(alone["type"]).mean(), free.groupby(alone["module"]).mean()
    assert "heads {encoder:.2f} can go alone, of the decoder's {decoder:.2f}".format(**types) in TOLD
    shares = (types["cross"], *(layers[f"cross.{layer}"] for layer in range(4)))
    assert "cross-attention {:.2f}, in its layers {:.2f}, {:.2f}, {:.2f} and {:.2f}.".format(*shares) in TOLD
    lost = (alone["unpruned"] - alone["value"])[free]
    assert f"lose {lost.mean():.2f} BLEU on average and {lost.max():.2f} at most" in TOLD
    easier = (~(worse & (alone["p_value"] < 0.05))).groupby(alone["seed"]).mean()
    assert f"at p < 0.05 the share is {easier.mean():.3f} [" in TOLD
    assert f"p = {paired_p(easier.to_numpy() - 0.5):.2g}, undecided" in TOLD


def test_one_head_alone(ablations: pd.DataFrame) -> None:
    best = ablations[ablations["kind"] == "keep_one"]
    best = (1 - best["value"] / best["unpruned"]).groupby([best["module"], best["seed"]]).min().unstack()
    modules = ["cross.3", "cross.2", "cross.1", "cross.0", "decoder.0"]
    quoted = "loses {:.3f} of the quality, the three before it {:.3f}, {:.3f} and {:.3f}, the decoder's first "
    quoted += "self-attention {:.3f}"
    losses = best.mean(axis=1)
    assert f"{quoted.format(*losses[modules])}, the seven others {losses.drop(modules).max():.3f} at most" in TOLD
    assert (
        f"more than a tenth without its other three did not (p = 0.031 each): it loses {losses['cross.3']:.0%}".replace(
            "%", " %"
        )
        in README
    )
    assert (best > 0.05).all(axis=1).pipe(lambda never: never[never].index.tolist()) == ["cross.2", "cross.3"]


def test_order_of_single_ablations(found: Values) -> None:
    """The claim whose two methods are in two parts."""
    whole = np.mean(list(found["unpruned", 48].values()))
    gained = [gains(found[ITERATIVE, k], found["drop_one", k]) for k in BUDGETS]
    effects = np.mean(gained, axis=0) / whole
    low, high = (float(end) for end in interval(1000 * effects).partition("[")[2].rstrip("]").split(", "))
    assert f"{effects.mean():+.3f} [{low / 1000:.3f}, {high / 1000:.3f}] of the unpruned BLEU at six K" in TOLD
    assert f"p = {paired_p(effects + 0.02):.2g}, **held**" in TOLD
