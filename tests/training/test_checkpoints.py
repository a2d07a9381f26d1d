"""Trainings that are stopped or killed, in processes of their own and by real signals, end like undisturbed ones."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from headprune import removal
from headprune.config import Architecture, Training
from headprune.system import stopping
from headprune.system.files import discard
from headprune.tasks.translation.arguments import arguments
from headprune.training import checkpoints
from headprune.training.arguments import GateRun, gate_arguments
from headprune.training.checkpoints import LAST, ResumePoints, newest
from headprune.training.costs import Cost
from headprune.training.trainer import CURVE, Trained, read_curve, train

ARCHITECTURE = Architecture(width=32, feed_forward=32, encoder_layers=1, decoder_layers=1, heads=2, dropout=0.1)
UPDATES = 40
NEVER = ResumePoints(updates=10**6, minutes=10**6)


def gates(pipelined: bool) -> GateRun:
    options = {"cooldown": 0.5}
    return GateRun("dsp", options, 2, seed=7, learning_rate=0.2, cooldown=20, pipelined=pipelined)


CASES = {"dense": None, "joint": gates(False), "pipelined": gates(True), "joint, bf16": gates(False)}


@pytest.fixture(scope="module")
def argv(trainable: Any) -> Callable[[str], list[str]]:
    def argv(case: str) -> list[str]:
        precision = "bf16" if "bf16" in case else "fp32"
        settings = Training(
            updates=UPDATES, max_tokens=300, learning_rate=0.005, warmup=4, schedule="linear", precision=precision
        )
        extra = gate_arguments(CASES[case], UPDATES) if CASES[case] else []
        return [*arguments(trainable.binarised, trainable.pair, ARCHITECTURE, settings), *extra]

    return argv


@pytest.fixture(scope="module")
def start(argv: Callable[[str], list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpruned model."""
    folder = tmp_path_factory.mktemp("dense")
    removal.save(train(argv("dense"), folder / "run", seed=1).model, folder / "dense.pt")
    return folder / "dense.pt"


@pytest.fixture(scope="module")
def undisturbed(
    argv: Callable[[str], list[str]], start: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Trained, dict[str, Any]]]:
    """A whole training of a case, and its last checkpoint."""
    done: dict[str, tuple[Trained, dict[str, Any]]] = {}

    def undisturbed(case: str) -> tuple[Trained, dict[str, Any]]:
        if case not in done:
            folder = tmp_path_factory.mktemp(case) / "run"
            trained = train(argv(case), folder, 1, start if case == "pipelined" else None, points=NEVER)
            done[case] = trained, torch.load(folder / LAST, weights_only=True)
        return done[case]

    return undisturbed


def signalled(call: Callable[[], Any], update: int, number: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Calls it in another process, which gets a signal while it does that update; returns its exit status, or minus the
    signal that killed it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            called = checkpoints.Keeper.__call__

            def watched(keeper: Any, proceed: Any, cfg: Any, trainer: Any, *rest: Any) -> Any:
                if trainer.get_num_updates() == update:
                    os.write(writing, b".")
                    signal.pause() if number == signal.SIGKILL else wait_for_request()
                return called(keeper, proceed, cfg, trainer, *rest)

            monkeypatch.setattr(checkpoints.Keeper, "__call__", watched)
            stopping.listen()
            call()
            os._exit(0)
        except stopping.Stopped as stopped:
            os._exit(stopped.code)  # type: ignore[arg-type]
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    os.close(writing)
    assert os.read(reading, 1) == b".", "the training ended before that update"
    os.close(reading)
    os.kill(pid, number)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def wait_for_request() -> None:
    while not stopping.requested():
        signal.sigtimedwait([], 0.01)


def assert_equal(first: Any, second: Any, where: str = "") -> None:
    """Bit for bit, tensors and all."""
    if isinstance(first, torch.Tensor):
        assert first.dtype == second.dtype, where
        assert torch.equal(first, second), where
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            assert_equal(first[key], second[key], f"{where}/{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), where
        for index, pair in enumerate(zip(first, second, strict=True)):
            assert_equal(*pair, f"{where}/{index}")
    else:
        assert first == second, where


def assert_same_end(whole: tuple[Trained, dict[str, Any]], trained: Trained, folder: Path) -> None:
    """The selected model and gates, and the last state: weights, optimiser, schedule, place in the data, best score."""
    expected, last = whole
    assert_equal(expected.model.state_dict(), trained.model.state_dict())
    if expected.gates is not None:
        assert trained.gates is not None
        assert_equal(expected.gates.state_dict(), trained.gates.state_dict())
        assert expected.mask == trained.mask
    assert expected.curve == trained.curve
    assert {point["split"] for point in trained.curve} == {"train", "valid"}
    assert (expected.spent.forward, expected.spent.backward) == (trained.spent.forward, trained.spent.backward)
    state = torch.load(folder / LAST, weights_only=True)
    for key in ("model", "last_optimizer_state"):
        assert_equal(last[key], state[key], key)
    assert_equal(last["optimizer_history"][-1], state["optimizer_history"][-1])  # fairseq adds an entry when it loads
    for key in ("train_iterator", "best", "val_loss"):
        assert_equal(last["extra_state"][key], state["extra_state"][key], key)
    masters = [each["extra_state"][checkpoints.STATE][checkpoints.MASTERS] for each in (last, state)]
    assert_equal(*masters)
    assert bool(masters[0]) is state["cfg"]["common"]["bf16"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
@pytest.mark.parametrize("case", CASES)
def test_an_interrupted_training_ends_like_an_undisturbed_one(
    argv: Callable[[str], list[str]],
    start: Path,
    undisturbed: Callable[[str], tuple[Trained, dict[str, Any]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
    number: int,
) -> None:
    """Three times, before and after the gates have settled, within epochs and between the logged points."""
    folder = tmp_path / "run"
    points = NEVER if number == signal.SIGTERM else ResumePoints(updates=3, minutes=10**6)

    def go_on() -> Trained:
        return train(argv(case), folder, 1, start if case == "pipelined" else None, points=points)

    for update in (3, 17, 31):
        status = signalled(go_on, update, number, monkeypatch)
        assert status == (stopping.EXIT_STATUS if number == signal.SIGTERM else -signal.SIGKILL)
        saved = newest(folder)
        if number == signal.SIGTERM:
            assert saved is not None
            assert saved.updates == update
        else:
            assert saved is None or update - 3 <= saved.updates <= update
    assert_same_end(undisturbed(case), go_on(), folder)


def test_a_training_that_has_ended_is_not_continued(
    argv: Callable[[str], list[str]],
    undisturbed: Callable[[str], tuple[Trained, dict[str, Any]]],
    tmp_path: Path,
) -> None:
    """The process is killed before the caller has kept the model: fairseq would do another update."""
    folder = tmp_path / "run"
    train(argv("dense"), folder, 1)
    assert_same_end(undisturbed("dense"), train(argv("dense"), folder, 1), folder)


def test_states_are_saved_by_time(argv: Callable[[str], list[str]], tmp_path: Path) -> None:
    """At every update, if every instant is too long ago."""
    seen = []

    def look(update: int, total: int, loss: float) -> None:
        saved = newest(tmp_path / "run")
        assert saved is not None
        seen.append(update - saved.updates)

    train(argv("dense"), tmp_path / "run", 1, on_progress=look, points=ResumePoints(10**6, 1e-9))
    assert set(seen) == {1}


def test_saving_selects_nothing(
    argv: Callable[[str], list[str]],
    undisturbed: Callable[[str], tuple[Trained, dict[str, Any]]],
    tmp_path: Path,
) -> None:
    trained = train(argv("joint"), tmp_path / "run", 1, points=ResumePoints(updates=1))
    assert_same_end(undisturbed("joint"), trained, tmp_path / "run")


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.999])
def test_a_torn_checkpoint_is_replaced_by_the_one_it_was_copied_from(
    argv: Callable[[str], list[str]], tmp_path: Path, kept: float
) -> None:
    folder = tmp_path / "run"
    train(argv("dense"), folder, 1)
    whole = (folder / LAST).read_bytes()
    (folder / "checkpoint_best.pt").write_bytes(whole)
    (folder / LAST).write_bytes(whole[: int(kept * len(whole))])
    saved = newest(folder)
    assert saved is not None
    assert saved.updates == UPDATES
    assert (folder / LAST).read_bytes() == whole
    for path in folder.glob("checkpoint*.pt"):
        path.write_bytes(whole[: int(kept * len(whole))])
    assert newest(folder) is None
    assert not list(folder.glob("checkpoint*.pt"))
    assert sorted(path.name for path in folder.glob("*.torn")) == ["checkpoint_best.pt.torn", f"{LAST}.torn"]


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.EACCES])
def test_a_checkpoint_that_cannot_be_read_now_stays(
    argv: Callable[[str], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A file server that is away, or no memory to map it, takes no training away."""
    folder = tmp_path / "run"
    train(argv("dense"), folder, 1)
    whole = (folder / LAST).read_bytes()

    def fails(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    for name in ("open", "load"):
        with monkeypatch.context() as patch:
            patch.setattr(Path if name == "open" else torch, name, fails)
            with pytest.raises(OSError, match=re.escape(os.strerror(number))):
                newest(folder)
        assert (folder / LAST).read_bytes() == whole
    saved = newest(folder)
    assert saved is not None
    assert saved.updates == UPDATES


def test_code_in_a_checkpoint_is_refused_and_never_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(ran),)

    (tmp_path / "run").mkdir()
    torch.save({"optimizer_history": [{"num_updates": 3}], "extra_state": Payload()}, tmp_path / "run" / LAST)
    with pytest.raises(ValueError, match=f"{LAST} is refused: it holds more than tensors and plain data"):
        newest(tmp_path / "run")
    assert not ran.exists()
    torch.load(tmp_path / "run" / LAST, weights_only=False)
    assert ran.exists()  # so the payload was a live one


def test_a_torn_line_of_the_curve_is_left_out(tmp_path: Path) -> None:
    lines = ['{"split": "train", "update": 25, "loss": 2.0}', '{"split": "train", "update": 25, "loss": 1.0}', '{"spl']
    (tmp_path / CURVE).write_text("\n".join(lines))
    assert read_curve(tmp_path / CURVE) == [{"split": "train", "update": 25, "loss": 1.0}]


def test_costs_add_up() -> None:
    first = Cost(seconds=1.5, memory=100.0, forward=3, backward=2, updates=4)
    second = Cost(seconds=2.0, memory=60.0, forward=10, backward=20, updates=1)
    assert first + second == Cost(seconds=3.5, memory=100.0, forward=13, backward=22, updates=5)


def test_a_discarded_folder_is_gone(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    discard(tmp_path / "a")
    discard(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_the_rest_of_a_killed_discarding_goes_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the numbers of the two processes are; other folders stay."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "ab").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        discard(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    assert len(list(tmp_path.iterdir())) == 2
    (tmp_path / "a").mkdir()
    discard(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["ab"]
