"""The cost of a training, or of the search for a mask: time, memory, updates, sentences that went through the model."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import headprune.models.compat  # noqa: F401

from fairseq.models import BaseFairseqModel, FairseqDecoder
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from headprune.system.memory import high_water, reset_peak


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of a training, or of the search for a mask. A sentence under two masks counts twice.

    A pass through the decoder alone, on encodings that were computed before, counts as one forward.
    """

    seconds: float = 0.0
    memory: float = 0.0  # MiB, peak; of several workers that of the first
    forward: int = 0  # sentences, of every forward pass
    backward: int = 0  # likewise
    updates: int = 0

    def __add__(self, other: Cost) -> Cost:
        """One after the other."""
        return Cost(
            seconds=self.seconds + other.seconds,
            memory=max(self.memory, other.memory),
            forward=self.forward + other.forward,
            backward=self.backward + other.backward,
            updates=self.updates + other.updates,
        )


class Meter:
    """Measures what happens within its context: counts the passes of all fairseq models there.

    The peak of memory is that since the innermost one began.
    """

    def __init__(self) -> None:
        self.started, self.forward, self.backward = time.monotonic(), 0, 0
        self._whole: Cost | None = None

    def __enter__(self) -> Meter:
        reset_peak()
        self.started, self._hook = time.monotonic(), register_module_forward_hook(self.count)
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.remove()
        self._whole = self.cost

    @property
    def cost(self) -> Cost:
        """All that has been spent so far, or until the context ended."""
        if self._whole is not None:
            return self._whole
        seconds = time.monotonic() - self.started
        return Cost(seconds=seconds, memory=high_water(), forward=self.forward, backward=self.backward)

    def count(self, module: nn.Module, inputs: Any, output: Any) -> None:
        """Count a forward pass, and the backward pass that may follow; a hook of all modules."""
        decoder = isinstance(module, FairseqDecoder) and not hasattr(module, "out_proj")  # attention is one, too
        if not decoder and (not isinstance(module, BaseFairseqModel) or hasattr(module, "decoder")):
            return
        logits = output[0] if isinstance(output, tuple) else output
        if not isinstance(logits, Tensor):
            return
        sentences = logits.shape[0]
        self.forward += sentences
        if logits.requires_grad:

            def backward(gradient: Tensor) -> None:
                self.backward += sentences

            logits.register_hook(backward)
