"""The arguments of `fairseq-train` for natural language inference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headprune.models.roberta import ARCHITECTURE
from headprune.tasks.nli.sections import ExampleTraining, RobertaArchitecture
from headprune.training.arguments import optimisation_arguments

BEGIN, SEPARATOR = 0, 2  # the numbers of <s> and </s> in every dictionary of fairseq


def arguments(data: Path, classes: int, architecture: RobertaArchitecture, training: ExampleTraining) -> list[str]:
    """The arguments of `fairseq-train` for an unpruned model, without seed and folder.

    :param data: folder of fairseq's binarised data
    :param classes: number of labels
    """
    a, t = architecture, training
    argv: list[Any] = [data, "--task", "sentence_prediction", "--num-classes", classes]
    argv += ["--init-token", BEGIN, "--separator-token", SEPARATOR]
    argv += ["--max-positions", a.positions, "--shorten-method", "truncate"]
    argv += ["--arch", ARCHITECTURE, "--encoder-embed-dim", a.width, "--encoder-ffn-embed-dim", a.feed_forward]
    argv += ["--encoder-layers", a.layers, "--encoder-attention-heads", a.heads, "--activation-fn", a.activation]
    argv += ["--dropout", a.dropout, "--attention-dropout", a.attention_dropout]
    argv += ["--activation-dropout", a.activation_dropout, "--pooler-dropout", a.pooler_dropout]
    argv += ["--encoder-normalize-before"] if a.normalize_before else []
    argv += ["--criterion", "gated_sentence_prediction", "--batch-size", t.batch_size]
    argv += ["--required-batch-size-multiple", 1]  # the default silently drops examples, of valid and test too
    argv += ["--find-unused-parameters"] if t.workers > 1 else []  # what predicts masked words has no gradient
    return [str(argument) for argument in [*argv, *optimisation_arguments(t)]]
