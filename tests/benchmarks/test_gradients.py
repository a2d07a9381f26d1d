"""The study of gradient estimators: its enumeration against sampling and finite differences, its figures of merit."""

from __future__ import annotations

import gradients
import gradients_figure
import pandas as pd
import pytest
import scipy.stats
import torch
from torch import Tensor

from headprune.relaxations import gumbel, subset_draw, top_k

MASKS = gradients.masks_of(gradients.HEADS, gradients.BUDGET)


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def problem(seed: int = 1) -> tuple[Tensor, gradients.Loss]:
    generator = rng(seed)
    loss = gradients.Loss.random(generator)
    return torch.randn(gradients.HEADS, generator=generator, dtype=torch.float64), loss


def test_the_loss_is_a_polynomial_whose_parts_weigh_the_same() -> None:
    """Against loops over its coefficients, relative 1e-9; each part has deviation 1 over the 495 masks."""
    _, loss = problem()
    gates = torch.rand(gradients.HEADS, generator=rng(2), dtype=torch.float64)
    expected = 0.0
    for i, one in enumerate(gates.tolist()):
        expected += loss.linear[i].item() * one
        expected += sum(loss.quadratic[i, j].item() * one * other for j, other in enumerate(gates.tolist()))
        expected += loss.cubic[i].item() * (loss.factors[i] @ gates).item() ** 3
    assert loss(gates).item() == pytest.approx(expected, rel=1e-9)
    assert [part.std().item() for part in loss.parts(MASKS)] == pytest.approx([1, 1, 1])
    assert len(MASKS) == 495


@pytest.mark.parametrize("chances", [gradients.subset_chances, gradients.top_chances])
def test_chances_are_those_of_what_is_drawn(chances) -> None:
    """χ² over 100,000 draws of the top K of w + Gumbel noise, and of exact samples."""
    logits, draws = problem()[0] / 2, 100_000
    found = chances(logits, MASKS)
    assert found.sum().item() == pytest.approx(1)
    many = logits.expand(draws, gradients.HEADS)
    top = chances is gradients.top_chances
    masks = top_k(many + gumbel(many.shape, rng(3)), 4) if top else subset_draw(many, 4, rng(3))
    code = 2.0 ** torch.arange(gradients.HEADS, dtype=torch.float64)
    counts = [(masks @ code == value).sum().item() for value in (MASKS @ code)]
    assert 0.001 < scipy.stats.chisquare(counts, (draws * found).numpy()).pvalue < 0.999


@pytest.mark.parametrize("chances", [gradients.subset_chances, gradients.top_chances])
def test_exact_gradients_equal_finite_differences(chances) -> None:
    """Central differences of the expected loss by enumeration, 1e-7."""
    logits, loss = problem()
    found = gradients.exact_gradient(chances, logits, loss)
    for head in range(gradients.HEADS):
        step = torch.zeros_like(logits).index_fill(0, torch.tensor(head), 1e-5)
        high, low = (chances(logits + sign * step, MASKS) @ loss(MASKS) for sign in (1, -1))
        assert found[head].item() == pytest.approx(((high - low) / 2e-5).item(), abs=1e-7)


def test_the_score_function_is_unbiased() -> None:
    """Within five standard errors of 200,000 draws, head by head; twice the loss gives twice the gradient."""
    logits, loss = problem()
    draws = 200_000
    found = gradients.score_gradients(logits.expand(draws, gradients.HEADS), loss, rng(4))
    exact = gradients.exact_gradient(gradients.subset_chances, logits, loss)
    assert ((found.mean(0) - exact).abs() < 5 * found.std(0) / draws**0.5).all()


def test_figures_of_merit_by_hand() -> None:
    exact = torch.tensor([3.0, 4.0]).double()
    found = torch.tensor([[6.0, 8.0], [0.0, 0.0]]).double()
    judged = gradients.judged(found, exact)
    assert judged["bias"] == 0  # the mean is exact; chance is taken off
    assert judged["deviation"] == pytest.approx((50 / 25) ** 0.5)
    assert judged["cosine_of_mean"] == pytest.approx(1)
    assert judged["cosine_of_clipped"] == pytest.approx(1)
    assert judged["cosine_of_draw"] == pytest.approx(0.5)
    assert judged["without_gradient"] == 0.5
    still = gradients.judged(exact.flip(0).expand(5, 2), exact)
    assert still["deviation"] == 0
    assert still["bias"] == pytest.approx((2 / 25) ** 0.5)
    assert still["cosine_of_draw"] == pytest.approx(24 / 25)


def test_cosines_survive_gradients_of_any_size() -> None:
    one = torch.tensor([[1e-200, 0.0], [1e200, 1e200], [0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(
        gradients.cosine(one, torch.tensor([1.0, 0.0]).double()), one.new_tensor([1, 0.5**0.5, 0])
    )


def test_every_estimator_is_measured_and_drawn(tmp_path) -> None:
    found = pd.DataFrame(gradients.rows(draws=20, problems=1))
    assert set(found["estimator"]) == set(gradients_figure.LOOKS)
    assert found.notna().all(axis=None)
    assert found.groupby(["spread", "estimator", "setting"])["own"].sum().eq(1).all()
    gradients_figure.draw(found, tmp_path / "picture")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["picture.pdf", "picture.png"]
    assert len(gradients_figure.table(found).splitlines()) == 2 + len(found) // 2
