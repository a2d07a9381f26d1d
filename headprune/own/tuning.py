"""Training of a pruned model by fairseq's trainer, with the loss of the training that made the whole one."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headprune.checkpoints import describe
from headprune.models.devices import device
from headprune.own.workpiece import Workpiece
from headprune.removal import kind_of
from headprune.settings import Optimisation
from headprune.training.arguments import optimisation_arguments
from headprune.training.trainer import train

SHARE = 0.1  # of the peak learning rate of the checkpoint's own training
WARM_UP = 0.1  # of the updates
MAX_TOKENS = 4000  # of a batch, where the checkpoint does not tell
BETA2 = 0.98


def fine_tuned(work: Workpiece, start: Path, scratch: Path, say: Callable[[str], None]) -> Any:
    """The model after its training, in evaluation mode: of the ends of epochs, and of the last update, the one with the
    least loss on the whole valid split. A training that was stopped goes on.

    :param start: checkpoint of the pruned model
    :param scratch: folder of the training, which stays
    :raises DivergedError: the loss is not finite.
    """
    settings = {"model": dict(describe(start).arguments), "task": dict(work.task_settings)}
    argv, seed = arguments(work), work.request.seed

    def progress(update: int, total: int, bits: float) -> None:
        say(f"fine-tuning: {update:,} of {total:,} updates, {bits:.2f} bits per token")

    with unprinted("fairseq.logging.progress_bar"):
        return train(argv, scratch, seed, start, on_progress=progress, settings=settings).model.to(device())


def arguments(work: Workpiece) -> list[str]:
    """The words of `fairseq-train`, without those of the architecture: Adam, the learning rate up for a tenth of the
    updates, then down to 0 in a line; batches, clipping and decay as the checkpoint's training had them."""
    told, request = work.opened.description.training, work.request
    loss = ["--criterion", "gated_cross_entropy"]
    if "label_smoothed" in str(told.get("criterion")):
        loss = [
            "--criterion",
            "gated_label_smoothed_cross_entropy",
            "--label-smoothing",
            str(told.get("label_smoothing", 0.0)),
        ]
    size = {"--batch-size": told.get("batch_size") or told.get("max_sentences"), "--max-tokens": told.get("max_tokens")}
    size = {option: value for option, value in size.items() if value} or {"--max-tokens": MAX_TOKENS}
    plan = Optimisation(
        updates=request.fine_tune,
        update_freq=int(first(told.get("update_freq"), 1)),
        learning_rate=learning_rate(work),
        warmup=round(WARM_UP * request.fine_tune),
        schedule="linear",
        weight_decay=float(told.get("weight_decay") or 0),
        clip_norm=float(told.get("clip_norm") or 0),
        beta2=first(told.get("adam_betas"), BETA2, last=True),
    )
    words: list[Any] = [*work.training_words, "--arch", kind_of(work.model).architecture, *loss]
    words += [word for pair in size.items() for word in pair]
    words += ["--required-batch-size-multiple", 1]  # fairseq's default leaves sentences out
    return [str(word) for word in [*words, *optimisation_arguments(plan)]]


def learning_rate(work: Workpiece) -> float:
    """The peak learning rate: the one that was asked for, or `SHARE` of the checkpoint's own.

    :raises ValueError: the checkpoint tells none.
    """
    request = work.request
    if request.learning_rate is not None:
        return request.learning_rate
    peak = first(work.opened.description.training.get("lr"), 0.0)
    if not peak > 0:
        raise ValueError(
            f"{request.checkpoint} does not tell its learning rate, as files that headprune saved do not: give one for "
            "--fine-tune, --learning-rate"
        )
    return SHARE * peak


def first(value: Any, default: float, last: bool = False) -> float:
    """A number of fairseq's settings, which are numbers, lists of them, or such as text: `[0.0005]`, `(0.9, 0.98)`.

    :param last: the last of a list
    """
    texts = [text for text in str(value if value is not None else "").strip("[]() ").replace(",", " ").split() if text]
    return float(texts[-1 if last else 0]) if texts else default


@contextmanager
def unprinted(logger: str) -> Iterator[None]:
    """Within the context a logger tells its own handlers alone, and nobody is warned: fairseq's progress and the
    warnings of its libraries would stand between those of a progress bar."""
    found = logging.getLogger(logger)
    before, found.propagate = found.propagate, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        found.propagate = before
