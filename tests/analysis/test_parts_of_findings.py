"""Sentences of docs/findings.md and README.md on what means of the profile small are made of, from published rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from quoting import FINDINGS, ROOT, Values, gains, interval, values_of

from headprune.statistics.seeds import paired_p

TOLD = " ".join(FINDINGS.split())
README = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
ONE_SHOT, ITERATIVE = "gradient_importance.one_shot", "gradient_importance.iterative"
WITHOUT = ("random", "signed", "batch", "confidence", "keep_one")  # of what trains nothing


@pytest.fixture(scope="module")
def parts() -> dict[str, Values]:
    return {part: values_of(f"small-{part}") for part in ("core", "frozen", "continued", "controls")}


def within(one: dict[int, float], two: dict[int, float], sign: str = "+") -> str:
    """An interval of differences within all seeds that both have."""
    return interval([one[seed] - two[seed] for seed in one.keys() & two.keys()], sign)


def test_contrasts_by_budget(parts: dict[str, Values]) -> None:
    core, frozen, continued = parts["core"], parts["frozen"], parts["continued"]
    for label, verb in (("dsp.joint", "is "), ("dsp.pipelined", "")):
        quoted = [within(core[label, k], core[ITERATIVE, k]) for k in (18, 12, 7)]
        assert "less the iterative order {}{}, {} and {}".format(verb, *quoted) in TOLD
    unpruned = core["unpruned", 36]
    lost = {k: np.array([1 - core[ITERATIVE, k][seed] / value for seed, value in unpruned.items()]) for k in (12, 7)}
    assert f"is a loss of {lost[12].mean():.2f} at K = 12, over half in {(lost[12] > 0.5).sum()} of twelve" in TOLD
    assert f"and of {lost[7].mean():.2f} at 7" in TOLD
    mild = frozen[ONE_SHOT, 29]
    loss = np.mean(gains(frozen["unpruned", 36], mild))
    assert f"is at {np.mean(list(mild.values())):.2f} BLEU, {loss:.2f} below the unpruned model" in TOLD
    assert f"{within(mild, continued['dsp.pipelined', 29], '')} below it" in TOLD
    ahead = sum(core["dsp.pipelined", 7][seed] > core[ONE_SHOT, 7][seed] for seed in unpruned)
    assert f"one-shot order in {ahead} of twelve" in TOLD


def test_what_trains_nothing(parts: dict[str, Values]) -> None:
    found = parts["frozen"]
    lines = {label for label, budget in found if budget == 12 and "+" not in label}
    others = {label for label in lines if not any(name in label for name in WITHOUT)}
    assert {"magnitude", "obs", "fisher", "greedy", "evolutionary", ONE_SHOT} < others
    means = {k: {label: np.mean(list(found[label, k].values())) for label in lines} for k in (12, 7)}
    assert all(10.05 < means[12][label] < 11.75 for label in others)
    assert max(means[12][label] for label in lines - others) < 10
    assert max(means[12], key=means[12].get) == max(means[7], key=means[7].get) == "obs"
    assert f"{means[12]['obs']:.2f} and {means[7]['obs']:.2f} BLEU." in TOLD


def test_training_on(parts: dict[str, Values]) -> None:
    joint, continued, controls = parts["core"]["dsp.joint", 7], parts["continued"], parts["controls"]
    longer = [
        interval(gains(controls[f"{label}+ft_long", 7], joint), "+") for label in ("random.treated", "l0.continued")
    ]
    assert f"a difference of {longer[0]}, and" in TOLD and f"on average, {longer[1]} above it" in TOLD
    gates = [within(continued["l0.continued", k], continued["dsp.continued", k], "") for k in (12, 7)]
    assert "L0 gates are {} and {} above these".format(*gates) in TOLD
    found = [within(continued["l0.continued", k], continued["dsp.pipelined+ft", k]) for k in (12, 7)]
    assert "{} and {} from DSP that is found".format(*found) in TOLD
    least, most = (np.mean(gains(continued[label, 7], continued["random.treated", 7])) for label in (ONE_SHOT, "obs"))
    assert f"the lead was {least:.1f} to {most:.1f} BLEU only" in TOLD


def test_l0_heads_from_scratch(parts: dict[str, Values]) -> None:
    """They are above every other training from scratch in every seed."""
    found = parts["controls"]
    best = found["l0.continued+scratch", 7]
    others = [label for label, _ in found if "+scratch" in label and label != "l0.continued+scratch"]
    assert len(others) == 5
    assert all(min(gains(best, found[label, 7])) > 0 for label in others)
    core = [value for seed, value in sorted(parts["core"]["dsp.joint", 7].items())]
    assert f"{np.mean(core[:6]):.2f} against {np.mean(core[6:]):.2f} BLEU" in TOLD
    masks = pd.read_parquet(ROOT / "results/published/small-controls/masks.parquet")
    kept = masks[(masks["method"] == "random") & (masks["arm"] == "treated") & (masks["budget"] == 7) & masks["kept"]]
    cross = (kept["type"] == "cross").groupby(kept["seed"]).sum()
    assert cross[cross == 1].index.tolist() == [4]
    values = found["random.treated+scratch", 7]
    assert sorted(values, key=values.get)[0] == 4


def test_single_heads_by_type() -> None:
    rows = pd.read_csv(ROOT / "results/published/small-frozen/ablations.csv")
    rows = rows[rows["metric"] == "bleu"].assign(module=rows["head"].str.rsplit(".", n=1).str[0])
    alone = rows[rows["kind"] == "drop_one"]
    free = ~((alone["unpruned"] > alone["value"]) & (alone["p_value"] < 0.01))
    types, first = free.groupby(alone["type"]).mean(), free[alone["module"] == "decoder.0"].mean()
    shares = (types["encoder"], types["decoder"], types["cross"], first)
    assert "encoder's heads {:.2f} can go alone, of the decoder's {:.2f}, of those of cross".format(*shares) in TOLD
    assert "cross-attention {2:.2f}, of those of the decoder's first layer {3:.2f}".format(*shares) in TOLD
    assert "encoder's ({:.0f} %) and the decoder's ({:.0f} %)".format(*(100 * share for share in shares)) in README
    assert f"cross-attention ({100 * types['cross']:.0f} %)" in README
    best = rows[rows["kind"] == "keep_one"].assign(loss=1 - rows["value"] / rows["unpruned"])
    best = best.groupby(["module", "seed"])["loss"].min().unstack()
    modules = ["cross.2", "cross.1", "cross.0", "decoder.0"]
    quoted = "it loses {:.2f}, the two before it {:.2f} and {:.2f}, the decoder's first self-attention {:.2f};"
    assert quoted.format(*best.loc[modules].mean(axis=1)) in TOLD
    assert (best.loc[modules] > 0.05).all(axis=None)


def test_order_of_single_ablations(parts: dict[str, Values]) -> None:
    """The claim whose two methods are in two parts, that share their unpruned models."""
    core, frozen = parts["core"], parts["frozen"]
    budgets, seeds = (18, 12, 7), sorted(frozen["drop_one", 12])
    whole = np.mean([core["unpruned", 36][seed] for seed in core["unpruned", 36]])
    effects = [
        np.mean([core[ITERATIVE, k][seed] - frozen["drop_one", k][seed] for k in budgets]) / whole for seed in seeds
    ]
    half = interval(100 * np.array(effects), "+")
    assert f"single ablations, {np.mean(effects):+.3f} [" in TOLD and half.startswith("+")
    assert f"p = {paired_p(np.array(effects) + 0.02):.2g}, **held**" in TOLD


def test_layers_of_joint_pruning() -> None:
    masks = pd.read_parquet(ROOT / "results/published/small-core/masks.parquet")
    own = masks[(masks["method"] == "dsp") & (masks["arm"] == "joint") & (masks["type"] == "decoder")]
    layers = own.groupby(["seed", "layer"])["kept"].mean().unstack()
    upper = layers[2] - layers[0]
    assert f"upper layers, {interval(upper, '+')} of the heads, in no seed less" in TOLD and (upper >= 0).all()
