"""A training step of a model that judges pairs of sentences, of the size of `small_nli`, ours and fairseq's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import headprune.models.compat  # noqa: F401

import numpy as np
import synthetic
import torch
from fairseq.data import Dictionary
from fairseq.tasks.sentence_prediction import SentencePredictionTask

from headprune.training.arguments import fast_arguments
from headprune.training.trainer import configuration
from rows.base import Line, Settings, lines, take_turns

VOCABULARY, PAIRS, WIDTH, FEED_FORWARD, LAYERS, HEADS, CLASSES = 8000, 32, 128, 256, 4, 4, 3
LENGTH, SPREAD = 60, 15  # subwords of a pair
GATES = ("--gate-method", "dsp", "--gate-budget", "8", "--gate-total-updates", "300", "--gate-lr", "0.2")
KINDS = {
    "plain": [],
    "fast": fast_arguments("adam"),
    "dsp, joint, plain": [*GATES],
    "dsp, joint": [*fast_arguments("adam"), *GATES],
    "dsp, pipelined, plain": [*GATES, "--gate-pipelined"],
    "dsp, pipelined": [*fast_arguments("adam"), *GATES, "--gate-pipelined"],
}


def arguments(*more: str) -> list[str]:
    """Arguments of `fairseq-train`: the recipe of `small_nli`."""
    argv: list[Any] = ["none", "--task", "sentence_prediction", "--num-classes", CLASSES, "--init-token", 0]
    argv += ["--separator-token", 2, "--max-positions", 128, "--arch", "headprune_roberta"]
    argv += ["--encoder-embed-dim", WIDTH, "--encoder-ffn-embed-dim", FEED_FORWARD, "--encoder-layers", LAYERS]
    argv += ["--encoder-attention-heads", HEADS, "--dropout", 0, "--attention-dropout", 0, "--encoder-normalize-before"]
    argv += ["--criterion", "gated_sentence_prediction", "--batch-size", PAIRS, "--optimizer", "gated_adam"]
    argv += ["--adam-betas", "(0.9, 0.98)", "--lr", 0.0008, "--clip-norm", 1.0, "--lr-scheduler", "polynomial_decay"]
    argv += ["--warmup-updates", 150, "--total-num-update", 2500, "--max-update", 2500, *more]
    return [str(argument) for argument in argv]


def steps(more: list[str], batches: list[Any], seed: int) -> Callable[[], Any]:
    """A function that does the next update."""
    cfg = configuration([*arguments(*more), "--seed", str(seed)])
    words, labels = synthetic.dictionary(VOCABULARY), synthetic.dictionary(CLASSES + Dictionary().nspecial)
    return synthetic.updates(cfg, SentencePredictionTask(cfg.task, words, labels), batches, seed)


def made_up(seed: int, number: int = 20) -> list[dict[str, Any]]:
    """Pairs of random words, whose frequencies fall as Zipf's law says, with random labels."""
    generator = np.random.default_rng(seed)
    frequencies = 1 / np.arange(1, VOCABULARY - 3)
    batches = []
    for _ in range(number):
        lengths = np.clip(generator.normal(LENGTH, SPREAD, PAIRS), 10, 128).astype(int)
        tokens = torch.full((PAIRS, int(lengths.max())), 1)
        for row, length in zip(tokens, lengths, strict=True):
            drawn = generator.choice(len(frequencies), length, p=frequencies / frequencies.sum()) + 4
            row[:length] = torch.from_numpy(drawn)
        inputs = {"src_tokens": tokens, "src_lengths": torch.from_numpy(lengths)}
        target = torch.from_numpy(generator.integers(0, CLASSES, PAIRS))
        sizes = {"nsentences": PAIRS, "ntokens": int(lengths.sum())}
        batches.append({"id": torch.arange(PAIRS), **sizes, "net_input": inputs, "target": target})
    return batches


def measure(settings: Settings) -> list[Line]:
    batches = made_up(settings.seed)
    calls = {kind: steps(more, batches, settings.seed) for kind, more in KINDS.items()}
    times = take_turns(calls, settings.rounds, warmup=3)
    return lines("inference", times, "plain", notes={"plain": f"{PAIRS} pairs of {LENGTH} subwords a step"})
