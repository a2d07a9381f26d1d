"""Attention of all heads and sentences of a batch at once, over the parameters of fairseq's modules.

One product for queries, keys and values, whose result the heads read in place; scores, softmax and contexts by
`fused_attention`, or in a batched product for all heads and sentences.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from headprune.models import fused_attention


@dataclass(frozen=True, eq=False)
class Unseen:
    """The keys that queries do not see."""

    padding: Tensor | None = None  # −∞ at those that nothing sees (batch, keys)
    future: Tensor | None = None  # −∞ at later positions, where those are hidden (tgt, tgt)

    @cached_property
    def mask(self) -> Tensor | None:
        """To add to the scores (batch or 1, 1, tgt or 1, keys)."""
        padding = None if self.padding is None else self.padding[:, None, None]
        if self.future is None or padding is None:
            return padding if self.future is None else self.future
        return self.future + padding


def padding_of_keys(padding: Tensor, dtype: torch.dtype) -> Tensor | None:
    """−∞ at keys that are padding, to add to scores, of the same shape (batch, keys); None if there is no such key."""
    if not bool(padding.any()):
        return None
    return torch.zeros(padding.shape, dtype=dtype, device=padding.device).masked_fill(padding, float("-inf"))


def attend(attention: Any, x: Tensor, memory: Tensor, batch: int, unseen: Unseen) -> Tensor:
    """The output of a module of attention.

    :param x: queries (tgt · batch, model)
    :param memory: keys and values (keys · batch, model); `x` itself in self-attention
    :returns: (tgt · batch, model)
    """
    heads, out = attention.num_heads, attention.out_proj
    if heads == 0:
        bias = out["bias"] if "bias" in out else x.new_zeros(x.shape[-1])
        return bias.to(x.dtype).repeat(len(x), 1)
    context = contexts(attention, x, memory, batch, unseen)
    gate = getattr(out, "gate", None)
    if gate is None:
        return linear(context, out.weight, out.bias)
    gate = gate.to(device=x.device, dtype=x.dtype)
    if gate.dim() == 1:
        columns = gate.unsqueeze(1).expand(-1, attention.head_dim).flatten()
        if out.weight.requires_grad:  # as a factor of weights whose gradient is computed anyway it is the cheapest
            return linear(context, out.weight * columns, out.bias)
        return linear(context * columns, out.weight, out.bias)
    split = context.view(-1, batch, heads, attention.head_dim)
    return linear((split * gate.unsqueeze(-1)).view_as(context), out.weight, out.bias)


def contexts(attention: Any, x: Tensor, memory: Tensor, batch: int, unseen: Unseen) -> Tensor:
    """The contexts of all heads side by side (tgt · batch, heads · head_dim)."""
    heads, width = attention.num_heads, attention.head_dim
    own = projected(attention, x, "qkv" if memory is x else "q")
    other = None if memory is x else projected(attention, memory, "kv")
    if attention.dropout_module.p == 0 and fused_attention.available(x, width):
        about = fused_attention.Heads(batch, heads, width, unseen.future is not None, unseen.padding)
        return fused_attention.context(own, other, about)
    parts = [heads_of(each, batch, heads, width) for each in (own, other) if each is not None]
    q, k, v = (part for of_one in parts for part in of_one)
    scores = torch.bmm(q, k.transpose(1, 2))  # (batch · heads, tgt, keys)
    if unseen.mask is not None:
        scores.view(batch, heads, *scores.shape[1:]).add_(unseen.mask)
    weights = dropped(attention.dropout_module, torch.softmax(scores, -1))
    return torch.bmm(weights, v).transpose(0, 1).reshape(len(x), -1)


def projected(attention: Any, x: Tensor, names: str) -> Tensor:
    """Queries, keys or values of all heads in one product, the queries scaled.

    :param names: letters of "qkv"; the rows of all of them of one head are beside each other
    :returns: (positions · batch, heads · names · head_dim)
    """
    heads, width = attention.num_heads, attention.head_dim
    projections = [getattr(attention, f"{name}_proj") for name in names]
    weights = [projection.weight.view(heads, width, -1) for projection in projections]
    biases = [projection.bias.view(heads, width) for projection in projections]
    if names[0] == "q":
        weights[0], biases[0] = attention.scaling * weights[0], attention.scaling * biases[0]
    return linear(x, torch.stack(weights, 1).flatten(0, 2), torch.stack(biases, 1).flatten())


def heads_of(product: Tensor, batch: int, heads: int, width: int) -> tuple[Tensor, ...]:
    """The parts of a product as views of it, each (batch · heads, positions, head_dim)."""
    parts = product.view(-1, batch * heads, product.shape[1] // (heads * width), width).unbind(2)
    return tuple(part.transpose(0, 1) for part in parts)


def dropped(module: Any, x: Tensor) -> Tensor:
    """The output of fairseq's dropout in training."""
    return module(x) if module.p > 0 else x


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x Wᵀ + b, the sum in place of the product: torch's own `linear` first copies b into every row of the result."""
    return torch.mm(x, weight.t()).add_(bias)
