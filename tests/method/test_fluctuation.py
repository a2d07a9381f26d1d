"""Fluctuation scores against variances of what heads write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from found import Found, rows

from headprune.heads import HeadMask, HeadSpace, Scope, attention_points
from headprune.method import Pruning, Ranking, load_methods
from headprune.scoring.reconstruction import compensate_bias, context_moments, contexts

Build = Callable[..., Any]
Batch = dict[str, Any]
FLUCTUATION = load_methods()["fluctuation"]
RNG = torch.Generator()


@pytest.fixture
def batches(make_batch: Callable[..., Batch]) -> list[Batch]:
    return [make_batch(seed, size=8) for seed in (1, 2)]


def method(scope: Scope | None = None, **options: Any) -> Any:
    return FLUCTUATION.method(FLUCTUATION.options(options), scope)


def scores_by_hand(model: Any, batches: list[Batch]) -> np.ndarray:
    """(modules, heads): variance over positions of W_O[i, j] c_j, summed over i and the channels j of a head."""
    seen, table = [contexts(model, batch) for batch in batches], []
    for point in attention_points(model):
        channels = torch.cat([own[point.name] for own in seen]).numpy()
        weight = point.module.out_proj.weight.detach().double().numpy()
        table.append((channels[:, None, :] * weight).var(0).sum(0).reshape(4, 8).sum(1))
    return np.stack(table)


def test_scores_are_the_variances_of_what_heads_write(build: Build, batches: list[Batch]) -> None:
    """numpy, relative 1e-6; standardised: scipy's z-scores within the module, absolute 1e-6."""
    model = build()
    expected = scores_by_hand(model, batches)
    raw = method(standardise="none").scores(model, batches, RNG).view(6, 4)
    np.testing.assert_allclose(raw, expected, rtol=1e-6)
    standardised = method(standardise="heads").scores(model, batches, RNG).view(6, 4)
    np.testing.assert_allclose(standardised, scipy.stats.zscore(expected, axis=1), atol=1e-6)


def scores_as_released(model: Any, batches: list[Batch]) -> np.ndarray:
    """(modules · heads,): docs/theory/reconstruction.md#flap-released, from the channels: squared, standardised in the
    module, averaged by head."""
    seen, table = [contexts(model, batch) for batch in batches], []
    for point in attention_points(model):
        channels = torch.cat([own[point.name] for own in seen]).numpy()
        weight = point.module.out_proj.weight.detach().double().numpy()
        terms = ((channels[:, None, :] * weight).var(0).sum(0)) ** 2
        table.append(scipy.stats.zscore(terms, ddof=1).reshape(4, 8).mean(1))
    return np.concatenate(table)


def test_by_default_scores_are_those_of_the_released_code(build: Build, batches: list[Batch]) -> None:
    """scipy's z-scores over channels, absolute 1e-6, and so the order."""
    model = build()
    found, expected = method().scores(model, batches, RNG).numpy(), scores_as_released(model, batches)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.array_equal(np.argsort(found), np.argsort(expected))


@rows(
    Found(
        "the ranking of the released code",
        "equal: neither changes the ranking",
        "another",
        "lib/prune.py of FLAP at 3bb57db, as docs/theory/reconstruction.md#flap-released has it",
    )
)
@pytest.mark.parametrize("form", ["heads", "none"])
def test_the_released_code_ranks_otherwise(found: Found, form: str, build: Build, batches: list[Batch]) -> None:
    """So says the card, too."""
    model = build()
    ours = np.argsort(method(standardise=form).scores(model, batches, RNG).numpy())
    released = np.argsort(scores_as_released(model, batches))
    assert ("equal" if np.array_equal(ours, released) else "another") == found.right
    card = (Path(__file__).parents[2] / "docs/methods/fluctuation.md").read_text(encoding="utf-8")
    assert f"their ranking is {found.right}" in card
    assert "changes the ranking" not in card


def test_scores_of_a_constant_module_are_finite(build: Build, batches: list[Batch]) -> None:
    model = build()
    model.decoder.layers[1].encoder_attn.v_proj.weight.data.zero_()
    for form in ("channels", "heads"):
        assert torch.isfinite(method(standardise=form).scores(model, batches, RNG)).all()
    raw = method(standardise="none").scores(model, batches, RNG).view(6, 4)
    assert (raw[3] < 1e-9 * raw[2].min()).all()
    single = build(encoder_attention_heads=1, decoder_attention_heads=1)
    assert method(standardise="heads").scores(single, batches, RNG).tolist() == [0.0] * 6
    assert method().scores(single, batches, RNG).tolist() == pytest.approx([0.0] * 6, abs=1e-9)


@pytest.mark.parametrize("standardise", ["channels", "heads", "none"])
@pytest.mark.parametrize("compensate", [False, True])
def test_masks_cut_the_scores_and_compensate(
    build: Build, batches: list[Batch], standardise: str, compensate: bool
) -> None:
    model = build()
    chosen = method(standardise=standardise, compensate=compensate)
    ranking = Ranking.by_score(HeadSpace.of(model), chosen.scores(model, batches, RNG))
    moments = context_moments(model, batches)
    for budget, found in chosen.masks(model, batches, range(25), RNG).items():
        assert isinstance(found, Pruning if compensate else HeadMask)
        pruning = Pruning.of(found)
        assert pruning.mask == ranking.mask(budget)
        assert pruning.mask.count == budget
        expected = compensate_bias(model, pruning.mask, moments) if compensate else {}
        assert pruning.outputs.keys() == expected.keys()
        for name, output in pruning.outputs.items():
            assert torch.equal(output.weight, expected[name].weight)
            assert torch.equal(output.bias, expected[name].bias)
