"""The arguments of `fairseq-train` for language models of fairseq's that read blocks of text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from headprune.models.transformer_lm import ARCHITECTURE, OF_THE_TASK, PrunableLanguageModelConfig
from headprune.settings import GivenShape
from headprune.tasks.language_blocks.sections import BlockTraining
from headprune.training.arguments import optimisation_arguments, shape_arguments

NO_OPTIONS = (*OF_THE_TASK, "_name", "keep_heads", "decoder_normalize_before", "relu_dropout")


def arguments(data: Path, blocks: Mapping[str, Any], shape: GivenShape, training: BlockTraining) -> list[str]:
    """The arguments of `fairseq-train` for an unpruned model, without seed and folder.

    :param data: folder of fairseq's binarised text
    :param blocks: settings of fairseq's task, with which text is cut
    """
    outline = shape.outline
    argv: list[Any] = [data, "--task", "language_modeling", "--tokens-per-sample", blocks["tokens_per_sample"]]
    argv += ["--sample-break-mode", blocks["sample_break_mode"], *(["--add-bos-token"] * blocks["add_bos_token"])]
    argv += ["--max-target-positions", outline.positions[1], "--arch", ARCHITECTURE, *given(outline.arguments)]
    argv += ["--criterion", "gated_cross_entropy", "--max-tokens", training.max_tokens]
    argv += ["--required-batch-size-multiple", 1]  # the default silently drops blocks, of valid and test too
    return [str(argument) for argument in [*argv, *optimisation_arguments(training)]]


def given(told: Mapping[str, Any]) -> list[Any]:
    """The arguments of an architecture that a checkpoint tells, dropout included.

    :param told: flat, all of them
    """
    usual = {item.name: item.default for item in fields(PrunableLanguageModelConfig)}
    known = {name: told[name] for name in usual if name in told}
    known["activation_dropout"] = told.get("activation_dropout") or told.get("relu_dropout") or 0.0
    order = [] if told.get("decoder_normalize_before") else ["--decoder-normalize-after"]
    return [*shape_arguments(known, usual, NO_OPTIONS), *order]
