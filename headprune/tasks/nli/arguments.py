"""The arguments of `fairseq-train` for natural language inference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headprune.models.roberta import ARCHITECTURE
from headprune.tasks.nli.sections import ExampleTraining, RobertaArchitecture
from headprune.tasks.nli.trainings import Pretraining
from headprune.training.arguments import fast_arguments, optimisation_arguments

BEGIN, SEPARATOR = 0, 2  # the numbers of <s> and </s> in every dictionary of fairseq


def arguments(data: Path, classes: int, architecture: RobertaArchitecture, training: ExampleTraining) -> list[str]:
    """The arguments of `fairseq-train` for an unpruned model, without seed and folder.

    :param data: folder of fairseq's binarised data
    :param classes: number of labels
    """
    argv: list[Any] = [data, "--task", "sentence_prediction", "--num-classes", classes]
    argv += ["--init-token", BEGIN, "--separator-token", SEPARATOR]
    argv += [*_shape(architecture), "--pooler-dropout", architecture.pooler_dropout]
    argv += ["--criterion", "gated_sentence_prediction", *_batches(training)]
    return [str(argument) for argument in [*argv, *optimisation_arguments(training)]]


def pretraining_arguments(data: Path, architecture: RobertaArchitecture, training: Pretraining) -> list[str]:
    """The arguments of `fairseq-train` for a training of masked words, likewise; see `MaskedPairs`."""
    argv: list[Any] = [data, "--task", "masked_pairs", "--tokens-per-sample", architecture.positions]
    argv += ["--mask-prob", training.mask, "--random-token-prob", training.random]
    argv += ["--leave-unmasked-prob", training.unchanged]
    argv += [*_shape(architecture), "--criterion", "masked_lm", *_batches(training)]
    return [str(argument) for argument in [*argv, *optimisation_arguments(training)]]


def _shape(a: RobertaArchitecture) -> list[Any]:
    argv: list[Any] = ["--max-positions", a.positions, "--shorten-method", "truncate"]
    argv += ["--arch", ARCHITECTURE, "--encoder-embed-dim", a.width, "--encoder-ffn-embed-dim", a.feed_forward]
    argv += ["--encoder-layers", a.layers, "--encoder-attention-heads", a.heads, "--activation-fn", a.activation]
    argv += ["--dropout", a.dropout, "--attention-dropout", a.attention_dropout]
    argv += ["--activation-dropout", a.activation_dropout]
    return [*argv, *(["--encoder-normalize-before"] if a.normalize_before else [])]


def _batches(t: ExampleTraining) -> list[Any]:
    # The default of the multiple silently drops examples, of valid and test too.
    argv = ["--batch-size", t.batch_size, "--required-batch-size-multiple", 1]
    return argv + (fast_arguments(t.optimiser) if t.steps == "fast" else [])
