"""Attention of all heads and sentences of a batch at once, over the parameters of fairseq's modules.

One product for queries, keys and values, whose result the heads read in place; scores, softmax and contexts by
`native.attention`, or in a batched product for all heads and sentences.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from headprune.models import native
from headprune.models.native.attention import Heads, Sentences


@dataclass(frozen=True, eq=False)
class TokenRows:
    """The positions of a batch as rows of one matrix.

    All of them, position by position; or, packed, those that are no padding, sentence by sentence.
    """

    padding: Tensor  # True at positions that are padding (batch, length)
    packed: bool = False

    @cached_property
    def padded(self) -> bool:
        """True if there is padding."""
        return bool(self.padding.any())

    @cached_property
    def real(self) -> Tensor | None:
        """The positions that have a row, counted sentence by sentence; None: all of them."""
        return (~self.padding).flatten().nonzero().squeeze(1) if self.packed and self.padded else None

    @cached_property
    def sentences(self) -> Sentences:
        batch, length = self.padding.shape
        if not self.packed:
            return Sentences(torch.arange(batch), torch.full((batch,), length), length, batch)
        lengths = (~self.padding).sum(1)
        return Sentences(lengths.cumsum(0) - lengths, lengths, int(lengths.max()), 1)

    def take(self, x: Tensor) -> Tensor:
        """:param x: (batch, length, model)
        :returns: (rows, model)
        """
        if not self.packed:
            return x.transpose(0, 1).reshape(-1, x.shape[-1])
        return x.flatten(0, 1) if self.real is None else x.flatten(0, 1).index_select(0, self.real)

    def spread(self, x: Tensor) -> Tensor:
        """The other way round, 0 at padding that has no row: (length, batch, model)."""
        batch, length = self.padding.shape
        if not self.packed:
            return x.view(length, batch, -1)
        if self.real is not None:
            x = x.new_zeros(batch * length, x.shape[-1]).index_copy(0, self.real, x)
        return x.view(batch, length, -1).transpose(0, 1)

    def of_sentences(self, values: Tensor) -> Tensor:
        """A row for every position of a sentence.

        :param values: (batch, …)
        :returns: (rows, …)
        """
        if not self.packed:
            return values.repeat(self.padding.shape[1], 1)
        return values.repeat_interleave(self.sentences.lengths, 0)

    def hidden(self, dtype: torch.dtype) -> Tensor | None:
        """−∞ at keys that are padding and have a row (batch, length); None: there are none."""
        if self.packed or not self.padded:
            return None
        zeros = torch.zeros(self.padding.shape, dtype=dtype, device=self.padding.device)
        return zeros.masked_fill(self.padding, float("-inf"))


@dataclass(frozen=True, eq=False)
class Sight:
    """Who sees whom: rows of queries, rows of keys, and the keys that are hidden from all or from some."""

    queries: TokenRows
    keys: TokenRows
    dtype: torch.dtype
    future: Tensor | None = None  # −∞ at later positions, where those are hidden (tgt, tgt)

    @cached_property
    def hidden(self) -> Tensor | None:
        return self.keys.hidden(self.dtype)

    @cached_property
    def mask(self) -> Tensor | None:
        """To add to the scores (batch or 1, 1, tgt or 1, keys)."""
        hidden = None if self.hidden is None else self.hidden[:, None, None]
        if self.future is None or hidden is None:
            return hidden if self.future is None else self.future
        return self.future + hidden


def packs(attention: Any, weight: Tensor) -> bool:
    """True if a module can compute with packed rows now."""
    return attention.num_heads == 0 or fuses(attention, weight)


def fuses(attention: Any, weight: Tensor) -> bool:
    """True if a module's attention can be computed in C now."""
    drawn = dropped_share(attention.dropout_module) == 0 or native.dropout.available(weight)
    return drawn and native.attention.available(weight, attention.head_dim)


def attend(attention: Any, x: Tensor, memory: Tensor, sight: Sight) -> Tensor:
    """The output of a module of attention.

    :param x: queries (rows, model)
    :param memory: keys and values (rows, model); `x` itself in self-attention
    :returns: (rows, model)
    """
    heads, out = attention.num_heads, attention.out_proj
    if heads == 0:
        bias = out["bias"] if "bias" in out else x.new_zeros(x.shape[-1])
        return bias.to(x.dtype).repeat(len(x), 1)
    context = contexts(attention, x, memory, sight)
    gate = getattr(out, "gate", None)
    if gate is None:
        return linear(context, out.weight, out.bias)
    gate = gate.to(device=x.device, dtype=x.dtype)
    if gate.dim() == 1:
        columns = gate.unsqueeze(1).expand(-1, attention.head_dim).flatten()
        if out.weight.requires_grad:  # as a factor of weights whose gradient is computed anyway it is the cheapest
            return linear(context, out.weight * columns, out.bias)
        return linear(context * columns, out.weight, out.bias)
    split = context.view(-1, heads, attention.head_dim) * sight.queries.of_sentences(gate).unsqueeze(-1)
    return linear(split.view_as(context), out.weight, out.bias)


def contexts(attention: Any, x: Tensor, memory: Tensor, sight: Sight) -> Tensor:
    """The contexts of all heads side by side (rows, heads · head_dim)."""
    heads, width = attention.num_heads, attention.head_dim
    own = projected(attention, x, "qkv" if memory is x else "q")
    other = None if memory is x else projected(attention, memory, "kv")
    if fuses(attention, x):
        sentences = sight.queries.sentences, sight.keys.sentences
        dropout = dropped_share(attention.dropout_module)
        about = Heads(heads, width, *sentences, sight.future is not None, sight.hidden, dropout)
        return native.attention.context(own, other, about)
    batch = len(sight.queries.padding)
    parts = [heads_of(each, batch, heads, width) for each in (own, other) if each is not None]
    q, k, v = (part for of_one in parts for part in of_one)
    scores = torch.bmm(q, k.transpose(1, 2))  # (batch · heads, tgt, keys)
    if sight.mask is not None:
        scores.view(batch, heads, *scores.shape[1:]).add_(sight.mask)
    weights = dropped(attention.dropout_module, torch.softmax(scores, -1))
    return torch.bmm(weights, v).transpose(0, 1).reshape(len(x), -1)


def projected(attention: Any, x: Tensor, names: str) -> Tensor:
    """Queries, keys or values of all heads in one product, the queries scaled.

    :param names: letters of "qkv"; the columns of all of them of one head are beside each other
    :returns: (rows, heads · names · head_dim)
    """
    heads, width = attention.num_heads, attention.head_dim
    projections = [getattr(attention, f"{name}_proj") for name in names]
    weights = [projection.weight.view(heads, width, -1) for projection in projections]
    biases = [projection.bias.view(heads, width) for projection in projections]
    if names[0] == "q":
        weights[0], biases[0] = attention.scaling * weights[0], attention.scaling * biases[0]
    return linear(x, torch.stack(weights, 1).flatten(0, 2), torch.stack(biases, 1).flatten())


def heads_of(product: Tensor, batch: int, heads: int, width: int) -> tuple[Tensor, ...]:
    """The parts of a product as views of it, each (batch · heads, positions, head_dim).

    :param product: with rows that are not packed
    """
    parts = product.view(-1, batch * heads, product.shape[1] // (heads * width), width).unbind(2)
    return tuple(part.transpose(0, 1) for part in parts)


def dropped(module: Any, x: Tensor, residual: Tensor | None = None) -> Tensor:
    """The output of fairseq's dropout, plus a residual; `x` may be written to if there is one.

    The draw is fairseq's only where `native.dropout` is not available.
    """
    share = dropped_share(module)
    if share > 0 and native.dropout.available(x):
        return native.dropout.dropout(x, share, residual)
    found = module(x) if share > 0 else x
    return found if residual is None else found.add_(residual)


def dropped_share(module: Any) -> float:
    """The share of numbers that fairseq's dropout drops now."""
    return float(module.p) if module.training or module.apply_during_inference else 0.0


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x Wᵀ + b, the sum in place of the product: torch's own `linear` first copies b into every row of the result.

    :param x: (rows, in)
    :param weight: W (out, in)
    :param bias: b (out,)
    :returns: (rows, out)
    """
    return torch.mm(x, weight.t()).add_(bias)
