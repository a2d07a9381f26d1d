"""Alignments of pruned models.

fairseq reads the alignment of a hypothesis off the cross-attention of one decoder layer, the last unless the model says
otherwise, as the mean over its heads: of a masked model over all, of a pruned one over those left. Where none is left
there is nothing to read, and whoever asks for alignments is told so before anything is generated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import headprune.models.compat  # noqa: F401

from fairseq.sequence_generator import SequenceGeneratorWithAlignment
from fairseq.sequence_scorer import SequenceScorer


def require_alignments(models: Iterable[Any]) -> None:
    """:raises ValueError: a model whose alignments would be read off a cross-attention without heads."""
    for model in models:
        layers = getattr(getattr(model, "decoder", None), "layers", [])
        if not len(layers):
            continue
        number = getattr(model, "alignment_layer", None)
        number = range(len(layers))[-1 if number is None else number]
        if not getattr(getattr(layers[number], "encoder_attn", None), "num_heads", 0):
            raise ValueError(
                f"no alignments from {type(model).__name__}: they are read off cross.{number}, the cross-attention of "
                f"decoder layer {number}, which has no heads; keep a head there, or ask for no alignments"
            )


def _checked(function: Callable[..., Any], wanted: Callable[[Any], bool]) -> Callable[..., Any]:
    """A method of fairseq's, (self, models, …), that begins with `require_alignments` where they are wanted."""

    @wraps(function)
    def checked(self: Any, models: Any, *args: Any, **kwargs: Any) -> Any:
        if wanted(self):
            require_alignments(models)
        return function(self, models, *args, **kwargs)

    return checked


SequenceGeneratorWithAlignment.__init__ = _checked(SequenceGeneratorWithAlignment.__init__, lambda generator: True)
SequenceScorer.generate = _checked(SequenceScorer.generate, lambda scorer: bool(scorer.compute_alignment))
