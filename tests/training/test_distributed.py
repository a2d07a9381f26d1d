"""Trainings in two processes, on CPU with gloo: against one process that accumulates the same batches."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.multiprocessing.spawn import ProcessExitedException

from headprune import removal
from headprune.config import Architecture, Training
from headprune.models import compat
from headprune.system import stopping
from headprune.tasks.translation.arguments import arguments
from headprune.training import distributed
from headprune.training.arguments import GateRun, gate_arguments
from headprune.training.distributed import run
from headprune.training.trainer import DivergedError, configuration, train

SIZES = {"width": 32, "feed_forward": 32, "encoder_layers": 1, "decoder_layers": 1, "heads": 2}
ARCHITECTURE = Architecture(**SIZES, dropout=0.0)


def argv(corpus: Any, **changes: Any) -> list[str]:
    values = {"updates": 8, "max_tokens": 300, "learning_rate": 0.005, "warmup": 2, "schedule": "linear"}
    return arguments(corpus.binarised, corpus.pair, ARCHITECTURE, Training(**values | {"steps": "fairseq"} | changes))


@dataclass
class Remembering:
    """fairseq's training; every process keeps its gates of every update."""

    folder: Path

    def __call__(self, cfg: Any) -> None:
        import fairseq_cli.train

        seen = []

        def look(proceed: Any, cfg: Any, trainer: Any, task: Any, epoch_itr: Any) -> Any:
            state = trainer.get_model().gate_method.state_dict()
            seen.append({name: value.clone() for name, value in state.items()})
            return proceed()

        with compat.around_updates(look):
            fairseq_cli.train.main(cfg)
        torch.save(seen, self.folder / f"{torch.distributed.get_rank()}.pt")


def test_two_workers_train_like_one_that_accumulates_their_batches(trainable: Any, tmp_path: Path) -> None:
    """The same sums in another order; float32, and Adam divides small gradients by their size."""
    two = train(argv(trainable, workers=2), tmp_path / "two", seed=1)
    one = train(argv(trainable, update_freq=2), tmp_path / "one", seed=1)
    for name, value in one.model.state_dict().items():
        torch.testing.assert_close(two.model.state_dict()[name], value, atol=1e-4, rtol=0)
    losses = [[p["nll_loss"] for p in t.curve if p["split"] == "valid"] for t in (one, two)]
    assert losses[0]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert two.spent.backward == one.spent.backward
    assert 0 <= two.spent.forward - one.spent.forward < 100  # a worker without a batch to validate repeats one
    assert two.spent.memory > 50


@pytest.mark.parametrize("pipelined", [False, True], ids=["joint", "pipelined"])
def test_the_gates_of_all_workers_are_equal_at_every_update(trainable: Any, tmp_path: Path, pipelined: bool) -> None:
    gates = GateRun("dsp", {"cooldown": 0.5}, 2, seed=7, learning_rate=0.2, cooldown=4, pipelined=pipelined)
    extra = ["--save-dir", str(tmp_path), "--seed", "1", "--no-epoch-checkpoints", "--num-workers", "0"]
    run(configuration([*argv(trainable, workers=2), *gate_arguments(gates, 8), *extra]), Remembering(tmp_path))
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert len(first) == len(second) == 8
    for left, right in zip(first, second, strict=True):
        assert left.keys() == right.keys()
        assert all(torch.equal(left[name], right[name]) for name in left)
    assert not torch.equal(first[0]["logits"], first[-1]["logits"])


def test_an_error_of_a_worker_is_told_for_what_it_is(trainable: Any, tmp_path: Path) -> None:
    with pytest.raises(DivergedError):
        train(argv(trainable, workers=2, learning_rate=1e30, warmup=0), tmp_path / "run", seed=1)


def test_a_training_that_was_stopped_goes_on_from_another_model(trainable: Any, tmp_path: Path) -> None:
    """Workers load equal states: the gates end like those of an undisturbed training, bit for bit."""
    removal.save(train(argv(trainable), tmp_path / "dense", seed=1).model, tmp_path / "dense.pt")
    gates = GateRun("dsp", {"cooldown": 0.5}, 2, seed=7, learning_rate=0.2, cooldown=4, pipelined=True)
    words = [*argv(trainable, workers=2), *gate_arguments(gates, 8)]
    whole = train(words, tmp_path / "whole", 1, tmp_path / "dense.pt")
    short = [*words, "--stop-time-hours", "1e-9"]  # fairseq ends after the first update
    with pytest.raises(RuntimeError, match="after 1 of 8 updates"):
        train(short, tmp_path / "run", 1, tmp_path / "dense.pt")
    again = train(words, tmp_path / "run", 1, tmp_path / "dense.pt")
    assert whole.gates is not None and again.gates is not None
    for name, value in whole.gates.state_dict().items():
        assert torch.equal(again.gates.state_dict()[name], value), name


@dataclass
class Sleeping:
    """Tells that a worker is there, and does nothing until it is killed."""

    folder: Path

    def __call__(self, cfg: Any) -> None:
        (self.folder / str(os.getpid())).touch()
        time.sleep(600)


def test_workers_end_with_the_job(trainable: Any, tmp_path: Path) -> None:
    """However it ends: they would write beside its next attempt."""
    words = [*argv(trainable, workers=2), "--save-dir", str(tmp_path / "run"), "--num-workers", "0"]
    program = f"""
from pathlib import Path
from tests.training.test_distributed import Sleeping, configuration, run
run(configuration({words!r}), Sleeping(Path({str(tmp_path)!r})))
"""
    job = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
    workers: list[int] = []
    while len(workers) < 2:
        assert job.poll() is None
        time.sleep(0.1)
        workers = [int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()]
    job.kill()
    job.wait()
    for _ in range(100):
        if not any(Path(f"/proc/{worker}").exists() for worker in workers):
            return
        time.sleep(0.1)
    raise AssertionError(f"{workers} are still there")


def test_a_worker_that_is_killed_takes_the_job_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same signal ends this process, where somebody watches; else it is an error."""

    def wait(killed: list[int]) -> Any:
        class Context:
            processes: list[Any] = []  # noqa: RUF012

            def join(self, timeout: float) -> bool:
                raise ProcessExitedException("killed", error_index=1, error_pid=2, exit_code=-signal.SIGKILL)

        monkeypatch.setattr(os, "kill", lambda pid, number: killed.append(number))
        with pytest.raises(ProcessExitedException):
            distributed._wait(Context())
        return killed

    monkeypatch.delenv(stopping.PARENT, raising=False)
    assert wait([]) == []
    monkeypatch.setenv(stopping.PARENT, "1")
    assert wait([]) == [signal.SIGKILL]
