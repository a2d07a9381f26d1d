"""The weights of a decoder as the search multiplies with them: queries, keys and values joined, gates multiplied in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from headprune.models.lean import normalised


@dataclass(frozen=True)
class Affine:
    """x ↦ x Wᵀ + b; without a W the constant b."""

    weight: Tensor | None  # (inputs, outputs)
    bias: Tensor

    @classmethod
    def of(cls, *maps: nn.Linear) -> Affine:
        """Several maps of one input as one, their outputs side by side."""
        if len(maps) == 1:
            return cls(maps[0].weight.detach().t(), maps[0].bias.detach())
        weight = torch.cat([each.weight for each in maps]).detach()
        return cls(weight.t(), torch.cat([each.bias for each in maps]).detach())

    def __call__(self, x: Tensor) -> Tensor:
        """:param x: (rows, inputs)"""
        assert self.weight is not None
        return torch.addmm(self.bias, x, self.weight)

    def added_to(self, x: Tensor, y: Tensor) -> Tensor:
        """x + y Wᵀ + b in the place of x.

        :param x: (rows, outputs)
        :param y: (rows, inputs); not looked at without a W
        """
        return (x if self.weight is None else x.addmm_(y, self.weight)).add_(self.bias)


@dataclass(frozen=True)
class AttentionWeights:
    """A module of attention; without a head, its output bias is all it is."""

    heads: int
    width: int  # of the keys of all heads
    scale: float
    incoming: Affine | None  # queries, and of self-attention also keys and values, of the decoder's states
    memory: Affine | None  # keys and values of the encoder's states, of cross-attention
    out: Affine

    @classmethod
    def of(cls, attention: Any, cross: bool) -> AttentionWeights:
        """The weights of a module, whole, masked (one gate a head) or with heads removed, or emptied."""
        out = attention.out_proj
        if attention.num_heads == 0:
            return cls(0, 0, 1.0, None, None, Affine(None, out["bias"].detach() if "bias" in out else torch.zeros(())))
        projections = [attention.q_proj, attention.k_proj, attention.v_proj]
        incoming = projections[:1] if cross else projections
        return cls(
            attention.num_heads,
            attention.num_heads * attention.head_dim,
            attention.scaling,
            Affine.of(*incoming),
            Affine.of(*projections[1:]) if cross else None,
            Affine(gated(out, attention.head_dim).t(), out.bias.detach()),
        )

    def context(self, queries: Tensor, pairs: Tensor, mask: Tensor | None) -> Tensor:
        """Mean values of all heads.

        :param queries: (sentences · rows, width)
        :param pairs: keys and values (sentences, keys, 2 · width)
        :param mask: to add to scores, (sentences, 1, rows or 1, keys)
        :returns: (sentences · rows, width)
        """
        sentences, keys = pairs.shape[:2]
        q = queries.view(sentences, -1, self.heads, self.width // self.heads).transpose(1, 2)
        k, v = pairs.view(sentences, keys, 2, self.heads, -1).permute(2, 0, 3, 1, 4).unbind()  # (., heads, keys, .)
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=self.scale)
        return found.transpose(1, 2).reshape(len(queries), self.width)


def gated(out: Any, head_dim: int) -> Tensor:
    """The weight of an output projection, its columns multiplied by the gates of their heads, if there are any."""
    gate = getattr(out, "gate", None)
    if gate is None:
        return out.weight.detach()  # type: ignore[no-any-return]
    columns = gate.detach().to(out.weight).repeat_interleave(head_dim)
    return (out.weight * columns).detach()  # type: ignore[no-any-return]


@dataclass(frozen=True)
class LayerWeights:
    """A layer of the decoder, its parts in the order in which they are applied."""

    before: bool  # layer norms come before the sublayers
    own_norm: nn.Module
    own: AttentionWeights
    cross_norm: nn.Module | None
    cross: AttentionWeights | None
    last_norm: nn.Module
    inner: Affine
    activation: Callable[[Tensor], Tensor]
    outer: Affine

    @classmethod
    def of(cls, layer: Any) -> LayerWeights:
        return cls(
            layer.normalize_before,
            layer.self_attn_layer_norm,
            AttentionWeights.of(layer.self_attn, cross=False),
            layer.encoder_attn_layer_norm,
            None if layer.encoder_attn is None else AttentionWeights.of(layer.encoder_attn, cross=True),
            layer.final_layer_norm,
            Affine.of(layer.fc1),
            torch.relu_ if layer.activation_fn is F.relu else layer.activation_fn,
            Affine.of(layer.fc2),
        )

    def sublayer(self, norm: nn.Module, x: Tensor, add: Callable[[Tensor, Tensor], Tensor], constant: bool) -> Tensor:
        """A sublayer with its norm.

        :param x: (rows, model), overwritten
        :param add: adds to the first argument what the sublayer makes of the second
        :param constant: it makes the same of everything, so that no norm need come before
        :returns: (rows, model)
        """
        x = add(x, normalised(norm, x) if self.before and not constant else x)
        return x if self.before else normalised(norm, x)
