"""The losses of a model without each of its heads: layers reused where masks agree, against whole passes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import synthetic
from torch import Tensor

from headprune.scoring.masked_losses import masked_losses, spread_examples, without
from headprune.scoring.prefix_tree import PrefixTree, layers_of
from rows.base import Line, Settings, lines, take_turns

ALLOWED = 1.1  # of the share of layer passes that is left


@dataclass(frozen=True)
class Case:
    """Masks of a model, over some examples; the larger model takes part in few rounds."""

    name: str
    size: synthetic.Size
    masks: Tensor
    examples: int
    rounds: int


def cases(rounds: int) -> list[Case]:
    """Every head left out in turn, of all and of every second."""
    quick, base = synthetic.QUICK, synthetic.BASE
    half = list(range(0, quick.n_heads, 2))
    return [
        Case("drop one of 24", quick, without(range(24), range(24), 24), 64, rounds),
        Case("a step of greedy, 12 kept", quick, without(half, half, 24), 64, rounds),
        Case("6+6 layers of width 512, drop one of 144", base, without(range(144), range(144), 144), 2, min(rounds, 5)),
    ]


def shares(model: Any, batch: Any, masks: Tensor) -> tuple[float, float]:
    """Shares of what whole passes compute that a tree of prefixes does: layer passes, and multiply-accumulates of
    weights, with the output layer, which is computed for every mask."""
    layers = layers_of(model, batch)
    assert layers is not None
    tree = PrefixTree(model, batch, layers)
    heads = [head for own in tree.heads for head in own]
    ends = [sum(map(len, tree.heads[: n + 1])) for n in range(len(layers))]
    made = [len({tuple(mask[heads][:end].tolist()) for mask in masks}) for end in ends]
    weights = [sum(p.numel() for p in layer.parameters()) for layer in layers]
    output, masked = model.decoder.output_projection.weight.numel(), len(masks)
    work = sum(one * other for one, other in zip(made, weights, strict=True)) + masked * output
    return sum(made) / (masked * len(layers)), work / (masked * (sum(weights) + output))


def measure(settings: Settings) -> list[Line]:
    found = []
    for case in cases(settings.rounds):
        words = synthetic.dictionary()
        model = synthetic.model(words, settings.seed, size=case.size)
        batches = spread_examples(synthetic.batches(words, 40, settings.seed), case.examples)
        passes, work = shares(model, batches[0], case.masks)
        whole, reused = f"{case.name}: whole passes", f"{case.name}: layers reused"
        times = take_turns(
            {
                whole: partial(masked_losses, model, batches, case.masks, reuse=False),
                reused: partial(masked_losses, model, batches, case.masks, reuse=True),
            },
            case.rounds,
        )
        note = f"{passes:.0%} of the layer passes, {work:.0%} of the multiply-accumulates"
        found += lines("masked", times, whole, {reused: ALLOWED * passes}, {reused: note})
    return found
