"""The layer-wise pruner: its distribution, its gradient, its stabilisers, and what removal makes of them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from headprune import removal
from headprune.config import LanguageArchitecture, StreamTraining
from headprune.gates import clear_mask
from headprune.heads import HeadSpace, Scope
from headprune.method import Progress, Pruning, load_methods
from headprune.method.registry import BUILT_IN
from headprune.models.gate_training import set_hard_gates
from headprune.tasks.language_modeling.arguments import arguments
from headprune.tasks.language_modeling.corpus import LanguageCorpus
from headprune.training.arguments import GateRun, gate_arguments
from headprune.training.trainer import train

ENTRY = load_methods()["layerwise_l0"]
PAPER = HeadSpace.from_names(f"decoder.{layer}.{head}" for layer in range(16) for head in range(8))
SMALL = HeadSpace.from_names(f"decoder.{layer}.{head}" for layer in range(2) for head in range(4))


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(space: HeadSpace = SMALL, **options: Any) -> Any:
    return ENTRY.method(space, len(space), ENTRY.options(options), rng(1), Scope())


def set_alpha(method: Any, values: list[float]) -> None:
    with torch.no_grad():
        for parameter, part in zip(method.log_alpha, torch.tensor(values).double().split(4), strict=True):
            parameter.copy_(part)


def progress(update: int = 0, total: int = 100, seed: int = 1) -> Progress:
    return Progress(update, total, rng(seed))


def test_a_head_is_open_with_the_probability_of_its_logit() -> None:
    """A hundred thousand draws, a thousand at a time as the heads of one wide layer."""
    values, generator = [-2.0, -0.5, 0.0, 0.3, 1.0, 2.0, 4.0, -6.0], rng(7)
    method = make(HeadSpace.from_names(f"decoder.0.{head}" for head in range(8000)), scaling=False)
    with torch.no_grad():
        method.log_alpha[0].copy_(torch.tensor(values).double().repeat(1000))
        draws = torch.cat([method.sample(Progress(0, 1, generator)).view(1000, 8) for _ in range(100)])
    assert draws.unique().tolist() == [0, 1]
    assert draws.mean(0).tolist() == pytest.approx([1 / (1 + math.exp(-v)) for v in values], abs=0.01)


def test_samples_are_zeros_and_ones_without_scaling() -> None:
    method = make(scaling=False)
    assert {float(gate) for seed in range(50) for gate in method.sample(progress(seed=seed))} == {0.0, 1.0}


def test_the_cost_of_128_open_heads() -> None:
    method = make(PAPER, penalty=1.0, warmup=0.0)
    cost = method.penalty(progress())
    assert float(cost) == pytest.approx(120.65, abs=0.005)
    slopes = torch.cat(torch.autograd.grad(cost, list(method.log_alpha)))
    assert slopes.tolist() == pytest.approx([0.0541] * 128, abs=5e-5)


def test_the_gradient_is_that_of_the_clipped_value() -> None:
    """Zero where |logit u + α| exceeds β ln 11, the derivative of 1.2 σ((logit u + α) / β) elsewhere."""
    method = make(scaling=False)
    values = [-0.9, -0.5, 0.0, 0.3, 0.7, 0.85, 2.0, -2.0]
    set_alpha(method, values)
    inside = 0
    for seed in range(200):
        gates = method.sample(progress(seed=seed))
        slopes = torch.cat(torch.autograd.grad(gates.sum(), list(method.log_alpha)))
        uniform = torch.rand(8, generator=rng(seed), dtype=torch.float64)
        reach = torch.logit(uniform) + torch.tensor(values).double()
        soft = torch.sigmoid(reach / 0.333)
        expected = torch.where(reach.abs() < 0.333 * math.log(11), 1.2 * soft * (1 - soft) / 0.333, 0.0)
        assert slopes.tolist() == pytest.approx(expected.tolist(), abs=1e-9)
        inside += int((expected > 0).sum())
    assert 100 < inside < 1500


def test_the_scale_of_a_layer_by_hand() -> None:
    opened = torch.tensor([1, 0, 1, 1, 0, 0, 0, 0], dtype=torch.float64)
    assert make().scale(opened).tolist() == pytest.approx([4 / 3] * 4 + [4.0] * 4)
    assert make(scaling=False).scale(opened).tolist() == [1.0] * 8
    assert make().gates(SMALL.keep([0, 2, 3, 4])).tolist() == pytest.approx([4 / 3, 0, 4 / 3, 4 / 3, 4, 0, 0, 0])


def test_the_penalty_grows_linearly_and_stays() -> None:
    method = make(penalty=0.5, warmup=0.4)
    full = float(make(penalty=0.5, warmup=0.0).penalty(progress()))
    at = {k: float(method.penalty(progress(k, 50))) / full for k in (0, 9, 19, 20, 49)}
    assert at == pytest.approx({0: 1 / 20, 9: 0.5, 19: 1.0, 20: 1.0, 49: 1.0})


def test_a_head_is_kept_from_zero_on() -> None:
    method = make()
    set_alpha(method, [0.0, -1e-9, 1e-9, 3.0, -3.0, 0.5, -0.5, 2.0])
    assert method.keep(8).names() == ("decoder.0.0", "decoder.0.2", "decoder.0.3", "decoder.1.1", "decoder.1.3")
    assert not method.exact
    exact = make(at_k=True)
    set_alpha(exact, [0.0, -1e-9, 1e-9, 3.0, -3.0, 0.5, -0.5, 2.0])
    assert exact.keep(2).names() == ("decoder.0.3", "decoder.1.3")
    assert exact.exact


ARCHITECTURE = LanguageArchitecture(
    width=16, layers=2, heads=4, persistent=6, segment=8, memory=8, dropout=0.0, attention_dropout=0.0,
    input_dropout=0.0, output_dropout=0.0,
)  # fmt: skip
TRAINING = StreamTraining(updates=40, rows=8, learning_rate=0.01, warmup=5, schedule="constant", clip_norm=0.5)


@pytest.fixture(scope="module")
def dense(language_corpus: LanguageCorpus, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A checkpoint of a tiny trained model."""
    folder = tmp_path_factory.mktemp("dense")
    argv = arguments(language_corpus.binarised, ARCHITECTURE, TRAINING)
    removal.save(train(argv, folder / "scratch", seed=1).model, folder / "dense.pt")
    return folder / "dense.pt"


def pruned_with(corpus: LanguageCorpus, dense: Any, folder: Any, **options: Any) -> Any:
    """The training of the gates that starts from `dense`."""
    run = GateRun("layerwise_l0", options, 8, 3, options["learning_rate"], 60, False, directories=(str(BUILT_IN),))
    change = {"updates": 60, "learning_rate": 0.001, "warmup": 0}
    argv = arguments(corpus.binarised, ARCHITECTURE, TRAINING.model_copy(update=change))
    return train([*argv, *gate_arguments(run, 60)], folder, seed=1, start=dense)


@pytest.mark.parametrize(("penalty", "least", "most"), [(0.0, 8, 8), (1.0, 0, 3)])
def test_a_large_penalty_closes_half_of_the_heads_and_none_of_them_for_nothing(
    language_corpus: LanguageCorpus, dense: Any, tmp_path: Any, penalty: float, least: int, most: int
) -> None:
    options = {"learning_rate": 0.05, "penalty": penalty, "warmup": 0.2}
    trained = pruned_with(language_corpus, dense, tmp_path / "gates", **options)
    assert least <= trained.gates.keep(8).count <= most


@pytest.mark.parametrize("alpha", [[1, 1, 1, -1, 1, -1, -1, -1], [1, -1, -1, -1, -1, -1, -1, -1]])
def test_the_pruned_model_computes_what_evaluation_saw(
    language_corpus: LanguageCorpus, dense: Any, alpha: list[float]
) -> None:
    """Gates times κ in the whole model, and the heads removed with κ in the output projection; a layer may be empty."""
    model, method = removal.load(dense), make()
    set_alpha(method, alpha)

    def logits(of: Any) -> Tensor:
        with torch.no_grad():
            read = [of(**batch["net_input"])[0] for batch in language_corpus.batches("valid", 4, 8)]
        return torch.cat(read, dim=1)

    set_hard_gates(model, method, Scope())
    seen = logits(model)
    clear_mask(model)
    pruning = Pruning.of(method.masks(model, [], [8], rng(1))[8])
    removed = removal.remove_heads(removal.reconstructed(model, pruning.outputs), pruning.mask)
    assert len(HeadSpace.of(removed)) == sum(value > 0 for value in alpha)
    assert float((logits(removed) - seen).abs().max()) < 1e-5
    assert float((logits(model) - seen).abs().max()) > 1e-2
