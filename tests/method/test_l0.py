"""Hard-concrete gates: the distribution that is sampled, the rule of binarisation, and the scale of the penalty."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import pytest
import scipy.stats
import torch
import torch.nn.functional as F
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from torch import Tensor

from headprune.heads import HeadSpace, Scope
from headprune.method import Progress, load_methods
from headprune.models.criteria import GatedLabelSmoothedCrossEntropy
from headprune.relaxations import effective_penalty, hard_concrete, open_probability

L0 = load_methods()["l0"]
SPACE = HeadSpace.from_names(f"encoder.{layer}.{head}" for layer in range(6) for head in range(4))


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(scope: Scope | None = None, seed: int = 1, space: HeadSpace = SPACE, **options: Any) -> Any:
    return L0.method(space, len(space), L0.options(options), rng(seed), scope)


def kept(mask: Any) -> list[int]:
    return [i for i, keep in enumerate(mask.keep) if keep]


def set_log_alpha(method: Any, values: Any) -> None:
    with torch.no_grad():
        method.log_alpha.copy_(torch.as_tensor(values, dtype=torch.float64))


def test_a_head_is_kept_when_log_alpha_is_positive() -> None:
    """docs/theory/hard-concrete.md#target-count: the same as a deterministic gate above 1/2, and as
    P(gate = 1) > P(gate = 0), in closed form."""
    method = make()
    values = torch.cat([-torch.logspace(-6, 1, 12), torch.logspace(-6, 1, 12)]).double()
    set_log_alpha(method, values[torch.randperm(24, generator=rng(1))])
    shift = 0.33 * math.log(11)  # −β log(−γ/ζ) with β = 0.33 and limits −0.1, 1.1
    alpha = method.log_alpha.detach()
    ones, zeros = torch.sigmoid(alpha - shift), torch.sigmoid(-alpha - shift)
    rule = kept(method.keep(24))
    assert rule == (ones > zeros).nonzero().flatten().tolist() == (alpha > 0).nonzero().flatten().tolist()
    assert rule == (hard_concrete(alpha) > 0.5).nonzero().flatten().tolist()
    assert method.keep(0) == method.keep(24)
    assert not method.exact
    set_log_alpha(method, torch.zeros(24))
    assert method.keep(24).count == 0


def test_samples_have_the_probabilities_of_the_formulas() -> None:
    """P(≠ 0), P(0), P(1) over 5,000 draws of 24 gates: within 4 standard errors each, 3 on average."""
    method, draws = make(), 5_000
    set_log_alpha(method, torch.linspace(-3, 3, 24))
    alpha, shift, generator = method.log_alpha.detach(), 0.33 * math.log(11), rng(5)
    with torch.no_grad():
        gates = torch.stack([method.sample(Progress(0, 1, generator)) for _ in range(draws)])
    expected = {"open": torch.sigmoid(alpha + shift), "one": torch.sigmoid(alpha - shift)}
    for found, p in (
        (gates > 0, expected["open"]),
        (gates == 0, 1 - expected["open"]),
        (gates == 1, expected["one"]),
    ):
        errors = (found.double().mean(0) - p) / (p * (1 - p) / draws).sqrt()
        assert errors.abs().max() < 4
        assert errors.square().mean().sqrt() < 3


def test_one_draw_serves_the_whole_forward_pass_and_is_the_generators() -> None:
    method = make()
    expected = hard_concrete(method.log_alpha, torch.rand(24, generator=rng(7), dtype=torch.float64))
    assert torch.equal(method.sample(Progress(3, 10, rng(7))), expected)


@pytest.mark.parametrize("heads", [4, 12])
def test_log_alpha_starts_within_the_glorot_bound(heads: int) -> None:
    """docs/theory/hard-concrete.md#initialisation: U(−√(6/(H+1)), ·), 1.095 for 4 heads a module and 0.679 for 12;
    Kolmogorov-Smirnov."""
    space = HeadSpace.from_names(f"encoder.{layer}.{head}" for layer in range(6) for head in range(heads))
    bound = {4: 1.095, 12: 0.679}[heads]
    values = torch.cat([make(seed=seed, space=space).log_alpha.detach() for seed in range(50)])
    assert values.abs().max() < bound + 1e-3
    assert scipy.stats.kstest(values.numpy(), "uniform", args=(-bound, 2 * bound)).pvalue > 0.01


def test_the_penalty_is_lambda_times_the_plain_sum() -> None:
    """Against σ(α + 0.33 log 11), relative 1e-12, and its derivative λ p (1 − p); it grows linearly in the warm-up."""
    method = make(penalty=0.02)
    p = torch.sigmoid(method.log_alpha.detach() + 0.33 * math.log(11))
    penalty = method.penalty(Progress(0, 100, rng(1)))
    assert penalty.item() == pytest.approx(0.02 * p.sum().item(), rel=1e-12)
    penalty.backward()
    torch.testing.assert_close(method.log_alpha.grad, 0.02 * p * (1 - p), rtol=1e-9, atol=0)
    warmed = make(penalty=0.02, warmup=0.5)
    for update, grown in ((0, 0), (10, 0.2), (49, 0.98), (50, 1), (100, 1)):
        assert warmed.penalty(Progress(update, 100, rng(1))).item() == pytest.approx(grown * penalty.item(), rel=1e-12)


class Toy:
    """A linear classifier of gated features with 24 "heads", and the losses of its 30 examples."""

    def __init__(self, penalty: float) -> None:
        self.method = make(penalty=penalty)
        self.weight = torch.randn(24, 5, generator=rng(2), dtype=torch.float64).requires_grad_()
        self.features = torch.randn(30, 24, generator=rng(3), dtype=torch.float64)
        self.labels = torch.randint(5, (30,), generator=rng(4))

    def losses(self, rows: slice = slice(None)) -> Tensor:
        gates = self.method.sample(Progress(0, 1, rng(6)))
        return F.cross_entropy((self.features[rows] * gates) @ self.weight, self.labels[rows], reduction="none")

    def gradients(self, loss: Tensor) -> list[Tensor]:
        return list(torch.autograd.grad(loss, [self.weight, self.method.log_alpha]))


def test_the_three_scalings_of_lambda_agree_after_conversion() -> None:
    """docs/theory/hard-concrete.md#objective, docs/theory/defects.md#d13: the objective of each code base, with its own
    coefficient, has the gradients of ours with λ_eff; float64, relative 1e-10."""

    def opened(toy: Toy) -> Tensor:
        return open_probability(toy.method.log_alpha)

    def classification(toy: Toy) -> Tensor:  # the sum over heads beside the mean of the batch, λ = 0.0015
        return toy.losses().mean() + 0.0015 * opened(toy).sum()

    def voita(toy: Toy) -> Tensor:  # the mean over 6 modules of the sums, λ = 0.1
        return toy.losses().mean() + 0.1 * opened(toy).view(6, 4).sum(1).mean()

    def translation(toy: Toy) -> Tensor:  # λ = 200 in each of two micro-batches of 15 tokens, divided at the end
        parts = [toy.losses(rows).sum() + 200 * opened(toy).sum() for rows in (slice(0, 15), slice(15, 30))]
        return sum(parts, torch.zeros(())) / 30

    for objective, penalty in (
        (classification, effective_penalty(0.0015)),
        (voita, effective_penalty(0.1, modules=6)),
        (translation, effective_penalty(200, tokens=15)),
    ):
        theirs, ours = Toy(0.0), Toy(penalty)
        loss = ours.losses().mean() + ours.method.penalty(Progress(0, 1, rng(1)))
        for a, b in zip(theirs.gradients(objective(theirs)), ours.gradients(loss), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-14)


def test_conversions_of_the_scripts_coefficients() -> None:
    """The values that docs/theory/hard-concrete.md#objective prints."""
    assert effective_penalty(0.1, modules=18) == pytest.approx(0.0056, abs=5e-5)
    assert effective_penalty(0.1, modules=6) == pytest.approx(0.0167, abs=5e-5)
    assert effective_penalty(200, tokens=3600) == pytest.approx(0.055, abs=1e-3)


@pytest.mark.parametrize("average", [False, True], ids=["per token", "per sentence"])
def test_the_criterion_weighs_it_alike_for_tokens_and_sentences(
    build: Callable[..., Any], make_batch: Callable[..., Any], task: Namespace, average: bool
) -> None:
    """The loss after fairseq's division exceeds the stock loss by λ ΣP(open), whatever a sample is; fp32."""
    model = build(
        gate_method="l0", gate_budget=24, gate_total_updates=100, gate_options='{"penalty": 0.05}', dropout=0.0
    ).train()
    batch, results = make_batch(seed=1, size=6), []
    for kind in (GatedLabelSmoothedCrossEntropy, LabelSmoothedCrossEntropyCriterion):
        model.set_num_updates(0)
        model.set_num_updates(1)
        torch.manual_seed(9)
        loss, size, _ = kind(task, average, 0.1)(model, batch)
        results.append(loss.double().item() / size)
    opened = open_probability(model.gate_method.log_alpha).sum().item()
    assert results[0] - results[1] == pytest.approx(0.05 * opened, rel=1e-4)


def trained(penalty: float, updates: int = 300) -> list[int]:
    """Heads that are left when closing head h costs h / 100, so that a head is worth its cost from some h on."""
    method = make(penalty=penalty)
    worth = torch.arange(24, dtype=torch.float64) / 100
    optimiser = torch.optim.Adam(method.parameters(), lr=0.1)
    for update in range(updates):
        progress = Progress(update, updates, rng(update))
        optimiser.zero_grad()
        ((worth * (1 - method.sample(progress))).sum() + method.penalty(progress)).backward()
        optimiser.step()
    return kept(method.keep(24))


def test_more_penalty_leaves_fewer_and_the_most_useful_heads() -> None:
    found = {penalty: trained(penalty) for penalty in (0.0, 0.05, 0.15, 10.0)}
    assert len(found[0.0]) >= 23  # head 0 has no effect at all
    assert found[10.0] == []
    assert len(found[0.0]) > len(found[0.05]) > len(found[0.15]) > 0
    assert set(range(18, 24)) <= set(found[0.05])
    assert set(range(22, 24)) <= set(found[0.15])
    assert not set(range(3)) & set(found[0.05])


@pytest.mark.parametrize("budget", [0, 1, 5, 23, 24])
def test_at_k_keeps_the_largest_whatever_their_sign(budget: int) -> None:
    method = make(at_k=True)
    for shift in (-9.0, 0.0, 9.0):
        set_log_alpha(method, torch.randn(24, generator=rng(1)) + shift)
        assert kept(method.keep(budget)) == sorted(method.log_alpha.argsort(descending=True)[:budget].tolist())
    assert method.exact


def test_a_scope_keeps_what_it_protects_when_all_gates_are_closed() -> None:
    scope = Scope(min_per_module=2)
    method = make(scope)
    set_log_alpha(method, -torch.arange(24.0) - 1)
    mask = method.keep(24)
    assert set(mask.per_module().values()) == {2}
    assert scope.allows(mask)
    set_log_alpha(method, torch.arange(24.0) - 11)  # 12 are open, those of the last three modules
    assert method.keep(24).count == 12
    assert scope.allows(method.keep(24))


def test_one_training_serves_all_budgets_and_ends_with_its_last_checkpoint() -> None:
    assert (L0.method.per_budget, L0.method.coefficient) == (False, "penalty")
    assert make().cooldown(1000) == 1000
    assert "at_k" not in L0.training_options({"at_k": True})


@pytest.mark.parametrize("options", [{"penalty": -1.0}, {"penalty": math.inf}, {"penalty": math.nan}, {"warmup": 2.0}])
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        L0.options(options)
