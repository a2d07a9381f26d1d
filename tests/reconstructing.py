"""The common ground of tests of reconstruction: inputs and outputs of modules, and new output projections."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from headprune.heads import attention_points
from headprune.method import OutputProjection

Build = Callable[..., Any]
Batch = dict[str, Any]
MODULES = ["encoder.0", "encoder.1", "cross.0", "cross.1", "decoder.0", "decoder.1"]


@contextmanager
def watched(model: Any) -> Iterator[tuple[dict[str, list[Tensor]], dict[str, list[Tensor]]]]:
    """Inputs of all output projections and outputs of all attention modules, as torch's hooks see them."""
    ins: dict[str, list[Tensor]] = {}
    outs: dict[str, list[Tensor]] = {}
    hooks, points = [], attention_points(model)
    for point in points:
        seen, given = ins.setdefault(point.name, []), outs.setdefault(point.name, [])
        point.module.skip_embed_dim_check = True
        hooks.append(point.module.out_proj.register_forward_pre_hook(lambda _, x, seen=seen: seen.append(x[0])))
        hooks.append(point.module.register_forward_hook(lambda _m, _x, y, given=given: given.append(y[0])))
    try:
        with torch.no_grad():
            yield ins, outs
    finally:
        for hook in hooks:
            hook.remove()
        for point in points:
            point.module.skip_embed_dim_check = False


def stacked(seen: Mapping[str, list[Tensor]]) -> dict[str, np.ndarray]:
    """(positions, channels) of batches without padding."""
    return {name: torch.cat([x.flatten(0, 1) for x in xs]).double().numpy() for name, xs in seen.items()}


def with_outputs(model: Any, outputs: Mapping[str, OutputProjection]) -> Any:
    """A copy of the model with these output projections."""
    changed = copy.deepcopy(model)
    with torch.no_grad():
        for point in attention_points(changed):
            if point.name in outputs:
                new = outputs[point.name]
                assert new.weight.dtype == point.module.out_proj.weight.dtype
                point.module.out_proj.weight.copy_(new.weight)
                assert new.bias is not None
                point.module.out_proj.bias.copy_(new.bias)
    return changed


def head_outputs(rows: np.ndarray, weight: np.ndarray, heads: int) -> np.ndarray:
    """The output of every head (heads, positions, model)."""
    width = weight.shape[1] // heads
    blocks = (slice(h * width, (h + 1) * width) for h in range(heads))
    return np.stack([rows[:, block] @ weight[:, block].T for block in blocks])
