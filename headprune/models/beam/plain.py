"""The plain way: fairseq's own generator, for every model and every setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import headprune.models.compat  # noqa: F401

import torch

from headprune.models.beam.base import BeamRules, Hypothesis


class PlainBeamSearch:
    """fairseq's `SequenceGenerator` as the task builds it.

    It leaves the beam size in the attention modules, where it would corrupt the next forward pass outside beam search;
    it is reset here.
    """

    def __init__(self, model: Any, task: Any, rules: BeamRules) -> None:
        self.task, self.model, self.beam = task, model, rules.beam
        self.generator = task.build_generator([model], rules.arguments())
        self.generator.model.set_decoder_beam_size(1)

    def __call__(self, batch: Mapping[str, Any]) -> list[list[Hypothesis]]:
        self.generator.model.set_decoder_beam_size(self.beam)
        try:
            with torch.no_grad():
                return self.task.inference_step(self.generator, [self.model], batch)  # type: ignore[no-any-return]
        finally:
            self.generator.model.set_decoder_beam_size(1)
