"""Cutting heads out of attention modules, in place.

Removing the heads of a module cuts the rows of W_Q, W_K, W_V and the columns of W_O that belong to them; head width
and softmax scale stay (METHODS.md 1.5). A module without a head outputs its output bias; its layer norm and residual
stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from headprune.gates import GatedProjection, install


class EmptyAttention(nn.Module):
    """An attention module that lost all its heads: every position gets the output bias."""

    head_indices: tuple[int, ...] = ()
    num_heads = 0

    def __init__(self, bias: Tensor | None) -> None:
        super().__init__()
        self.out_proj = nn.ParameterDict({} if bias is None else {"bias": bias.detach().clone()})

    def forward(self, query: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, None]:
        """:param query: [tgt, batch, model]; keys, values and masks are ignored"""
        if "bias" not in self.out_proj:
            return torch.zeros_like(query), None
        return self.out_proj["bias"].to(query.dtype).expand_as(query), None

    def reorder_incremental_state(self, incremental_state: Any, new_order: Tensor) -> Any:
        return incremental_state

    def set_beam_size(self, beam_size: int) -> None:
        """Nothing is cached."""

    def _get_input_buffer(self, incremental_state: Any) -> dict[str, Tensor]:
        return {}

    def _set_input_buffer(self, incremental_state: Any, buffer: Any) -> Any:
        return incremental_state


def shrink(model: nn.Module, kept: Mapping[str, tuple[int, ...]]) -> None:
    """Cuts the modules of `model` in place to these original head indices; modules not named keep all.

    :raises ValueError: a module or a head that the model does not have.
    """
    points = {point.name: point for point in install(model)}
    for name, indices in kept.items():
        if name not in points:
            raise ValueError(f"no attention module {name!r}; the model has {', '.join(points)}")
        if not set(indices) <= set(points[name].indices):
            raise ValueError(f"module {name} has heads {points[name].indices}, asked to keep {tuple(indices)}")
    if all(set(indices) == set(points[name].indices) for name, indices in kept.items()):
        return
    for name, point in points.items():
        indices = kept.get(name, point.indices)
        if not indices:
            parent, _, attribute = point.path.rpartition(".")
            bias = getattr(point.module.out_proj, "bias", None)
            setattr(model.get_submodule(parent), attribute, EmptyAttention(bias))
        else:
            _cut(point.module, [point.indices.index(i) for i in sorted(indices)], tuple(sorted(indices)))


def _cut(attention: Any, positions: list[int], indices: tuple[int, ...]) -> None:
    """Keeps the heads at `positions` of one fairseq attention module."""
    width = attention.head_dim
    rows = torch.cat([torch.arange(p * width, (p + 1) * width) for p in positions])
    for name in ("q_proj", "k_proj", "v_proj"):
        linear = getattr(attention, name)
        setattr(attention, name, _linear(linear.weight[rows], None if linear.bias is None else linear.bias[rows]))
    out = _linear(attention.out_proj.weight[:, rows], attention.out_proj.bias)
    attention.num_heads, attention.embed_dim = len(positions), len(rows)
    attention.head_indices = indices
    attention.out_proj = GatedProjection.of(out, len(positions))
    attention._set_skip_embed_dim_check()


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    linear = nn.Linear(1, 1, bias=bias is not None, device="meta")
    linear.out_features, linear.in_features = weight.shape
    linear.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        linear.bias = nn.Parameter(bias.detach().clone())
    return linear
