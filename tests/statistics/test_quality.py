"""The scale of a metric: what is averaged, compared and printed of perplexities is their logarithm."""

from __future__ import annotations

import numpy as np
import pytest
from found import Found, rows
from scipy import stats

from headprune.results import schema
from headprune.statistics.normalised import normalised
from headprune.statistics.quality import Quality
from headprune.tasks import TASKS, units_of

QUALITIES = [quality for task in TASKS.values() for quality in task.outputs.qualities]
PERPLEXITY, BLEU = (TASKS[track].outputs.qualities[0] for track in ("lm", "mt"))


@rows(
    Found("perplexity 3,445", 0.97, np.log(120070 / 3445) / np.log(120070 / 99.86), "the logarithms by hand", 3445.0),
    Found("perplexity 1,621", 0.99, np.log(120070 / 1621) / np.log(120070 / 99.86), "the logarithms by hand", 1621.0),
)
def test_quality_between_random_and_unpruned(found: Found) -> None:
    """Random heads at 120,070, the unpruned model at 99.86: 0.50 and 0.61."""
    share = normalised(*(PERPLEXITY.worth(value) for value in (found.case, 99.86, 120070.0)))
    assert share == pytest.approx(found.right, rel=1e-12)
    assert share < 0.62


@rows(
    Found(
        "three perplexities of magnitude at K = 8",
        "1211724.56 ± 5099213.28",
        "128000 [91.88, 1.79e+08]",
        "exp of scipy's t interval of the logarithms",
        [3581956.28, 15754.46, 37462.94],
    ),
)
def test_means_of_perplexities(found: Found) -> None:
    estimate = PERPLEXITY.estimate(found.case)
    logs = np.log(found.case)
    low, high = np.exp(stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs)))
    assert estimate.value == pytest.approx(stats.gmean(found.case), rel=1e-12) == PERPLEXITY.mean(found.case)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), rel=1e-9)
    text = f"{PERPLEXITY.text(estimate.value)} [{PERPLEXITY.text(estimate.low)}, {PERPLEXITY.text(estimate.high)}]"
    assert text == found.right


def test_worth_and_value_are_inverse_and_more_is_better() -> None:
    for quality in QUALITIES:
        values = np.array([0.2, 0.5, 0.9])
        np.testing.assert_allclose(quality.value(quality.worth(values)), values, rtol=1e-12)
        assert (np.diff(quality.worth(values)) > 0).all() == quality.higher_is_better
    with pytest.raises(ValueError, match="perplexity 0 has no logarithm"):
        PERPLEXITY.worth([1.0, 0.0])


def test_what_is_linear_stays_as_it_is() -> None:
    assert BLEU.mean([1.0, 3.0, float("nan")]) == 2
    assert np.isnan(BLEU.mean([]))
    assert (BLEU.scale, BLEU.unit, BLEU.difference_digits) == ("linear", "BLEU", 2)
    assert (PERPLEXITY.scale, PERPLEXITY.unit, PERPLEXITY.difference_digits) == ("log", "nats per token", 3)
    assert BLEU.share(10, 20) == 0.5
    assert PERPLEXITY.share(10_000, 100) == pytest.approx(0.5)  # a text takes twice the bits, whatever the tokens
    assert np.isnan(PERPLEXITY.share(1.0, 100))


@rows(Found("two runs at 4.59 and 8.15", "6.37 ± 22.60", (0.0, 28.99), "BLEU is not negative", [4.59, 8.15]))
def test_intervals_end_where_the_metric_does(found: Found) -> None:
    estimate = BLEU.estimate(found.case)
    half = stats.t.ppf(0.975, 1) * stats.sem(found.case)
    assert half == pytest.approx(22.62, abs=0.01)
    assert (estimate.low, estimate.high) == pytest.approx(found.right, abs=0.01)


def test_the_scale_of_every_metric_is_known() -> None:
    """Perplexities, and nothing else, have a scale of their own; a quality is one of the metrics of the tables."""
    assert set(schema.LOGARITHMIC) == {metric for metric in schema.UNITS if metric.startswith("perplexity")}
    assert {quality.metric for quality in QUALITIES} <= set(schema.UNITS)
    assert all(set(units_of(track)) <= set(schema.UNITS) for track in TASKS)
    assert all(task.metric == task.outputs.qualities[0].metric for task in TASKS.values())
    assert (units_of("lm")["latency_ms"], units_of("?")) == ("ms per token", {})
    assert Quality("perplexity_one_row", "perplexity").scale == "log"


@rows(
    Found("0.08 BLEU of 15.26", "the best, in bold", True, "below 2 BLEU and a tenth", (BLEU, 0.08, 15.26)),
    Found("1.9 BLEU of 15.26", "the best, in bold", True, "below 2 BLEU", (BLEU, 1.9, 15.26)),
    Found("2.5 BLEU of 30", "the best, in bold", True, "less than a tenth", (BLEU, 2.5, 30.0)),
    Found("2.8 BLEU of 15.26", "–", False, "more than either", (BLEU, 2.8, 15.26)),
    Found("perplexity 1,229 of 99.86", "the best, in bold", True, "a twelfth", (PERPLEXITY, 1229.0, 99.86)),
    Found("perplexity 137 of 99.86", "–", False, "73 %", (PERPLEXITY, 137.0, 99.86)),
    Found("no unpruned model", "–", False, "nothing to be a share of", (PERPLEXITY, 137.0, float("nan"))),
)
def test_noise_is_no_best(found: Found) -> None:
    quality, value, unpruned = found.case
    assert quality.is_noise(value, unpruned) == found.right
