"""Balanced random masks: equal shares, uniform within them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

from headprune.heads import HeadSpace, Scope
from headprune.method import load_methods
from headprune.models.cutting import shrink

METHOD = load_methods()["random_balanced"].method
DRAWS = 300

Build = Callable[..., Any]


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_every_module_keeps_its_share(build: Build) -> None:
    """K / 6, rounded down or up, for every K; and the masks are nested."""
    model = build()
    for seed in range(5):
        masks = METHOD().masks(model, [], range(25), rng(seed))
        for budget, mask in masks.items():
            assert mask.count == budget
            assert set(mask.per_module().values()) <= {math.floor(budget / 6), math.ceil(budget / 6)}
        names = [set(masks[budget].names()) for budget in range(25)]
        assert all(smaller < larger for smaller, larger in itertools.pairwise(names))


def chi_square(found: np.ndarray, share: float) -> float:
    """p of counts over DRAWS draws, each without replacement, of `share` of a group of heads (rows: groups)."""
    size = found.shape[1]
    statistic = ((found - DRAWS * share) ** 2).sum() / (DRAWS * share * (1 - share)) * (size - 1) / size
    return float(scipy.stats.chi2.sf(statistic, len(found) * (size - 1)))


def test_heads_of_a_module_are_kept_equally_often(build: Build) -> None:
    model = build()
    found = sum(np.array(METHOD().masks(model, [], [6], rng(seed))[6].keep) for seed in range(DRAWS))
    assert 0.001 < chi_square(found.reshape(6, 4), 1 / 4) < 0.999


@pytest.mark.parametrize("budget", [2, 20])
def test_the_remainder_falls_to_every_module_equally_often(build: Build, budget: int) -> None:
    """2 of 6 modules get one head more than the others."""
    model, found = build(), np.zeros(6)
    for seed in range(DRAWS):
        counts = np.array(list(METHOD().masks(model, [], [budget], rng(seed))[budget].per_module().values()))
        found += counts > budget // 6
    assert 0.001 < chi_square(found[None], 1 / 3) < 0.999


def test_modules_of_protected_types_do_not_share_the_removal(build: Build) -> None:
    model, scope = build(), Scope(("encoder", "decoder"), min_per_module=1)
    for budget, mask in METHOD(scope=scope).masks(model, [], (12, 15, 18, 22), rng(1)).items():
        counts = mask.per_module()
        assert scope.allows(mask)
        assert counts["cross.0"] == counts["cross.1"] == 4
        rest = [counts[name] for name in ("encoder.0", "encoder.1", "decoder.0", "decoder.1")]
        assert set(rest) <= {(budget - 8) // 4, math.ceil((budget - 8) / 4)}


def test_small_modules_keep_all_and_the_others_take_the_rest(build: Build) -> None:
    """Modules of 1, 4, 4, 4, 4 and 0 heads, 13 kept: 1 and four times 3."""
    model = build()
    shrink(model, {"encoder.0": (2,), "decoder.1": ()})
    assert len(HeadSpace.of(model)) == 17
    counts = METHOD().masks(model, [], [13], rng(1))[13].per_module()
    assert counts == {"encoder.0": 1, "encoder.1": 3, "cross.0": 3, "cross.1": 3, "decoder.0": 3}
