"""The losses of a model without each of its heads: layers reused where masks agree, against whole passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import synthetic
import torch
from torch import Tensor

from headprune.heads import HeadSpace
from headprune.scoring.masked_losses import masked_losses, spread_examples, without
from headprune.scoring.prefix_tree import PrefixTree, layers_of
from rows.base import Line, Settings, lines, take_turns

EXAMPLES, ALLOWED = 64, 1.1  # of the share of layer passes that is left


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
    words = synthetic.dictionary()
    model = synthetic.model(words, settings.seed)
    batches = spread_examples(synthetic.batches(words, 40, settings.seed), EXAMPLES)
    whole = torch.cat([without(range(synthetic.N_HEADS), range(synthetic.N_HEADS), synthetic.N_HEADS)])
    half = list(range(0, len(HeadSpace.prunable(model)), 2))
    kinds = {"drop one of 24": whole, "a step of greedy, 12 kept": without(half, half, synthetic.N_HEADS)}
    found = []
    for name, masks in kinds.items():
        passes, work = shares(model, batches[0], masks)

        def run(reuse: bool, masks: Tensor = masks) -> Callable[[], Any]:
            return lambda: masked_losses(model, batches, masks, reuse=reuse)

        times = take_turns({f"{name}: whole passes": run(False), f"{name}: layers reused": run(True)}, settings.rounds)
        found += lines(
            "masked",
            times,
            f"{name}: whole passes",
            {f"{name}: layers reused": ALLOWED * passes},
            {f"{name}: layers reused": f"{passes:.0%} of the layer passes, {work:.0%} of the multiply-accumulates"},
        )
    return found
