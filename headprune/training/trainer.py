"""Runs fairseq's own trainer on one model, in this process, resumable.

The loop is fairseq's, closed. What is trained is told by command-line arguments, the same that `fairseq-train` takes
with this package as its `--user-dir`; a run that was stopped or killed goes on from its last checkpoint when called
again with the same folder, and ends bit for bit like an undisturbed one (on CPU).
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import headprune.models.compat as compat

import fairseq_cli.train as train_cli
import torch
from fairseq import checkpoint_utils, options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf

from headprune.gates import clear_mask
from headprune.heads import HeadMask
from headprune.method import GateMethod
from headprune.models.transformer import HeadpruneTransformer
from headprune.system import stopping
from headprune.training import checkpoints, distributed
from headprune.training.checkpoints import ResumePoints
from headprune.training.costs import Cost, Meter
from headprune.training.digests import Terms

OnProgress = Callable[[int, int, float], None]  # update, updates in all, loss in bits per token
Settings = Mapping[str, Mapping[str, Any]]

# A training loss has no way back where it is both as many times that of guessing and of as many bits: a model that is
# sure of a few labels may lose several times that of guessing to its first masks.
EXPLOSION, CONFIDENT = 4, 20
CURVE = "curve.jsonl"


class DivergedError(RuntimeError):
    """The loss or a gradient stopped being a finite number, or the loss exploded."""


@dataclass
class Trained:
    """A finished training."""

    model: HeadpruneTransformer  # the best checkpoint by validation loss, in evaluation mode, no gates set
    gates: GateMethod | None  # the trained gate method, if there was one
    curve: list[dict[str, Any]] = field(default_factory=list)
    spent: Cost = field(default_factory=Cost)
    terms: Terms = field(default_factory=Terms)

    @property
    def updates(self) -> int:
        return self.spent.updates

    @property
    def mask(self) -> HeadMask | None:
        """The mask that the gate method keeps at its budget, of the heads in its scope."""
        return self.gates.keep(self.gates.budget) if self.gates is not None else None


def train(
    argv: list[str],
    folder: Path,
    seed: int,
    start: Path | None = None,
    checkpoint_every: int | None = None,
    on_progress: OnProgress | None = None,
    points: ResumePoints | None = None,
    settings: Settings | None = None,
) -> Trained:
    """Trains until the updates are done, resuming from `folder` if it holds a checkpoint.

    The folder stays, so that a kill before the caller has kept the model costs no training; see `files.discard`.

    :param argv: of an unpruned model, as its task gives them, and of `gate_arguments`
    :param folder: scratch space for checkpoints; nothing else may use it
    :param start: a model to start from, as `removal.save` writes it
    :param checkpoint_every: updates between validations, which may select a checkpoint; None: at ends of epochs
    :param on_progress: picklable where the training has several workers
    :param points: when the state is saved, which selects nothing
    :param settings: see `configuration`
    :raises DivergedError: the loss or a gradient norm is NaN or infinite, or the loss exploded.
    :raises RuntimeError: it ended before its updates were done, and gave no reason.
    :raises Stopped: the process was asked to end, and the state is saved.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cfg = configuration([*argv, *_run_arguments(folder, seed, start, checkpoint_every)], settings)
    before = checkpoints.newest(folder)
    if before is None or before.updates < cfg.optimization.max_update:  # fairseq would do one update too many
        compat.reset_process_state()
        with stopping.deferred():
            try:
                distributed.run(cfg, _Loop(folder, points or ResumePoints(), before, on_progress))
            except Exception as error:
                raise _diagnosed(error) from error
    done = checkpoints.newest(folder)
    if done is None or done.updates < cfg.optimization.max_update:  # of workers, too, that end with exit status 0
        updates = f"{done.updates if done else 0} of {cfg.optimization.max_update} updates"
        raise RuntimeError(f"the training ended after {updates} without an error: code in it ends its process")
    return _best(folder, cfg, done)


def _run_arguments(folder: Path, seed: int, start: Path | None, checkpoint_every: int | None) -> list[str]:
    """Arguments of one training among others of the same model; parameters of `train`."""
    argv = ["--save-dir", str(folder), "--seed", str(seed), "--no-epoch-checkpoints", "--num-workers", "0"]
    argv += ["--log-format", "json", "--log-interval", "25"]
    argv += ["--finetune-from-model", str(start)] if start is not None else []
    if checkpoint_every is not None:
        argv += ["--save-interval-updates", str(checkpoint_every), "--keep-interval-updates", "1"]
    return argv


@dataclass(frozen=True)
class _Loop:
    """fairseq's training loop, watched; goes to other processes as a pickle."""

    folder: Path
    points: ResumePoints
    before: checkpoints.Saved | None
    on_progress: OnProgress | None

    def __call__(self, cfg: Any) -> None:
        first = cfg.distributed_training.distributed_rank in (0, None)
        curve = _Curve(self.folder / CURVE, cfg, self.on_progress) if first else nullcontext()
        with Meter() as meter, curve:
            terms = self.before.terms if self.before else Terms()
            keeper = checkpoints.Keeper(self.points, meter, self.before.spent if self.before else Cost(), terms)
            with compat.around_updates(keeper, keeper.begin):
                train_cli.main(cfg)


def _diagnosed(error: Exception) -> Exception:
    """A divergence for what it is, of this process or a worker's; any other error as it came."""
    if isinstance(error, DivergedError):
        return error
    if cause := floating_point_error(error):
        return DivergedError(str(cause))
    for name in (DivergedError.__name__, FloatingPointError.__name__):  # the trace of a worker
        if f"{name}: " in str(error):
            return DivergedError(str(error).rsplit(f"{name}: ", 1)[1].splitlines()[0])
    return error


def floating_point_error(error: BaseException | None) -> FloatingPointError | None:
    """The `FloatingPointError` that `error` is or arose from: fairseq looks for the place of a NaN with hooks that may
    themselves fail, and their exception then hides it."""
    while error is not None and not isinstance(error, FloatingPointError):
        error = error.__cause__ or error.__context__
    return error


def configuration(argv: list[str], settings: Settings | None = None) -> Any:
    """fairseq's configuration for these arguments.

    :param settings: of its parts, `model` and `task`, instead of what the arguments give: of a model that is there
        already, all that it was built with
    """
    parsed = options.parse_args_and_arch(options.get_training_parser(), input_args=argv)
    cfg = convert_namespace_to_omegaconf(parsed)
    if not torch.cuda.is_available():
        cfg.common.cpu = True
    for part, values in (settings or {}).items():
        for key, value in values.items():
            setattr(getattr(cfg, part), key, value)
    compat.use_device_bf16(cfg)
    return cfg


def _best(folder: Path, cfg: Any, done: checkpoints.Saved) -> Trained:
    models, _, _ = checkpoint_utils.load_model_ensemble_and_task(
        [str(folder / "checkpoint_best.pt")], arg_overrides={"data": cfg.task.data}
    )
    model = models[0].float().eval()
    gates, model.gate_method = getattr(model, "gate_method", None), None
    clear_mask(model)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return Trained(model, gates, read_curve(folder / CURVE), done.spent, done.terms)


def read_curve(path: Path) -> list[dict[str, Any]]:
    """The points that were logged, of repeated ones the last; what a resumed run did again replaces what was lost."""
    points: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        with suppress(json.JSONDecodeError):  # the last line of a killed process
            point = json.loads(line)
            points = [p for p in points if p["update"] < point["update"] or p["split"] != point["split"]] + [point]
    return points


class _Curve(logging.Handler):
    """Keeps the statistics that fairseq logs as JSON beside the checkpoints, and looks at the loss.

    :raises DivergedError: the loss is not finite, or far above that of guessing.
    """

    def __init__(self, path: Path, cfg: Any, on_progress: OnProgress | None) -> None:
        super().__init__(logging.INFO)
        self.path, self.total, self.on_progress = path, cfg.optimization.max_update, on_progress
        self.limit = max(EXPLOSION * math.log2(_guesses(cfg)), CONFIDENT)

    def emit(self, record: logging.LogRecord) -> None:
        if record.name not in ("train_inner", "valid"):
            return
        stats = json.loads(record.getMessage())
        prefix = "valid_" if record.name == "valid" else ""
        point: dict[str, Any] = {"split": record.name.removesuffix("_inner")}
        point |= {"update": int(stats[f"{prefix}num_updates"])}
        loss = stats[f"{prefix}loss"]  # is `nll_loss`, too, where a criterion of fairseq's logs no other
        point |= {"loss": float(loss), "nll_loss": float(stats.get(f"{prefix}nll_loss", loss))}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(point) + "\n")
        self.check(point)
        if self.on_progress:
            self.on_progress(point["update"], self.total, point["nll_loss"])

    def check(self, point: Mapping[str, Any]) -> None:
        loss, where = point["nll_loss"], f"the {point['split']} loss at update {point['update']}"
        if not math.isfinite(loss):
            raise DivergedError(f"{where} is {loss}")
        if point["split"] == "train" and loss > self.limit:
            raise DivergedError(f"{where} is {loss:.1f} bits, far above that of guessing")

    def __enter__(self) -> _Curve:
        bar = logging.getLogger("fairseq.logging.progress_bar")
        self.level_before = bar.level
        bar.setLevel(logging.INFO)
        bar.addHandler(self)
        return self

    def __exit__(self, *error: object) -> None:
        bar = logging.getLogger("fairseq.logging.progress_bar")
        bar.removeHandler(self)
        bar.setLevel(self.level_before)


def _guesses(cfg: Any) -> int:
    """Answers that a training can guess among: labels of examples, or words, the lines of the largest dictionary."""
    labels = int(getattr(cfg.task, "num_classes", 0))
    lines = (path.read_text(encoding="utf-8").splitlines() for path in Path(cfg.task.data).rglob("dict*.txt"))
    return labels or max(map(len, lines))
