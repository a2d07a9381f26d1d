"""Trainings with `fast_arguments` against those without, through fairseq's trainer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from headprune import removal
from headprune.config import Architecture, LanguageArchitecture, StreamTraining, Training
from headprune.models import native
from headprune.tasks.language_modeling.arguments import arguments as stream_arguments
from headprune.tasks.translation.arguments import arguments
from headprune.training.arguments import GateRun, fast_arguments, gate_arguments
from headprune.training.trainer import train

ARCHITECTURE = Architecture(width=32, feed_forward=32, encoder_layers=1, decoder_layers=1, heads=2, dropout=0.1)
DSP = {"method": "dsp", "options": {"cooldown": 0.5}, "budget": 2, "seed": 7, "learning_rate": 0.2, "cooldown": 6}
PIPELINED, JOINT = (GateRun(**DSP, pipelined=way) for way in (True, False))


@pytest.fixture(scope="module")
def trained_path(trainable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model to freeze."""
    folder = tmp_path_factory.mktemp("start")
    path = folder / "model.pt"
    removal.save(train([*argv(trainable), "--max-update", "1"], folder / "run", seed=1).model, path)
    return path


def argv(corpus, gates: GateRun | None = None, steps: str = "fairseq") -> list[str]:
    own = {"schedule": "linear", "clip_norm": 1.0, "steps": steps}
    training = Training(updates=12, max_tokens=300, learning_rate=0.005, warmup=4, **own)
    extra = gate_arguments(gates, training.updates) if gates else []
    return [*arguments(corpus.binarised, corpus.pair, ARCHITECTURE, training), *extra]


@pytest.fixture
def fairseqs_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropout draws the masks that fairseq draws."""
    monkeypatch.setattr(native.dropout, "available", lambda x: False)


@pytest.mark.parametrize("gates", [None, JOINT, PIPELINED], ids=["dense", "joint", "pipelined"])
def test_fast_trainings_differ_by_rounding(trainable, tmp_path: Path, gates, trained_path, fairseqs_draws) -> None:
    """Losses of validation, of 12 updates and a tiny model, within 1e-4; same data, same start, same gates."""
    start = trained_path if gates and gates.pipelined else None
    plain = train(argv(trainable, gates), tmp_path / "plain", 1, start, checkpoint_every=4)
    fast = train(argv(trainable, gates, "fast"), tmp_path / "fast", 1, start, checkpoint_every=4)
    assert fast.terms == plain.terms
    assert (fast.spent.forward, fast.spent.backward) == (plain.spent.forward, plain.spent.backward)
    assert fast.mask == plain.mask
    assert len(fast.curve) == len(plain.curve)
    for one, other in zip(fast.curve, plain.curve, strict=True):
        assert one["update"] == other["update"]
        assert one["nll_loss"] == pytest.approx(other["nll_loss"], rel=1e-4)


@pytest.mark.parametrize("cutoffs", [[], [60]], ids=["plain softmax", "adaptive softmax"])
@pytest.mark.parametrize("gates", [None, JOINT], ids=["dense", "joint"])
def test_fast_trainings_of_language_models_differ_by_rounding(language_corpus, tmp_path: Path, gates, cutoffs) -> None:
    """Losses of validation within 1e-4, as above."""
    architecture = LanguageArchitecture(
        width=16, layers=2, heads=2, persistent=8, segment=16, memory=16, cutoffs=cutoffs, word_dropout=0.0
    )
    trained = []
    for steps in ("fairseq", "fast"):
        training = StreamTraining(updates=12, rows=8, learning_rate=0.005, warmup=4, steps=steps)
        extra = gate_arguments(gates, training.updates) if gates else []
        words = [*stream_arguments(language_corpus.binarised, architecture, training), *extra]
        assert ("--lean" in words) == (steps == "fast")
        trained.append(train(words, tmp_path / steps, 1, checkpoint_every=4))
    plain, fast = trained
    assert fast.terms == plain.terms
    assert fast.mask == plain.mask
    for one, other in zip(fast.curve, plain.curve, strict=True):
        assert one["nll_loss"] == pytest.approx(other["nll_loss"], rel=1e-4)


@pytest.mark.parametrize("gates", [None, JOINT], ids=["dense", "joint"])
def test_a_killed_fast_run_ends_like_an_undisturbed_one(trainable, tmp_path: Path, gates) -> None:
    fast = argv(trainable, gates, "fast")
    whole = train(fast, tmp_path / "whole", 1, checkpoint_every=4)

    def kill(update, total, loss):
        if update >= 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(fast, tmp_path / "killed", 1, checkpoint_every=4, on_progress=kill)
    resumed = train(fast, tmp_path / "killed", 1, checkpoint_every=4)
    first, second = whole.model.state_dict(), resumed.model.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert whole.mask == resumed.mask


def test_two_fast_workers_train_like_one_that_accumulates_their_batches(trainable, tmp_path: Path) -> None:
    """The same sums in another order. Key biases are left out: their true derivative is 0, and Adam divides what
    rounding makes of it by its size."""
    architecture = ARCHITECTURE.model_copy(update={"dropout": 0.0})
    trained = []
    for change in ({"workers": 2}, {"update_freq": 2}):
        training = Training(updates=8, max_tokens=300, learning_rate=0.005, warmup=2, schedule="linear", **change)
        words = [*arguments(trainable.binarised, trainable.pair, architecture, training), *fast_arguments("adam")]
        trained.append(train(words, tmp_path / next(iter(change)), seed=1).model.state_dict())
    for name, value in trained[0].items():
        if name.endswith("k_proj.bias"):
            continue
        torch.testing.assert_close(trained[1][name], value, atol=1e-4, rtol=0)


def test_lamb_has_no_fused_way() -> None:
    assert fast_arguments("lamb") == ["--lean"]
    assert fast_arguments("adam") == ["--lean", "--fused"]
