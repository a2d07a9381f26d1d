"""The arguments of `fairseq-train` for language modeling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headprune.tasks.language_modeling.sections import LanguageArchitecture, StreamTraining
from headprune.training.arguments import fast_arguments, optimisation_arguments


def arguments(data: Path, architecture: LanguageArchitecture, training: StreamTraining) -> list[str]:
    """The arguments of `fairseq-train` for an unpruned model, without seed and folder.

    :param data: folder of fairseq's binarised data
    """
    a, t = architecture, training
    argv: list[Any] = [data, "--task", "streaming_lm", "--tokens-per-sample", a.segment]
    argv += ["--arch", "all_attention_lm", "--layers", a.layers, "--width", a.width, "--heads", a.heads]
    argv += ["--persistent", a.persistent, "--ffn-dim", a.feed_forward, "--initialisation", a.initialisation]
    argv += ["--memory-length", a.memory, "--max-relative", a.memory + 1]
    argv += ["--dropout", a.dropout, "--attention-dropout", a.attention_dropout]
    argv += ["--input-dropout", a.input_dropout, "--output-dropout", a.output_dropout]
    argv += ["--word-dropout", a.word_dropout]
    if a.cutoffs:
        argv += ["--adaptive-cutoff", ",".join(map(str, a.cutoffs)), "--adaptive-factor", a.factor]
    elif a.share_embeddings:
        argv += ["--share-embeddings"]
    argv += ["--final-norm"] if a.final_norm else []
    argv += ["--criterion", "gated_cross_entropy", "--batch-size", t.rows]
    argv += [] if t.roll else ["--no-roll-rows"]
    argv += fast_arguments(t.optimiser) if t.steps == "fast" else []
    return [str(argument) for argument in [*argv, *optimisation_arguments(t)]]
