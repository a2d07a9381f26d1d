"""Cutting heads out of attention modules, in place.

Removing the heads of a module cuts the rows of W_Q, W_K, W_V, the columns of W_O and whatever else belongs to them;
head width and softmax scale stay (docs/theory/removal.md#shrinking). A module without a head outputs its output bias;
its layer norm and residual stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from headprune.gates import GatedProjection, install

MULTIHEAD_ATTENTION = {f"{name}_proj.{kind}": 0 for name in "qkv" for kind in ("weight", "bias")}
MULTIHEAD_ATTENTION["out_proj.weight"] = 1


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


def head_tensors(attention: Any) -> dict[str, int]:
    """The parameters of a module that are made of one block per head, and along which dimension.

    A module says so itself in `head_tensors`; without one it is taken for a fairseq MultiheadAttention.
    """
    own = getattr(attention, "head_tensors", MULTIHEAD_ATTENTION)
    present = dict(attention.named_parameters())
    return {name: dim for name, dim in own.items() if name in present}


def _cut(attention: Any, positions: list[int], indices: tuple[int, ...]) -> None:
    """Keeps the heads at `positions` of one attention module."""
    for name, dim in head_tensors(attention).items():
        path, _, kind = name.rpartition(".")
        owner = attention.get_submodule(path)
        blocks = getattr(owner, kind).detach().unflatten(dim, (attention.num_heads, -1))
        chosen = blocks.index_select(dim, torch.tensor(positions, device=blocks.device)).flatten(dim, dim + 1)
        setattr(owner, kind, nn.Parameter(chosen.clone()))
        if isinstance(owner, nn.Linear):
            owner.out_features, owner.in_features = owner.weight.shape
    attention.num_heads, attention.embed_dim = len(positions), len(positions) * attention.head_dim
    attention.head_indices = indices
    attention.out_proj = GatedProjection.of(attention.out_proj, len(positions))
    attention.skip_embed_dim_check = True  # fairseq's attention has another width than the model now
