"""Numbers of the section on Multi30k of docs/findings.md, computed again from published rows."""

from __future__ import annotations

import numpy as np
import pytest
from quoting import FINDINGS, MULTI30K, ROOT, Values, gains, interval, lines_of, values_of

from headprune.analysis.tables import read
from headprune.analysis.versus import versus
from headprune.statistics.multiple import holm

BUDGETS = (38, 32, 24, 16, 10, 5)
OF_JOINT = (24, 16, 10, 5)
JOINT, PIPELINED = "dsp.joint", "dsp.pipelined"
ORDERS = ("gradient_importance.one_shot", "gradient_importance.iterative")
TOLD = " ".join(FINDINGS.split())


@pytest.fixture(scope="module")
def found() -> Values:
    return values_of("multi30k-core")


def test_differences(found: Values) -> None:
    for name, *cells in lines_of(FINDINGS.partition("Differences within seeds, in BLEU:")[2], "\n| | K = 38 |"):
        one, two = (MULTI30K[part][0] for part in name.split(" − "))
        for budget, cell in zip(BUDGETS, cells, strict=True):
            there = (one, budget) in found and (two, budget) in found
            assert cell == (interval(gains(found[one, budget], found[two, budget]), "+") if there else "–"), name


def test_signs_of_seeds(found: Values) -> None:
    masked = [*(label for (label,) in MULTI30K.values() if label != JOINT), f"{PIPELINED}+twin"]
    others = [(label, k) for label in masked for k in OF_JOINT if (label, k) in found]
    assert all(min(gains(found[JOINT, k], found[label, k])) > 0 for label, k in others)
    for order, quoted in zip(
        ORDERS,
        (
            "in {}, {}, {}, {}, {} and {} of six seeds at K = 38, 32, 24, 16, 10 and 5",
            "order in {}, {}, {}, {}, {} and {}. ",
        ),
        strict=True,
    ):
        ahead = [sum(gain > 0 for gain in gains(found[PIPELINED, k], found[order, k])) for k in BUDGETS]
        assert quoted.format(*ahead) in TOLD
    twins = [sum(gain > 0 for gain in gains(found[PIPELINED, k], found[f"{PIPELINED}+twin", k])) for k in (24, 16, 10)]
    assert "positive in {}, {} and {} seeds".format(*twins) in TOLD


def test_losses_and_twins(found: Values) -> None:
    losses = [interval(gains(found["unpruned", 48], found[JOINT, k])) for k in OF_JOINT]
    assert "loses {}, {}, {} and {} at K = 24, 16, 10 and 5".format(*losses) in TOLD
    twins = [interval(gains(found[PIPELINED, k], found[f"{PIPELINED}+twin", k]), "+") for k in (24, 16, 10)]
    assert "{}, {} and {} BLEU at K = 24, 16 and 10".format(*twins) in TOLD
    assert f"unpruned {interval(found['unpruned', 48].values())} test BLEU" in TOLD


def test_parts_of_the_effects_of_claims(found: Values) -> None:
    """The budgets that make up the first effect and the last, and the comparison that decides the second."""
    whole = np.mean(list(found["unpruned", 48].values()))
    shares = [np.mean(gains(found[JOINT, k], found[ORDERS[1], k])) / whole for k in OF_JOINT]
    assert "is {:.2f}, {:.2f}, {:.2f} and {:.2f} at K = 24, 16, 10 and 5".format(*shares) in TOLD
    one, two = (
        np.mean([np.mean(gains(found[PIPELINED, k], found[order, k])) for k in BUDGETS]) / whole for order in ORDERS
    )
    assert f"the iterative order, {two:+.3f} and".replace("-", "−") in TOLD and f"would be held, {one:+.3f}." in TOLD
    lost = [1 - found[ORDERS[1], 16][seed] / value for seed, value in found["unpruned", 48].items()]
    assert np.mean(lost) == pytest.approx(1 / 3, abs=0.01) and max(lost) < 0.5


def test_outputs() -> None:
    """Comparisons on other sentences: what is better, worse and not told apart."""
    results = read(ROOT / "results/published/multi30k-core")
    better, worse, neither = 1, -1, 0
    expected = {
        (JOINT, ORDERS[1]): dict.fromkeys(OF_JOINT, better),
        (PIPELINED, ORDERS[0]): dict.fromkeys((38, 32, 24), worse) | dict.fromkeys((16, 10, 5), better),
        (PIPELINED, ORDERS[1]): dict.fromkeys(BUDGETS, worse) | {16: neither},
    }
    for pair, signs in expected.items():
        table = versus(results, *pair)[0].table.set_index("budget")
        corrected = dict(zip(table.index, holm(list(table["p_outputs"])), strict=True))
        assert {k: (p < 0.05) * np.sign(table.at[k, "improvement"]) for k, p in corrected.items()} == signs
        assert all(p < 0.001 for k, p in corrected.items() if signs[k] != neither)
