"""fairseq's quirks, each shown by what fairseq does with and without the remedy."""

from __future__ import annotations

import pickle
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import headprune.models.compat as compat

import fairseq_cli.train as train_cli
import pytest
import torch
from fairseq import checkpoint_utils, options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.logging import metrics
from hydra.experimental import compose, initialize
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError


def run(code: str) -> str:
    """Standard output of a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


SCORES = """
import sys
import headprune.models
assert "sklearn" not in sys.modules, "fairseq's import of scikit-learn is put off"
assert "sklearn.metrics" not in sys.modules
import logging
assert logging.getLogger().level == logging.WARNING, "fairseq would set DEBUG"

import numpy
from fairseq.criterions import sentence_prediction
predicted, labels = numpy.array([1, 0, 1, 1, 0, 0, 1]), numpy.array([1, 0, 0, 1, 1, 0, 1])
found = sentence_prediction.acc_and_f1(predicted, labels), sentence_prediction.matthews_corrcoef(predicted, labels)

from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
assert found[0]["acc"] == accuracy_score(labels, predicted) == 5 / 7
assert found[0]["f1"] == f1_score(labels, predicted) == 0.75
assert found[1] == matthews_corrcoef(labels, predicted)
LogisticRegression().fit(numpy.arange(7)[:, None], labels)
print("same")
"""


def test_scikit_learn_comes_when_it_is_needed_and_is_the_real_one() -> None:
    """In a fresh process: scores by hand and by scikit-learn; the real package still imports after fairseq."""
    assert run(SCORES) == "same\n"


def test_scikit_learn_imported_earlier_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = ModuleType("sklearn"), ModuleType("sklearn.metrics")
    monkeypatch.setitem(sys.modules, "sklearn", earlier[0])
    monkeypatch.setitem(sys.modules, "sklearn.metrics", earlier[1])
    with compat._scores_on_demand():
        assert (sys.modules["sklearn"], sys.modules["sklearn.metrics"]) == earlier
    assert (sys.modules["sklearn"], sys.modules["sklearn.metrics"]) == earlier


def test_namespaces_are_safe_to_load_and_nothing_else_is(tmp_path: Path) -> None:
    torch.save({"args": Namespace(arch="transformer", lr=[0.1])}, tmp_path / "namespace.pt")
    loaded = torch.load(tmp_path / "namespace.pt", weights_only=True)
    assert loaded["args"] == Namespace(arch="transformer", lr=[0.1])
    torch.save({"args": Fraction(1, 2)}, tmp_path / "other.pt")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "other.pt", weights_only=True)


@pytest.fixture
def clean() -> Iterator[None]:
    compat.reset_process_state()
    yield
    compat.reset_process_state()


def stops(valid_loss: float) -> bool:
    """True if fairseq stops a run with patience 1 at this loss."""
    checkpoint = Namespace(patience=1, maximize_best_checkpoint_metric=False)
    return train_cli.should_stop_early(Namespace(checkpoint=checkpoint), valid_loss)


@pytest.mark.usefixtures("clean")
def test_patience_of_an_earlier_training_is_forgotten() -> None:
    assert [stops(1.0), stops(2.0)] == [False, True]
    assert stops(3.0)
    compat.reset_process_state()
    assert not hasattr(train_cli.should_stop_early, "best")
    assert [stops(3.0), stops(2.0), stops(2.5)] == [False, False, True]


class Trainer:
    """The part of fairseq's trainer that its `save_checkpoint` asks for, without writing anything."""

    data_parallel_rank, checkpoint_suffix = 1, ""
    always_call_state_dict_during_save_checkpoint = should_save_checkpoint_on_current_rank = False

    def consolidate_optimizer(self) -> None: ...

    def get_num_updates(self) -> int:
        return 1


def save(folder: Path, loss: float) -> Any:
    """The best loss that fairseq remembers after saving at this one."""
    names = ("no_save", "no_epoch_checkpoints", "no_last_checkpoints", "no_save_optimizer_state")
    cfg: dict[str, Any] = dict.fromkeys(names, False) | {"save_dir": str(folder), "keep_best_checkpoints": 0}
    cfg |= {"maximize_best_checkpoint_metric": False, "best_checkpoint_metric": "loss", "save_interval": 1}
    cfg |= {"save_interval_updates": 0, "keep_interval_updates": -1, "keep_last_epochs": -1}
    iterator = Namespace(epoch=1, end_of_epoch=lambda: True, state_dict=dict)
    checkpoint_utils.save_checkpoint(Namespace(**cfg), Trainer(), iterator, loss)
    return checkpoint_utils.save_checkpoint.best


@pytest.mark.usefixtures("clean")
def test_best_loss_of_an_earlier_training_is_forgotten(tmp_path: Path) -> None:
    assert [save(tmp_path, 2.0), save(tmp_path, 3.0)] == [2.0, 2.0]
    compat.reset_process_state()
    assert not hasattr(checkpoint_utils.save_checkpoint, "best")
    assert save(tmp_path, 3.0) == 3.0


@pytest.mark.usefixtures("clean")
def test_meters_of_an_earlier_training_are_forgotten() -> None:
    with metrics.aggregate("train"):
        metrics.log_scalar("loss", 5.0)
    assert metrics.get_smoothed_value("train", "loss") == 5.0
    compat.reset_process_state()
    assert metrics.get_meters("train") is None


def test_resetting_a_fresh_process_is_no_error() -> None:
    compat.reset_process_state()
    compat.reset_process_state()


def test_bf16_means_the_device_at_hand() -> None:
    arguments = ["data", "--task", "translation", "--arch", "headprune_transformer", "--bf16"]
    cfg = convert_namespace_to_omegaconf(options.parse_args_and_arch(options.get_training_parser(), arguments))
    assert cfg.common.tpu  # what fairseq makes of it
    compat.use_device_bf16(cfg)
    assert not cfg.common.tpu
    assert not cfg.distributed_training.tpu
    assert cfg.common.bf16


@pytest.mark.parametrize(
    "arch", ["transformer", "transformer_lm", "roberta_base", "headprune_transformer", "lightconv"]
)
def test_arguments_are_composed_as_hydra_does(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["corpus", "--arch", arch, "--optimizer", "adam", "--adam-betas", "(0.8, 0.9)", "--lr", "0.1,0.01"]
    words += ["--save-dir", "a folder's, {of} its=own", "--keep-interval-updates", "3", "--user-dir", "", "--bf16"]
    criterion = {"transformer_lm": ["--task", "language_modeling"], "roberta_base": ["--task", "masked_lm"]}
    words += criterion.get(arch, ["--task", "translation"])
    parsed = options.parse_args_and_arch(options.get_training_parser(), input_args=words)
    ours = [convert_namespace_to_omegaconf(parsed) for _ in range(2)]
    ours[0].common.seed = 99  # what is kept stays as it is
    monkeypatch.setattr("fairseq.dataclass.utils.compose", compose)
    monkeypatch.setattr("fairseq.dataclass.utils.initialize", initialize)
    stock = convert_namespace_to_omegaconf(parsed)
    assert ours[1] == stock and ours[1].model.__class__ is stock.model.__class__
    assert OmegaConf.to_yaml(ours[1].common) == OmegaConf.to_yaml(stock.common)
    with pytest.raises(ConfigAttributeError):  # closed, as stock's
        ours[1].common.another = 1
