"""The arguments of `fairseq-train` for translation."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headprune.models.transformer import ARCHITECTURE
from headprune.removal import plain_arguments
from headprune.settings import GivenShape
from headprune.tasks.translation.sections import Architecture, Training
from headprune.training.arguments import fast_arguments, optimisation_arguments, shape_arguments

NO_OPTIONS = ("decoder_input_dim", "relu_dropout")  # the width of the decoder, and another name of activation dropout


def arguments(
    data: Path, pair: tuple[str, str], architecture: Architecture | GivenShape, training: Training
) -> list[str]:
    """The arguments of `fairseq-train` for an unpruned model, without seed and folder.

    :param data: folder of fairseq's binarised data
    :param pair: source and target language
    """
    t = training
    argv: list[Any] = [str(data), "--task", "translation", "--source-lang", pair[0], "--target-lang", pair[1]]
    argv += ["--arch", ARCHITECTURE]
    argv += given(architecture.outline.arguments) if isinstance(architecture, GivenShape) else made(architecture)
    argv += ["--criterion", "gated_label_smoothed_cross_entropy", "--label-smoothing", t.label_smoothing]
    argv += ["--max-tokens", t.max_tokens]
    argv += ["--required-batch-size-multiple", 1]  # the default silently drops sentences, of valid and test too
    argv += fast_arguments(t.optimiser) if t.steps == "fast" else []
    return [str(argument) for argument in [*argv, *optimisation_arguments(t)]]


def made(architecture: Architecture) -> list[Any]:
    """The arguments of an architecture that a profile describes."""
    a = architecture
    argv: list[Any] = ["--dropout", a.dropout, "--attention-dropout", a.attention_dropout]
    argv += ["--activation-dropout", a.activation_dropout, "--activation-fn", a.activation]
    for side, layers in (("encoder", a.encoder_layers), ("decoder", a.decoder_layers)):
        argv += [f"--{side}-embed-dim", a.width, f"--{side}-ffn-embed-dim", a.feed_forward]
        argv += [f"--{side}-layers", layers, f"--{side}-attention-heads", a.heads]
        argv += [f"--{side}-normalize-before"] if a.normalize_before else []
    argv += ["--share-all-embeddings"] if a.share_embeddings else ["--share-decoder-input-output-embed"]
    return argv


def given(told: Mapping[str, Any]) -> list[Any]:
    """The arguments of an architecture that a checkpoint tells, dropout included.

    :param told: flat, all of them
    """
    from fairseq.models.transformer import TransformerConfig

    dropout = told.get("activation_dropout") or told.get("relu_dropout") or 0.0
    known = plain_arguments(TransformerConfig.from_namespace(Namespace(**{**told, "activation_dropout": dropout})))
    return shape_arguments(known, plain_arguments(TransformerConfig()), NO_OPTIONS)
