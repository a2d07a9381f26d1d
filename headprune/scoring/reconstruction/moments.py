"""Moments of the contexts that the output projections of a model see, from one pass over calibration data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from headprune.gates import call_projections, install
from headprune.heads import AttentionPoint, HeadSpace, attention_points
from headprune.importance import forget, query_positions


@dataclass(frozen=True)
class Moments:
    """The contexts of one attention module over `count` positions: E[c] and E[c cᵀ], float64."""

    count: int
    mean: Tensor  # (channels,)
    second: Tensor  # (channels, channels), not centred

    @property
    def variance(self) -> Tensor:
        """The variance of every channel (channels,)."""
        return (self.second.diagonal() - self.mean**2).clamp(min=0)


def contexts(model: nn.Module, batch: Mapping[str, Any]) -> dict[str, Tensor]:
    """The inputs of all output projections in one forward pass, times the gates that are set, padding left out.

    :returns: by module, in the order in which the model calls them, float64 (positions, channels)
    :raises ValueError: a module with heads that the model does not call, or whose positions are not the batch's.
    """
    with _recording(model) as (points, recorded), torch.no_grad():
        model(**batch["net_input"])
    found = {}
    for name, context in recorded.items():
        real = query_positions(model, batch, points[name]).t()  # (positions, batch)
        if real.shape != context.shape[:2]:
            raise ValueError(
                f"module {name} has contexts for (positions, batch) {tuple(context.shape[:2])}, "
                f"the batch has {tuple(real.shape)}"
            )
        found[name] = context[real.to(context.device)].double()
    if missing := points.keys() - found.keys():
        raise ValueError(f"the forward pass does not reach the output projection of {', '.join(sorted(missing))}")
    return found


def context_moments(model: nn.Module, batches: Iterable[Mapping[str, Any]]) -> dict[str, Moments]:
    """Moments of the contexts of every module with heads, in evaluation mode, under whatever mask is set, from
    an empty memory.

    :returns: by module (`cross.1`), in head-space order
    :raises ValueError: a model without heads, or no positions at all; and see `contexts`.
    """
    HeadSpace.prunable(model)
    counts: dict[str, int] = {}
    sums: dict[str, tuple[Tensor, Tensor]] = {}
    with evaluating(model):
        forget(model)
        for batch in batches:
            for name, rows in contexts(model, batch).items():
                total = rows.sum(0), rows.t() @ rows
                sums[name] = total if name not in sums else (sums[name][0] + total[0], sums[name][1] + total[1])
                counts[name] = counts.get(name, 0) + len(rows)
    if not counts or not min(counts.values()):
        raise ValueError("moments of contexts need at least one position; the batches are empty")
    names = [point.name for point in attention_points(model) if point.indices]
    return {n: Moments(counts[n], sums[n][0].cpu() / counts[n], sums[n][1].cpu() / counts[n]) for n in names}


@contextmanager
def _recording(model: nn.Module) -> Iterator[tuple[dict[str, AttentionPoint], dict[str, Tensor]]]:
    """Within the context, forward passes leave the gated contexts (positions, batch, channels) of every module."""
    points = [point for point in install(model) if point.indices]
    recorded: dict[str, Tensor] = {}

    def record(name: str, projection: Any, context: Tensor) -> None:
        if projection.gate is not None:
            gate = projection.gate.to(device=context.device, dtype=context.dtype).unsqueeze(-1)
            context = (context.unflatten(-1, (projection.num_heads, -1)) * gate).flatten(-2)
        recorded[name] = context

    call_projections(points, always=True)
    hooks = [
        point.module.out_proj.register_forward_pre_hook(
            lambda module, args, name=point.name: record(name, module, *args)
        )
        for point in points
    ]
    try:
        yield {point.name: point for point in points}, recorded
    finally:
        for hook in hooks:
            hook.remove()
        call_projections(points, always=any(point.module.out_proj.gate is not None for point in points))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Within the context the model is in evaluation mode."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
