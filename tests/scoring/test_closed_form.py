"""Costs, updates and scales of one module against numpy's least squares."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from reconstructing import head_outputs

from headprune.scoring.reconstruction import (
    damped_inverse,
    fluctuation,
    head_products,
    least_squares_scales,
    reconstruction_error,
    removal_cost,
    remove_channels,
    ridge,
)


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    """Correlated contexts with a mean (300 positions, 12 channels), and W_O (5, 12)."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(300, 12)) @ rng.normal(size=(12, 12)) + rng.normal(size=12)
    return rows, rng.normal(size=(5, 12))


def test_cost_and_update_are_those_of_least_squares(data: tuple[np.ndarray, np.ndarray]) -> None:
    """numpy.linalg.lstsq of the outputs on the channels that stay; relative 1e-8."""
    rows, weight = data
    inverse = torch.tensor(np.linalg.inv(rows.T @ rows / len(rows)))
    for gone in ([0, 1, 2], [3, 4, 5, 9, 10, 11], list(range(12))):
        left = [c for c in range(12) if c not in gone]
        expected = np.zeros_like(weight)
        expected[:, left] = np.linalg.lstsq(rows[:, left], rows @ weight.T, rcond=None)[0].T
        error = ((rows @ (weight - expected).T) ** 2).sum(1).mean()
        channels = torch.tensor(gone)
        found, rest = remove_channels(torch.tensor(weight), inverse, channels)
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)
        assert removal_cost(torch.tensor(weight), inverse, channels) == pytest.approx(error, rel=1e-8)
        second = torch.tensor(rows.T @ rows / len(rows))
        assert reconstruction_error(torch.tensor(weight) - found, second) == pytest.approx(error, rel=1e-8)
        block = np.linalg.inv(second.numpy()[np.ix_(left, left)])
        np.testing.assert_allclose(rest.numpy()[np.ix_(left, left)], block, rtol=1e-8, atol=1e-10)
        assert not rest[channels].any() and not rest[:, channels].any()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_one_by_one_equals_the_block(data: tuple[np.ndarray, np.ndarray], order: tuple[int, ...]) -> None:
    """Weights, inverse and the sum of the costs, in every order; relative 1e-9."""
    rows, weight = torch.tensor(data[0]), torch.tensor(data[1])
    inverse = damped_inverse(rows.t() @ rows / len(rows), 0.01)
    together = remove_channels(weight, inverse, torch.arange(9))
    cost = removal_cost(weight, inverse, torch.arange(9))
    total, step = 0.0, (weight, inverse)
    for head in order:
        channels = torch.arange(3 * head, 3 * head + 3)
        total += removal_cost(*step, channels)
        step = remove_channels(*step, channels)
    for found, expected in zip(step, together, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)
    assert total == pytest.approx(cost, rel=1e-9)


def test_damping_adds_its_share_of_the_change(data: tuple[np.ndarray, np.ndarray]) -> None:
    rows, weight = torch.tensor(data[0]), torch.tensor(data[1])
    second, channels = rows.t() @ rows / len(rows), torch.arange(3)
    assert ridge(second, 0.1) == pytest.approx(0.1 * (data[0] ** 2).mean())
    inverse = damped_inverse(second, 0.1)
    change = weight - remove_channels(weight, inverse, channels)[0]
    expected = reconstruction_error(change, second) + ridge(second, 0.1) * change.square().sum().item()
    assert removal_cost(weight, inverse, channels) == pytest.approx(expected, rel=1e-9)
    silent = damped_inverse(torch.zeros(12, 12, dtype=torch.float64), 0.1)
    assert torch.isfinite(silent).all()
    assert removal_cost(weight, silent, channels) < 1e-20


def test_fluctuation_is_the_variance_of_what_a_channel_writes(data: tuple[np.ndarray, np.ndarray]) -> None:
    """Σ over output dimensions of the variance of W_O[i, j] c_j; relative 1e-12."""
    rows, weight = data
    written = rows[:, None, :] * weight[None]  # (positions, model, channels)
    expected = written.var(0).sum(0)
    found = fluctuation(torch.tensor(weight), torch.tensor(rows.var(0)))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("kept", [[0], [1, 3], [0, 1, 2, 3]])
def test_scales_are_those_of_least_squares(data: tuple[np.ndarray, np.ndarray], kept: list[int]) -> None:
    """numpy.linalg.lstsq over all positions and output dimensions; relative 1e-8. The error never rises."""
    rows, weight = data
    changed = rows + np.random.default_rng(2).normal(size=rows.shape)  # contexts in the pruned model
    own, target = head_outputs(changed, weight, 4), head_outputs(rows, weight, 4).sum(0).ravel()
    matrix = own.reshape(4, -1)[kept].T
    expected = np.linalg.lstsq(matrix, target, rcond=None)[0]
    products = [head_products(torch.tensor(weight), torch.tensor(changed.T @ x), 4) for x in (changed, rows)]
    np.testing.assert_allclose(products[0], np.einsum("hpm,kpm->hk", own, own), rtol=1e-9)
    found = least_squares_scales(products[0], products[1], kept).numpy()
    np.testing.assert_allclose(found[kept], expected, rtol=1e-8)
    assert not np.delete(found, kept).any()
    before, after = (np.square(matrix @ scale - target).sum() for scale in (np.ones(len(kept)), found[kept]))
    assert after <= before


def test_scales_of_heads_that_write_the_same_are_shared(data: tuple[np.ndarray, np.ndarray]) -> None:
    """The shortest of several optima is found, as by numpy.linalg.lstsq; a head that writes nothing gets 0."""
    twin = np.ones((2, 2)) * 3.0
    own = torch.block_diag(torch.tensor(twin), torch.zeros(1, 1, dtype=torch.float64))
    found = least_squares_scales(own, own, [0, 1, 2])
    torch.testing.assert_close(found, torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(least_squares_scales(own, own, [0]), torch.tensor([2.0, 0.0, 0.0]).double())
