"""Teacher-forced evaluation of pruned models against the unpruned one, beside what multiply-accumulates promise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import synthetic
import torch

from headprune.cost import macs
from headprune.evaluation.likelihood import perplexity
from headprune.heads import HeadSpace
from headprune.removal import remove_heads
from rows.base import Line, Settings, lines, take_turns

REMOVED = (0.5, 0.75, 0.9)


def pruned_models(words: Any, seed: int) -> dict[str, Any]:
    """The unpruned model, and what is left of it without a share of its heads, at random places."""
    model = synthetic.model(words, seed)
    space = HeadSpace.of(model)
    order = torch.randperm(len(space), generator=torch.Generator().manual_seed(seed)).tolist()
    kept = {f"{share:.0%} removed": order[: round(len(space) * (1 - share))] for share in REMOVED}
    return {"unpruned": model} | {what: remove_heads(model, space.keep(heads)) for what, heads in kept.items()}


def ideal(models: dict[str, Any], source: int = 20, target: int = 18) -> dict[str, float]:
    """Multiply-accumulates over those of the unpruned model, of a sentence pair of mean length."""
    whole = macs(models["unpruned"], source, target)
    return {what: macs(model, source, target) / whole for what, model in models.items()}


def evaluation(model: Any, batches: list[Any]) -> Callable[[], float]:
    return lambda: perplexity(model, batches)


def measure(settings: Settings) -> list[Line]:
    words = synthetic.dictionary()
    models, batches = pruned_models(words, settings.seed), synthetic.batches(words, 4, settings.seed)
    calls = {what: evaluation(model, batches) for what, model in models.items()}
    notes = {what: f"ideal ratio {share:.2f}" for what, share in ideal(models).items()}
    return lines("evaluation", take_turns(calls, settings.rounds), "unpruned", notes=notes)
