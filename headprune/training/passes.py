"""The cost of finding a mask, in sentences that went through the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import headprune.models.compat  # noqa: F401

from fairseq.models import BaseFairseqModel, FairseqDecoder
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook


@dataclass
class Passes:
    """Sentences, of every forward and every backward pass; a sentence under two masks counts twice.

    A pass through the decoder alone, on encodings that were computed before, counts as one forward.
    """

    forward: int = 0
    backward: int = 0


@contextmanager
def counted_passes() -> Iterator[Passes]:
    """Counts the passes of all fairseq models within the context."""
    passes = Passes()

    def after(module: nn.Module, inputs: Any, output: Any) -> None:
        decoder = isinstance(module, FairseqDecoder) and not hasattr(module, "out_proj")  # attention is one, too
        if not decoder and (not isinstance(module, BaseFairseqModel) or hasattr(module, "decoder")):
            return
        logits = output[0] if isinstance(output, tuple) else output
        if not isinstance(logits, Tensor):
            return
        sentences = logits.shape[0]
        passes.forward += sentences
        if logits.requires_grad:

            def backward(gradient: Tensor) -> None:
                passes.backward += sentences

            logits.register_hook(backward)

    handle = register_module_forward_hook(after)
    try:
        yield passes
    finally:
        handle.remove()
