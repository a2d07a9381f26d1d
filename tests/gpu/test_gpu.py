"""Computations on a GPU are those of the CPU, up to rounding, and the same in every run.

The tests of this file need a GPU; `make test-gpu` runs them, and the end-to-end tests on it.
"""

from __future__ import annotations

import copy
import os
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from headprune import removal
from headprune.config import Architecture, Evaluation, Training
from headprune.gates import set_mask
from headprune.heads import HeadMask, HeadSpace
from headprune.importance import ESTIMATORS, head_importance
from headprune.method import Pruning, load_methods
from headprune.method.registry import BUILT_IN
from headprune.models import AllAttentionLanguageModel
from headprune.models.devices import placed, repeatable
from headprune.scoring.masked_losses import masked_losses
from headprune.scoring.reconstruction import context_moments
from headprune.tasks.language_modeling.corpus import LanguageCorpus
from headprune.tasks.language_modeling.evaluation import likelihood
from headprune.tasks.translation import evaluation
from headprune.tasks.translation.arguments import arguments
from headprune.tasks.translation.corpus import TranslationCorpus
from headprune.training.arguments import GateRun, gate_arguments
from headprune.training.trainer import Trained, train

ASKED = "HEADPRUNE_TEST_GPU"
METHODS = load_methods(BUILT_IN)
SCORES = sorted(name for name, entry in METHODS.items() if entry.kind == "score")
GATES = sorted(name for name, entry in METHODS.items() if entry.kind == "gate")
ARCHITECTURE = Architecture(width=32, feed_forward=32, encoder_layers=1, decoder_layers=1, heads=2, dropout=0.1)
BUDGETS = (0, 3, 12, 24)


@pytest.fixture(autouse=True, scope="session")
def gpu() -> torch.device:
    if ASKED not in os.environ:
        pytest.skip(f"computes on a GPU: run `make test-gpu`, or set {ASKED}=1")
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    return torch.device("cuda")


@pytest.fixture(autouse=True, scope="module")
def no_tensor_float_32() -> None:
    """Matrix products in full single precision, torch's default."""
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.fixture
def both(build: Callable[..., Any], gpu: torch.device) -> tuple[Any, Any]:
    """One model on the CPU and on the GPU."""
    model = build()
    return model, copy.deepcopy(model).to(gpu)


@pytest.fixture
def batches(make_batch: Callable[..., Any]) -> list[dict[str, Any]]:
    return [make_batch(seed) for seed in range(3)]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_importance(both: Any, batches: Any, gpu: torch.device, estimator: Any) -> None:
    own, other = both
    found = head_importance(other, [placed(batch, gpu) for batch in batches], estimator)
    torch.testing.assert_close(found, head_importance(own, batches, estimator), rtol=1e-3, atol=1e-5)


def test_losses_under_masks(both: Any, batches: Any, gpu: torch.device) -> None:
    own, other = both
    masks = 1 - torch.eye(24)
    for reuse in (False, True):
        found = masked_losses(other, [placed(batch, gpu) for batch in batches], masks, reuse=reuse)
        torch.testing.assert_close(found, masked_losses(own, batches, masks, reuse=reuse), rtol=1e-5, atol=1e-6)


def test_moments_of_contexts(both: Any, batches: Any, gpu: torch.device) -> None:
    own, other = both
    expected = context_moments(own, batches)
    for name, found in context_moments(other, [placed(batch, gpu) for batch in batches]).items():
        assert found.count == expected[name].count
        torch.testing.assert_close(found.second, expected[name].second, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", SCORES)
def test_every_score_method_selects_the_same_heads(both: Any, batches: Any, gpu: torch.device, name: str) -> None:
    entry = METHODS[name]
    budgets = BUDGETS if entry.method.prunes else (24,)
    found = []
    for model, data in zip(both, (batches, [placed(batch, gpu) for batch in batches]), strict=True):
        rng = torch.Generator().manual_seed(1)
        masks = entry.method(entry.options({})).masks(model, data, budgets, rng)
        found.append({budget: Pruning.of(mask) for budget, mask in masks.items()})
        for pruning in found[-1].values():
            removal.remove_heads(model, pruning.mask)
    on_cpu, on_gpu = found
    for budget in budgets:
        assert on_gpu[budget].mask == on_cpu[budget].mask
        assert on_gpu[budget].outputs.keys() == on_cpu[budget].outputs.keys()
        for module, output in on_gpu[budget].outputs.items():
            torch.testing.assert_close(output.weight.cpu(), on_cpu[budget].outputs[module].weight, rtol=1e-3, atol=1e-4)


def run(corpus: TranslationCorpus, folder: Path, gates: GateRun | None = None, **changes: Any) -> Trained:
    values = {"updates": 8, "max_tokens": 300, "learning_rate": 0.005, "warmup": 4, "schedule": "linear"}
    training = Training(**values | changes)
    extra = gate_arguments(gates, training.updates) if gates else []
    return train([*arguments(corpus.binarised, corpus.pair, ARCHITECTURE, training), *extra], folder, seed=1)


@pytest.mark.parametrize(("name", "precision"), [*((name, "fp32") for name in GATES), ("dsp", "bf16")])
def test_every_gate_method_trains_and_repeats_itself(
    prepared: TranslationCorpus, tmp_path: Path, name: str, precision: str
) -> None:
    repeatable()
    budget = 3 if METHODS[name].method.per_budget else ARCHITECTURE.n_heads
    gates = GateRun(name, {}, budget, seed=7, learning_rate=0.2, cooldown=6, pipelined=False)
    first, second = (run(prepared, tmp_path / folder, gates, precision=precision) for folder in ("first", "second"))
    assert isinstance(first.mask, HeadMask)
    assert first.mask == second.mask
    assert all(torch.isfinite(value).all() for value in first.model.state_dict().values())
    pairs = zip(first.model.state_dict().items(), second.model.state_dict().values(), strict=True)
    assert all(torch.equal(value, again) for (_, value), again in pairs)


def test_training_begins_like_on_the_cpu(
    prepared: TranslationCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Validation losses after eight updates; rounding grows from update to update. Relative 1e-2."""
    on_gpu = run(prepared, tmp_path / "gpu", max_tokens=2000)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    on_cpu = run(prepared, tmp_path / "cpu", max_tokens=2000)
    assert next(on_gpu.model.parameters()).device.type == "cpu"
    assert on_gpu.curve[-1]["loss"] == pytest.approx(on_cpu.curve[-1]["loss"], rel=1e-2)


def test_translations(prepared: TranslationCorpus, tmp_path: Path, gpu: torch.device) -> None:
    """Nine of ten lines of an untrained model agree, whose beams are close to ties."""
    model = run(prepared, tmp_path / "run").model
    settings = Evaluation(beam=2, max_len_a=0, max_len_b=5)
    expected = evaluation.translate(model, prepared, "valid", settings)
    found = evaluation.translate(model.to(gpu), TranslationCorpus(prepared.folder, gpu), "valid", settings)
    assert sum(a == b for a, b in zip(found, expected, strict=True)) > 0.9 * len(expected)


def test_likelihoods(language_corpus: LanguageCorpus, gpu: torch.device) -> None:
    sizes = Namespace(layers=2, width=16, heads=2, persistent=8, memory_length=16, max_relative=20)
    model = AllAttentionLanguageModel.build_model(sizes, language_corpus.task)
    expected = likelihood(model, language_corpus, "valid", 4, 16)
    found = likelihood(model.to(gpu), LanguageCorpus(language_corpus.folder, gpu), "valid", 4, 16)
    torch.testing.assert_close(torch.tensor(found.nats), torch.tensor(expected.nats), rtol=1e-4, atol=1e-4)


def test_evaluation_sees_every_write_to_the_weights(language_corpus: LanguageCorpus, gpu: torch.device) -> None:
    """All-Attention goes on in a row after a write through `.data`; bit for bit what it computes without a cache."""
    sizes = Namespace(layers=2, width=16, heads=2, persistent=8, memory_length=16, max_relative=20)
    model = AllAttentionLanguageModel.build_model(sizes, language_corpus.task).to(gpu).eval()
    tokens = torch.arange(4, 20, device=gpu).view(2, 8)
    with torch.no_grad():
        model(tokens, start=True)
        for parameter in model.parameters():
            parameter.data.mul_(1.1)
        other = copy.deepcopy(model)
        other.train().eval()  # forgets what the weights made of the memory
        assert torch.equal(model(tokens)[0], other(tokens)[0])


def test_a_pruned_model_is_the_masked_one(both: Any, batches: Any, gpu: torch.device, logits: Any) -> None:
    _, model = both
    batch, space = placed(batches[0], gpu), HeadSpace.of(model)
    mask = space.keep(range(0, len(space), 3))
    pruned = removal.remove_heads(model, mask)
    set_mask(model, mask)
    torch.testing.assert_close(logits(pruned, batch), logits(model, batch), rtol=1e-4, atol=1e-5)
