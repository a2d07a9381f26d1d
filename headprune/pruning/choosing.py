"""The heads that a score method keeps, and what it says of every head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from headprune.method import Batches, Entry, Pruning, Ranking, ScoreMethod, load_methods
from headprune.method.entry import BUILT_IN
from headprune.method.guards import confined
from headprune.method.masks import masks_of
from headprune.naming import unknown


def score_method(name: str, directories: Sequence[str | Path] = ()) -> Entry:
    """A method that judges the heads of a trained model as it is, by its name.

    :param directories: folders with methods beside those that come along
    :raises ValueError: no method has the name, or it trains gates, or removes nothing; names those that work.
    """
    known = load_methods(BUILT_IN, *directories)
    if name not in known:
        raise ValueError(unknown("method", name, known))
    entry = known[name]
    able = [other for other, found in known.items() if found.judges]
    if entry.kind == "gate":
        raise ValueError(
            f"method {name!r} learns its gates while a model trains, and nothing is trained here; profiles have it "
            f"(docs/profiles.md). These judge a trained model as it is: {', '.join(able)}"
        )
    if name not in able:
        raise ValueError(f"method {name!r} removes nothing; available: {', '.join(able)}")
    return entry


JUDGEMENTS = ("scores", "rank")  # of all heads, the more telling first; a method that finds masks may have neither


@dataclass(frozen=True)
class Judged:
    """A mask with the weights that make up for what it removes, and the scores behind it (N,), if there are any."""

    pruning: Pruning
    scores: Tensor | None


def choose(method: ScoreMethod, model: nn.Module, batches: Batches, budget: int, seed: int) -> Judged:
    """Has a method choose the heads to keep. One whose masks come about without its scores judges twice.

    :param model: in evaluation mode, all gates open
    :raises ConductError: the method changed the model or the state of the process.
    :raises ValueError: see `masks_of`.
    """
    seen: dict[str, Any] = {}
    own = [name for name in JUDGEMENTS if getattr(type(method), name) is not getattr(ScoreMethod, name)]
    for name in JUDGEMENTS:
        setattr(method, name, _recorded(getattr(method, name), seen, name))
    pruning = masks_of(method, model, batches, [budget], seed)[budget]
    if own and own[0] not in seen:
        with confined(method.name, model):
            getattr(method, own[0])(model, batches, torch.Generator().manual_seed(seed))
    return Judged(pruning, seen["scores"] if "scores" in seen else places_of(seen.get("rank")))


def _recorded(function: Callable[..., Any], seen: dict[str, Any], name: str) -> Callable[..., Any]:
    """`function`, whose last result is put down."""

    def call(*args: Any) -> Any:
        result = function(*args)
        seen[name] = result.detach().cpu().double() if isinstance(result, Tensor) else result
        return result

    return call


def places_of(ranking: Ranking | None) -> Tensor | None:
    """The place of every head in an order of removal (N,), 0 for the first to go."""
    if ranking is None:
        return None
    order = torch.tensor(ranking.removal, dtype=torch.long)
    return torch.empty(len(order), dtype=torch.float64).index_copy(0, order, torch.arange(len(order)).double())
