"""Attention of all heads of a module as one differentiable function in C, for one thread of a CPU.

Queries, keys and values are read where the product that made them left them, the context is written where the output
projection reads it. The heads of a sentence are matrices of a few dozen rows, for which a call of torch, and a softmax
over rows as short as these, take longer than their arithmetic. The same numbers as `lean_attention` but for rounding.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from headprune.models.native.attention_source import ATTENTION_SOURCE
from headprune.models.native.dropout import draw
from headprune.models.native.programs import Program, whole


class Sentences(NamedTuple):
    """The rows of a matrix that the positions of every sentence are in."""

    first: Tensor  # row of the first position (batch,), int64
    lengths: Tensor  # positions (batch,), int64
    longest: int  # the largest of them
    step: int  # rows from one position to the next


class Heads(NamedTuple):
    """A module of attention, but for its queries, keys and values."""

    heads: int
    width: int  # of a head
    queries: Sentences
    keys: Sentences
    causal: bool = False  # no query sees later keys
    padding: Tensor | None = None  # −∞ at keys that nothing sees (batch, keys.longest)
    dropout: float = 0.0  # of the weights, to the nearest 1/65536


class _Shape(ctypes.Structure):
    sizes = ("batch", "heads", "causal", "longest", "keys", "q_step", "k_step", "drops")
    places = ("q_first", "q_count", "k_first", "k_count")
    _fields_ = (
        *((name, ctypes.c_ssize_t) for name in sizes),
        ("seed", ctypes.c_uint64),
        *((name, ctypes.c_void_p) for name in places),
    )


ATTENTION = Program(ATTENTION_SOURCE, (("attention_forward", 6), ("attention_backward", 7)), _Shape)


def available(x: Tensor, width: int) -> bool:
    """True if `context` can be called for heads of this width, and is worth it: on a CPU with one thread."""
    return torch.get_num_threads() == 1 and ATTENTION.available(x, width)


def context(own: Tensor, other: Tensor | None, about: Heads) -> Tensor:
    """dropout(softmax(Q Kᵀ + mask)) V of every head, differentiable once; queries are scaled.

    :param own: queries, keys and values of self-attention (rows, heads · 3 · width), the three of one head beside each
        other; or queries alone (rows, heads · width)
    :param other: then keys and values (rows, heads · 2 · width)
    :returns: (rows, heads · width)
    """
    own, other = own.contiguous(), None if other is None else other.contiguous()
    return _Attention.apply(about, own, other)  # type: ignore[no-any-return,no-untyped-call]


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, about: Heads, own: Tensor, other: Tensor | None) -> Tensor:
        queries, keys = about.queries, about.keys
        batch, longest = len(queries.first), keys.longest * whole(queries.longest, own.dtype)
        drops, seed = draw(about.dropout)
        sizes = batch, about.heads, about.causal, longest, keys.longest, queries.step, keys.step, drops, seed
        places = queries.first, queries.lengths, keys.first, keys.lengths
        shape = _Shape(*sizes, *(place.data_ptr() for place in places))
        weights, found = (
            own.new_empty(batch * about.heads * longest),
            own.new_empty(len(own), about.heads * about.width),
        )
        tensors = own, other, about.padding, weights, found, own.new_empty(_space(about, own, other))
        ATTENTION.run("attention_forward", about.width, tensors, shape)
        ctx.shape, ctx.about = shape, about
        ctx.save_for_backward(weights, own, other)
        return found

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, pull: Tensor) -> tuple[Tensor | None, ...]:
        weights, own, other = ctx.saved_tensors
        gradients = torch.empty_like(own), None if other is None else torch.empty_like(other)
        tensors = own, other, weights, pull.contiguous(), *gradients, own.new_empty(_space(ctx.about, own, other))
        ATTENTION.run("attention_backward", ctx.about.width, tensors, ctx.shape)
        return None, *gradients


def _space(about: Heads, own: Tensor, other: Tensor | None) -> int:
    """Numbers of what the longest sentence is given, its context, their derivatives, one head's slopes and shares."""
    queries, keys = about.queries.longest, about.keys.longest
    given = queries * own.shape[1] + (0 if other is None else keys * other.shape[1])
    return 2 * given + queries * about.heads * about.width + whole(queries, own.dtype) * (about.width + 2 * keys)
