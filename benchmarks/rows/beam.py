"""Beam search with beam 5 of stock fairseq's generator, by batch size, unpruned and pruned."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import Any

import synthetic
import torch

from rows.base import Line, Settings, lines, take_turns
from rows.evaluation import ideal, pruned_models

SENTENCES, MAX_TOKENS = 200, (4000, 2000, 500)
ARGUMENTS = Namespace(beam=5, lenpen=1.0, max_len_a=1.2, max_len_b=10)


def search(task: Any, model: Any, batches: list[Any]) -> Callable[[], None]:
    """Translates all batches."""
    generator = task.build_generator([model], ARGUMENTS)

    def run() -> None:
        with torch.no_grad():
            for batch in batches:
                task.inference_step(generator, [model], batch)
        generator.model.set_decoder_beam_size(1)

    return run


def measure(settings: Settings) -> list[Line]:
    """The same sentences in all; an untrained model writes to the longest length that it may."""
    words = synthetic.dictionary()
    task = synthetic.trainer(synthetic.arguments(*synthetic.OURS), words, settings.seed).task
    models = pruned_models(words, settings.seed)
    batches = {
        size: synthetic.batches(words, None, settings.seed, max_tokens=size, sentences=SENTENCES) for size in MAX_TOKENS
    }
    calls = {what: search(task, model, batches[MAX_TOKENS[0]]) for what, model in models.items()}
    calls |= {f"unpruned, {size} tokens": search(task, models["unpruned"], batches[size]) for size in MAX_TOKENS[1:]}
    notes = {what: f"ideal ratio {share:.2f}" for what, share in ideal(models).items()}
    notes["unpruned"] = f"{SENTENCES} sentences in batches of at most {MAX_TOKENS[0]} tokens"
    rounds = max(3, settings.rounds // 5)
    return lines("beam", take_turns(calls, rounds, warmup=1), "unpruned", notes=notes)
