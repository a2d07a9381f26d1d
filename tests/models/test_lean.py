"""Training with fewer and larger operations against fairseq's own: losses, gradients, dropout."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from headprune.gates import set_gates
from headprune.models import native
from headprune.models.criteria import GatedLabelSmoothedCrossEntropy, is_lean
from headprune.models.lean import NEGLIGIBLE, ordinary, ordinary_numbers, packable
from headprune.models.transformer import HeadpruneTransformer

IN_C = native.attention.available(torch.zeros(1, dtype=torch.float64), 8)  # on this machine, the heads of these models
Build = Callable[..., Any]
Batch = dict[str, Any]
GATED = {"gate_method": "dsp", "gate_budget": 5, "gate_total_updates": 100, "gate_seed": 3}
VARIANTS = {
    "post-norm": {},
    "pre-norm": {"pre_norm": True},
    "gelu": {"activation_fn": "gelu"},
    "dropout": {"dropout": 0.3, "pre_norm": True},
    "all dropouts": {"dropout": 0.2, "attention_dropout": 0.3, "activation_dropout": 0.1},
    "own embeddings": {"share_eachembeddings": False},
    "norm of embeddings": {"layernorm_embedding": True},
    "gates": GATED,
    "gates, frozen weights": GATED | {"gate_pipelined": True, "pre_norm": True},
    "gates of every example": GATED | {"gate_method": "drophead", "gate_budget": 24},
    "pruned": {"keep_heads": '{"encoder.0": [], "encoder.1": [1, 2], "cross.0": [3], "cross.1": [], "decoder.1": [0]}'},
    "one layer of decoder": {"decoder_layers": 1},
    "wide heads": {"encoder_embed_dim": 64, "decoder_embed_dim": 64, "pre_norm": True},  # as wide as any vector
}
NO_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}
PACKED = ("post-norm", "pre-norm", "gelu", "norm of embeddings", "gates of every example", "pruned", "wide heads")
VARIANTS |= {f"{name}, without padding": VARIANTS[name] | NO_DROPOUT for name in PACKED}
OWN_DROPOUT = {"dropout": 0.2, "attention_dropout": 0.0, "activation_dropout": 0.1}  # its draws made the same below
ODD = {
    "adaptive softmax": {"adaptive_softmax_cutoff": "10,20", "share_eachembeddings": False},
    "dropped layers": {"encoder_layerdrop": 0.5},
    "noise on weights": {"quant_noise_pq": 0.1},
}


@pytest.fixture
def fairseqs_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropout as fairseq has it, the same masks of one seed, as where nothing can be compiled."""
    monkeypatch.setattr(native.dropout, "available", lambda x: False)


def no_draw(x: Tensor, p: float, **unused: Any) -> Tensor:
    """In the place of dropout, a function of each number alone: the negative ones are dropped."""
    return x * (x.detach() > 0) / (1 - p)


def step(criterion: Any, model: Any, batch: Batch) -> tuple[Tensor, dict[str, Any], list[Tensor | None]]:
    """Loss, what is logged and the gradients of all parameters, of one training forward and backward."""
    torch.manual_seed(7)
    model.train()
    model.zero_grad()
    model.set_num_updates(0)
    model.set_num_updates(1)
    loss, _, logged = criterion(model, batch)
    loss.backward()
    return loss.detach(), logged, [p.grad for p in model.parameters()]


def pair(build: Build, task: Namespace, dtype: torch.dtype, **arguments: Any) -> tuple[Any, Any, Any]:
    """A criterion, and equal models that train the lean and the plain way."""
    lean, plain = (build(seed=2, lean=way, **arguments).to(dtype) for way in (True, False))
    lean.train()
    assert is_lean(lean)
    assert not is_lean(plain)
    lean.eval()
    return GatedLabelSmoothedCrossEntropy(task, False, 0.1), lean, plain


@pytest.mark.parametrize("variant", VARIANTS)
def test_losses_and_gradients_in_double_precision(
    build: Build,
    make_batch: Callable[..., Batch],
    task: Namespace,
    exact_softmax: None,
    fairseqs_draws: None,
    variant: str,
) -> None:
    """Within 1e-10: same function, same masks of dropout, same gates."""
    criterion, lean, plain = pair(build, task, torch.float64, **VARIANTS[variant])
    packed = all(packable(part) for part in (lean.train().encoder, lean.decoder))
    assert packed is ("without padding" in variant and IN_C)
    alike(criterion, lean, plain, make_batch)


@pytest.mark.parametrize("variant", ["pre-norm", "post-norm", "gelu", "gates", "pruned", "wide heads"])
def test_dropout_of_our_own_without_padding(
    build: Build,
    make_batch: Callable[..., Batch],
    task: Namespace,
    exact_softmax: None,
    monkeypatch: pytest.MonkeyPatch,
    variant: str,
) -> None:
    """Within 1e-10, where dropout of either kind is a function of each number alone."""
    criterion, lean, plain = pair(build, task, torch.float64, **VARIANTS[variant] | OWN_DROPOUT)

    def ours(x: Tensor, probability: float, residual: Tensor | None = None) -> Tensor:
        found = no_draw(x, probability)
        return found if residual is None else found + residual

    monkeypatch.setattr(native.dropout, "dropout", ours)
    monkeypatch.setattr("fairseq.modules.fairseq_dropout.F.dropout", no_draw)
    assert all(packable(part) for part in (lean.train().encoder, lean.decoder)) is IN_C
    alike(criterion, lean, plain, make_batch)


def alike(criterion: Any, lean: Any, plain: Any, make_batch: Callable[..., Batch]) -> None:
    for seed in range(3):
        batch = make_batch(seed=seed, size=7)
        (loss, logged, gradients), (expected, other, references) = (step(criterion, m, batch) for m in (lean, plain))
        torch.testing.assert_close(loss, expected, rtol=1e-10, atol=0)
        torch.testing.assert_close(logged["nll_loss"], other["nll_loss"], rtol=1e-10, atol=0)
        assert {k: v for k, v in logged.items() if "loss" not in k} == {
            k: v for k, v in other.items() if "loss" not in k
        }
        for gradient, reference in zip(gradients, references, strict=True):
            assert (gradient is None) == (reference is None)
            if gradient is not None and reference is not None:
                torch.testing.assert_close(gradient, reference, rtol=1e-9, atol=1e-10 * float(expected))


@pytest.mark.parametrize("variant", ["pre-norm", "all dropouts", "gates", "wide heads, without padding"])
def test_losses_in_single_precision(
    build: Build, make_batch: Callable[..., Batch], task: Namespace, fairseqs_draws: None, variant: str
) -> None:
    """Within 1e-6, the norm of the gradient's difference within 1e-5 of that of the gradient."""
    criterion, lean, plain = pair(build, task, torch.float32, **VARIANTS[variant])
    batch = make_batch(seed=5, size=7)
    (loss, _, gradients), (expected, _, references) = (step(criterion, m, batch) for m in (lean, plain))
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    found, reference = (
        torch.cat([g.flatten().double() for g in gs if g is not None]) for gs in (gradients, references)
    )
    assert (found - reference).norm() < 1e-5 * reference.norm()


def test_without_a_compiler_and_with_two_threads_the_numbers_are_the_same(
    build: Build, make_batch: Callable[..., Batch], task: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within 1e-10, whether attention is computed in C, without padding, or in products of torch."""
    criterion, lean, _ = pair(build, task, torch.float64, **VARIANTS["wide heads, without padding"])
    batch = make_batch(seed=2, size=7)
    loss, _, gradients = step(criterion, lean, batch)
    monkeypatch.setattr(native.attention, "available", lambda x, width: False)
    expected, _, references = step(criterion, lean, batch)
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=0)
    torch.testing.assert_close(gradients, references, rtol=1e-9, atol=1e-10 * float(expected))


def test_batches_without_padding(
    build: Build, make_batch: Callable[..., Batch], task: Namespace, exact_softmax: None, fairseqs_draws: None
) -> None:
    criterion, lean, plain = pair(build, task, torch.float64, pre_norm=True)
    batch = make_batch(seed=1, size=1)
    assert not batch["net_input"]["src_tokens"].eq(task.source_dictionary.pad()).any()
    loss, expected = (step(criterion, model, batch)[0] for model in (lean, plain))
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=0)


def test_evaluation_is_fairseqs_bit_for_bit(
    build: Build, make_batch: Callable[..., Batch], logits: Callable[..., Tensor], task: Namespace
) -> None:
    """Logits, and the loss of validation."""
    criterion, lean, _ = pair(build, task, torch.float32)
    stock, batch = build(seed=2, stock=True), make_batch(seed=4)
    assert torch.equal(logits(lean, batch), logits(stock, batch))
    assert torch.equal(criterion(lean, batch)[0], criterion(stock, batch)[0])


@pytest.mark.parametrize("odd", ODD)
def test_models_with_other_parts_train_the_plain_way(build: Build, odd: str) -> None:
    model = build(lean=True, **ODD[odd]).train()
    assert not (ordinary(model.encoder) and ordinary(model.decoder))
    assert not model.lean
    assert not is_lean(model)


def test_what_is_half_precise_or_probed_trains_the_plain_way(build: Build) -> None:
    assert not is_lean(build(lean=True).bfloat16().train())
    model = build(lean=True).train()
    assert is_lean(model)
    model.decoder.layers[0].self_attn.out_proj.probes = []
    assert not is_lean(model)


def test_the_lean_way_is_asked_for(build: Build) -> None:
    """Without the argument, and of the class fairseq builds, it is fairseq's code that trains."""
    assert not is_lean(build().train())
    assert not is_lean(build(stock=True).train())


def test_gates_set_from_outside_count_too(
    build: Build, make_batch: Callable[..., Batch], task: Namespace, exact_softmax: None, fairseqs_draws: None
) -> None:
    criterion, lean, plain = pair(build, task, torch.float64)
    gates = torch.linspace(0, 1, 24, dtype=torch.float64)
    for model in (lean, plain):
        set_gates(model, gates)
    batch = make_batch(seed=1)
    loss, expected = (step(criterion, model, batch)[0] for model in (lean, plain))
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=0)


def test_modules_of_dropout_have_the_names_of_fairseqs(build: Build) -> None:
    names = [[m.module_name for m in build(stock=way).modules() if hasattr(m, "module_name")] for way in (True, False)]
    assert names[0] == names[1]


def test_negligible_gates_are_zero_and_others_stay() -> None:
    gates = torch.tensor([0.0, 1e-42, -0.5 * NEGLIGIBLE, 2 * NEGLIGIBLE, 0.3, 1.2], dtype=torch.float64)
    found = ordinary_numbers(gates.requires_grad_())
    assert found.tolist() == [0.0, 0.0, 0.0, 2 * NEGLIGIBLE, 0.3, 1.2]
    assert torch.autograd.grad(found.sum(), gates)[0].tolist() == [0, 0, 0, 1, 1, 1]


def test_the_command_line_knows_the_lean_way(task: Namespace) -> None:
    import argparse

    parser = argparse.ArgumentParser()
    HeadpruneTransformer.add_args(parser)
    assert parser.parse_args(["--lean"]).lean is True
    assert parser.parse_args([]).lean is False
