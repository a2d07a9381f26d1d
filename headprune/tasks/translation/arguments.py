"""The arguments of `fairseq-train` for translation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headprune.models.transformer import ARCHITECTURE
from headprune.tasks.translation.sections import Architecture, Training
from headprune.training.arguments import fast_arguments, optimisation_arguments


def arguments(data: Path, pair: tuple[str, str], architecture: Architecture, training: Training) -> list[str]:
    """The arguments of `fairseq-train` for an unpruned model, without seed and folder.

    :param data: folder of fairseq's binarised data
    :param pair: source and target language
    """
    a, t = architecture, training
    argv: list[Any] = [str(data), "--task", "translation", "--source-lang", pair[0], "--target-lang", pair[1]]
    argv += ["--arch", ARCHITECTURE, "--dropout", a.dropout, "--attention-dropout", a.attention_dropout]
    argv += ["--activation-dropout", a.activation_dropout, "--activation-fn", a.activation]
    for side, layers in (("encoder", a.encoder_layers), ("decoder", a.decoder_layers)):
        argv += [f"--{side}-embed-dim", a.width, f"--{side}-ffn-embed-dim", a.feed_forward]
        argv += [f"--{side}-layers", layers, f"--{side}-attention-heads", a.heads]
        argv += [f"--{side}-normalize-before"] if a.normalize_before else []
    argv += ["--share-all-embeddings"] if a.share_embeddings else ["--share-decoder-input-output-embed"]
    argv += ["--criterion", "gated_label_smoothed_cross_entropy", "--label-smoothing", t.label_smoothing]
    argv += ["--max-tokens", t.max_tokens]
    argv += ["--required-batch-size-multiple", 1]  # the default silently drops sentences, of valid and test too
    argv += fast_arguments(t.optimiser) if t.steps == "fast" else []
    return [str(argument) for argument in [*argv, *optimisation_arguments(t)]]
