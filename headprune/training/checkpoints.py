"""Points from which a training goes on: saved by updates, by time and when the process is asked to end.

They are fairseq's own checkpoints, `checkpoint_last.pt`, at the end of any update; saving one validates nothing, so
that it changes neither the training nor the checkpoint that is selected. They hold what the training has cost, too, the
digests of its terms, and in half precision the weights in single precision that fairseq would make of the rounded ones.
"""

from __future__ import annotations

import logging
import pickle
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import headprune.models.compat  # noqa: F401

import torch
from fairseq import checkpoint_utils
from torch import Tensor

from headprune.system import stopping
from headprune.system.files import replacing
from headprune.training.costs import Cost, Meter
from headprune.training.digests import Terms

logger = logging.getLogger(__name__)

LAST = "checkpoint_last.pt"
STATE, MASTERS = "headprune", "masters"  # the keys of our part of a checkpoint, and of weights in single precision


@dataclass(frozen=True)
class ResumePoints:
    """The times at which the state of a training is saved."""

    updates: int = 1000
    minutes: float = 10.0


@dataclass(frozen=True)
class Saved:
    """The newest checkpoint of a folder."""

    spent: Cost  # the lost work of killed processes not counted
    terms: Terms

    @property
    def updates(self) -> int:
        return self.spent.updates


def newest(folder: Path) -> Saved | None:
    """The checkpoint from which a training goes on; None without one.

    fairseq copies the best checkpoint over the last one in place: a process killed then leaves a torn file, and the one
    it was copied from beside it.
    """
    last = folder / LAST
    others = sorted(folder.glob("checkpoint*.pt"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in [last, *(other for other in others if other != last)]:
        state = _read(path)
        if state is None:
            continue
        if path != last:
            with replacing(last) as temporary:
                shutil.copyfile(path, temporary)
        own = state["extra_state"].get(STATE, {})
        updates = int(state["optimizer_history"][-1]["num_updates"])
        return Saved(Cost(**own.get("spent", {}), updates=updates), Terms(**own.get("terms", {})))
    return None


def _read(path: Path) -> dict[str, Any] | None:
    """A checkpoint; None without one, and where it is torn: it is put aside then, its name with `.torn` at the end.

    :raises ValueError: it holds code, which is not run.
    :raises OSError: it cannot be read now, which says nothing of what it holds.
    """
    if not path.exists():
        return None
    if not is_whole(path):
        path.replace(path.with_name(f"{path.name}.torn"))
        logger.warning("%s was written in part and is put aside", path)
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)  # type: ignore[no-any-return]
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path} is refused: it holds more than tensors and plain data ({error})") from error


def is_whole(path: Path) -> bool:
    """Return whether a file of torch was written to its end, where zip archives have their directory."""
    with path.open("rb") as file:
        try:
            return bool(ZipFile(file).filelist)
        except BadZipFile:
            return False


def masters(optimizer: Any) -> list[Tensor]:
    """Copies of the weights in single precision that an optimiser of a model in half precision updates; else none."""
    return [weight.detach().clone() for weight in getattr(optimizer, "fp32_params", ())]


def restore_masters(path: Path, optimizer: Any) -> None:
    """Gives an optimiser of a model in half precision the weights of a checkpoint, which fairseq made of rounded ones.

    A checkpoint of an earlier version has none of them, nor has one in single precision.
    """
    own = list(getattr(optimizer, "fp32_params", ()))
    state = _read(path) if own else None
    saved = state["extra_state"].get(STATE, {}).get(MASTERS, []) if state else []
    for weight, exact in zip(own, saved, strict=bool(saved)):
        weight.data.copy_(exact)


class Keeper:
    """Called by fairseq's loop around every validation and saving; see `compat.around_updates`."""

    def __init__(self, points: ResumePoints, meter: Meter, earlier: Cost, terms: Terms | None = None) -> None:
        self.points, self.meter, self.earlier, self.terms = points, meter, earlier, terms or Terms()
        self.saved_at = time.monotonic()
        self.saved_update, self.begun = -1, False
        self.others = Cost()  # of the other workers

    def __call__(self, proceed: Callable[[], Any], cfg: Any, trainer: Any, task: Any, epoch_itr: Any) -> Any:
        update = trainer.get_num_updates()
        own: Callable[[Any], dict[str, Any]] = getattr(type(task), "get_checkpoint_dict", lambda task: {})
        task.get_checkpoint_dict = lambda: {**own(task), **self.state(update, trainer.optimizer)}
        result = proceed()
        workers = trainer.data_parallel_world_size
        ask, due = stopping.requested(), time.monotonic() - self.saved_at > 60 * self.points.minutes
        if workers > 1:
            ask, due = self.agree(trainer, ask, due)
        validated = workers > 1 and result[0][0] is not None  # its passes on other workers were not known when it saved
        if ask or due or validated or (update and update % self.points.updates == 0):
            if self.saved_update != update or validated:
                checkpoint_utils.save_checkpoint(cfg.checkpoint, trainer, epoch_itr, None)
            self.saved_at = time.monotonic()
        if ask:
            if workers > 1:  # the others would be gone while the first one writes, which gets half a minute then
                torch.distributed.barrier(group=trainer.data_parallel_process_group)
            raise stopping.Stopped
        return result

    def begin(self, trainer: Any, samples: Any) -> None:
        """Called before every update: before the first of a training that goes on, its weights are made exact."""
        if not self.begun and trainer.get_num_updates():
            restore_masters(Path(trainer.cfg.checkpoint.save_dir) / LAST, trainer.optimizer)
        self.begun = True
        self.terms.note(trainer, samples)

    def state(self, update: int, optimizer: Any = None) -> Mapping[str, Any]:
        """Our part of the checkpoint of this update."""
        self.saved_update, self.saved_at = update, time.monotonic()
        spent = vars(self.earlier + self.others + self.meter.cost).copy()
        del spent["updates"]  # are fairseq's to tell
        return {STATE: {"spent": spent, "terms": vars(self.terms).copy(), MASTERS: masters(optimizer)}}

    def agree(self, trainer: Any, ask: bool, due: bool) -> tuple[bool, bool]:
        """All workers save and stop at the same update: when any is asked to, and when it is time on the first."""
        own = self.meter.cost
        values = [float(ask), float(due and trainer.data_parallel_rank == 0), own.forward, own.backward]
        told = torch.tensor(values, dtype=torch.float64, device=trainer.device)
        torch.distributed.all_reduce(told, group=trainer.data_parallel_process_group)
        asked, due_there, forward, backward = told.tolist()  # one wait for a GPU
        self.others = Cost(forward=round(forward) - own.forward, backward=round(backward) - own.backward)
        return bool(asked), bool(due_there)
