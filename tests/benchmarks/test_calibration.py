"""The calibration of the rule across seeds: its p is the library's, and equal methods are rarely told apart."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

import calibration

from headprune.statistics.seeds import crossed_p, floor, paired_p, sign_flip, student


@pytest.mark.parametrize("seeds", [3, 6])
def test_p_values_are_the_librarys(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    tables = np.array([calibration.WORLDS[0].outputs(rng, seeds) for _ in range(10)])
    found, means = calibration.p_values(tables, rng), tables.mean(axis=2)
    names = {"Student's t": student, "sign flip": sign_flip, "the larger p of both": paired_p}
    for name, test in names.items():
        assert found[name] == pytest.approx([test(row) for row in means], abs=1e-9), name
    variances = [table.mean(axis=0).var() / calibration.SEGMENTS for table in tables]
    pairs = zip(means, variances, strict=True)
    expected = [crossed_p(own, variance, calibration.SEGMENTS) for own, variance in pairs]
    assert found["t of seeds and segments"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seeds", [3, 5, 8, 10, 12])
@pytest.mark.parametrize("world", calibration.WORLDS[:2], ids=lambda world: world.name)
def test_false_positives_of_the_rule(world: calibration.World, seeds: int) -> None:
    """1,000 experiments: at most α + 2.6 standard errors, none below the floor, and some where they are possible."""
    found = calibration.rejected(world, seeds, 1000)["the larger p of both"]
    assert found <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 1000)
    assert (found > 0) == (floor(seeds) <= 0.05)


@pytest.mark.parametrize("seeds", [5, 8, 10, 12])
def test_false_positives_on_other_sentences(seeds: int) -> None:
    """1,000 experiments, likewise, of seeds crossed with segments."""
    found = calibration.rejected(calibration.WORLDS[2], seeds, 1000)["t of seeds and segments"]
    assert found <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 1000)
    assert (found > 0) == (floor(seeds) <= 0.05)
