"""Attention of all heads of a module as one differentiable function in C, for one thread of a CPU.

Queries, keys and values are read where the product that made them left them, the context is written where the output
projection reads it. The heads of a sentence are matrices of a few dozen rows, for which a call of torch, and a softmax
over rows as short as these, take longer than their arithmetic. The same numbers as `lean_attention` but for rounding.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from headprune.models.attention_source import SOURCE
from headprune.system.compiled import library

# Bytes of a vector, and what a compiler is told of the processor, by what torch found it to be able to.
VECTORS = {
    "AVX512": (64, "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"),
    "AVX2": (32, "avx2,fma"),
    "DEFAULT": (16, ""),
}
NUMBERS = {torch.float32: ("float", "int32_t"), torch.float64: ("double", "int64_t")}


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


class _Shape(ctypes.Structure):
    sizes = ("batch", "heads", "causal", "longest", "keys", "q_step", "k_step")
    places = ("q_first", "q_count", "k_first", "k_count")
    _fields_ = (*((name, ctypes.c_ssize_t) for name in sizes), *((name, ctypes.c_void_p) for name in places))


def available(x: Tensor, width: int) -> bool:
    """True if `context` can be called for heads of this width, and is worth it: on a CPU with one thread."""
    if x.device.type != "cpu" or torch.get_num_threads() > 1 or x.dtype not in NUMBERS:
        return False
    return width % lanes(x.dtype) == 0 and _functions(x.dtype, width) is not None


def lanes(dtype: torch.dtype) -> int:
    """Numbers in a vector of the processor's."""
    return int(VECTORS.get(torch.backends.cpu.get_cpu_capability(), VECTORS["DEFAULT"])[0] // dtype.itemsize)


def context(own: Tensor, other: Tensor | None, about: Heads) -> Tensor:
    """softmax(Q Kᵀ + mask) V of every head, differentiable once; queries are scaled.

    :param own: queries, keys and values of self-attention (rows, heads · 3 · width), the three of one head beside each
        other; or queries alone (rows, heads · width)
    :param other: then keys and values (rows, heads · 2 · width)
    :returns: (rows, heads · width)
    """
    own, other = own.contiguous(), None if other is None else other.contiguous()
    return _Attention.apply(about, own, other)  # type: ignore[no-any-return,no-untyped-call]


@cache
def _functions(dtype: torch.dtype, width: int) -> Any:
    """The functions for heads of a width; None where they cannot be compiled."""
    size, target = VECTORS.get(torch.backends.cpu.get_cpu_capability(), VECTORS["DEFAULT"])
    lines = [f"#define {name} {value}" for name, value in zip(("REAL", "INTEGER"), NUMBERS[dtype], strict=True)]
    lines += [f"#define BYTES {size}", f"#define WIDTH {width}"]
    if target:
        lines += [f'#pragma GCC target("{target}")', "#ifdef __clang__", "#error the pragma is GCC's", "#endif"]
    compiled = library("\n".join([*lines, SOURCE]))
    if compiled is not None:
        for function, tensors in ((compiled.attention_forward, 6), (compiled.attention_backward, 7)):
            function.argtypes = [*[ctypes.c_void_p] * tensors, ctypes.POINTER(_Shape)]
            function.restype = None
    return compiled


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, about: Heads, own: Tensor, other: Tensor | None) -> Tensor:
        queries, keys = about.queries, about.keys
        batch, longest = len(queries.first), keys.longest * _whole(queries.longest, own.dtype)
        sizes = batch, about.heads, about.causal, longest, keys.longest, queries.step, keys.step
        shape = _Shape(*sizes, *map(_address, (queries.first, queries.lengths, keys.first, keys.lengths)))
        weights, found = (
            own.new_empty(batch * about.heads * longest),
            own.new_empty(len(own), about.heads * about.width),
        )
        tensors = own, other, about.padding, weights, found, own.new_empty(_space(about, own, other))
        _functions(own.dtype, about.width).attention_forward(*map(_address, tensors), shape)
        ctx.shape, ctx.about = shape, about
        ctx.save_for_backward(weights, own, other)
        return found

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, pull: Tensor) -> tuple[Tensor | None, ...]:
        weights, own, other = ctx.saved_tensors
        gradients = torch.empty_like(own), None if other is None else torch.empty_like(other)
        tensors = own, other, weights, pull.contiguous(), *gradients, own.new_empty(_space(ctx.about, own, other))
        _functions(own.dtype, ctx.about.width).attention_backward(*map(_address, tensors), ctx.shape)
        return None, *gradients


def _space(about: Heads, own: Tensor, other: Tensor | None) -> int:
    """Numbers of what the longest sentence is given, its context, their derivatives, and one head's slopes."""
    queries, keys = about.queries.longest, about.keys.longest
    given = queries * own.shape[1] + (0 if other is None else keys * other.shape[1])
    return 2 * given + queries * about.heads * about.width + _whole(queries, own.dtype) * (about.width + keys)


def _whole(rows: int, dtype: torch.dtype) -> int:
    """The rows up to whole vectors."""
    return -(-rows // lanes(dtype)) * lanes(dtype)


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
