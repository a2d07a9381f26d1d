"""The attention of `all_attention.kernels` as one differentiable function in C for all heads of a module.

Everything is read where the projections left it, and of keys only the band that a query sees is computed; threads share
the work. The blocks of `kernels`, of which a step has thousands, take longer. The same numbers but for rounding, and
another draw of dropout.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from headprune.models.native.all_attention_source import ALL_ATTENTION_SOURCE
from headprune.models.native.dropout import draw
from headprune.models.native.programs import Program, lanes, whole


class Attended(NamedTuple):
    """All that queries meet in a module, and their biases."""

    keys: Tensor  # (src, batch, heads · head_dim)
    values: Tensor  # likewise
    positions: Tensor  # from the largest distance to 0 (memory + 1, heads · head_dim)
    persistent_keys: Tensor  # (heads, persistent, head_dim), without their scale
    persistent_values: Tensor  # likewise
    content_bias: Tensor  # (heads, head_dim)
    position_bias: Tensor  # likewise


class _Segment(ctypes.Structure):
    sizes = ("first", "last", "heads", "batch", "tgt", "src", "persistent", "drops")
    _fields_ = (*((name, ctypes.c_ssize_t) for name in sizes), ("seed", ctypes.c_uint64), ("scale", ctypes.c_double))


PROGRAM = Program(ALL_ATTENTION_SOURCE, (("all_attention_forward", 11), ("all_attention_backward", 19)), _Segment)


def available(x: Tensor, width: int) -> bool:
    """True if `contexts` can be called for heads of this width: on a CPU."""
    return PROGRAM.available(x, width)


def contexts(queries: Tensor, attended: Attended, dropout: float = 0.0) -> Tensor:
    """The contexts of all heads, differentiable once.

    :param queries: (tgt, batch, heads · head_dim)
    :param dropout: of the probabilities, to the nearest 1/65536
    :returns: (tgt, batch, heads · head_dim)
    """
    tensors = [tensor.contiguous() for tensor in (queries, *attended)]
    wanted = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    return _Contexts.apply(dropout, wanted, *tensors)  # type: ignore[no-any-return, no-untyped-call]


class _Contexts(torch.autograd.Function):
    """Keeps the probabilities for the backward pass, a dropped one as its negative, and nothing else of their size."""

    @staticmethod
    def forward(ctx: Any, dropout: float, wanted: bool, queries: Tensor, *attended: Tensor) -> Tensor:
        heads, persistent, width = attended[3].shape
        (tgt, batch, _), src = queries.shape, len(attended[0])
        drops, seed = draw(dropout)
        shape = _Segment(0, heads * batch, heads, batch, tgt, src, persistent, drops, seed, width**-0.5)
        number = heads * batch * tgt * _row(shape, queries.dtype)
        weights = queries.new_empty(number) if wanted else None
        found = torch.empty_like(queries)
        _run("all_attention_forward", width, (queries, *attended, weights, found), shape)
        if wanted:
            ctx.shape = shape
            ctx.save_for_backward(queries, *attended, weights)
        return found

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, pull: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, weights = ctx.saved_tensors
        width, parameters = tensors[4].shape[-1], tensors[3:]
        inputs = [torch.empty_like(tensor) for tensor in tensors[:3]]
        learned = any(ctx.needs_input_grad[5:])

        def empty() -> list[Tensor | None]:
            return [torch.zeros_like(tensor) if learned else None for tensor in parameters]

        shared = *tensors, weights, pull.contiguous(), *inputs
        parts = _run("all_attention_backward", width, shared, ctx.shape, empty)
        sums = [reduce(torch.Tensor.add_, part) if learned else None for part in zip(*parts, strict=True)]
        return None, None, *inputs, *sums


def _run(
    function: str,
    width: int,
    shared: Sequence[Tensor | None],
    shape: _Segment,
    own: Callable[[], list[Tensor | None]] = list,
) -> list[list[Tensor | None]]:
    """Calls a function for all batch rows of all heads, some in each thread; ctypes lets them run side by side.

    :param own: makes the tensors that every thread writes for itself
    :returns: these
    """
    like = next(tensor for tensor in shared if tensor is not None)
    number, size = shape.heads * shape.batch, _space(shape, width, like.dtype)
    threads = max(1, min(number, torch.get_num_threads()))
    written, spaces = [own() for _ in range(threads)], like.new_empty(threads, size)

    def part(thread: int) -> None:
        its = _Segment.from_buffer_copy(shape)
        its.first, its.last = number * thread // threads, number * (thread + 1) // threads
        PROGRAM.run(function, width, (*shared, *written[thread], spaces[thread]), its)

    if threads == 1:
        part(0)
    else:
        list(_pool(threads, os.getpid()).map(part, range(threads)))
    return written


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads of a process, which those that it forks do not have."""
    return ThreadPoolExecutor(threads)


def _row(shape: Any, dtype: torch.dtype) -> int:
    """Weights of a query, those of the band and those of persistent vectors up to whole vectors."""
    return whole(shape.src - shape.tgt + 1, dtype) + whole(shape.persistent, dtype)


def _space(shape: Any, width: int, dtype: torch.dtype) -> int:
    """Numbers that the functions put aside: turned positions and persistent vectors of a head; of one of its batch rows
    queries, keys and contexts, rows of weights, and matrices by key, or 16 random bits for every weight."""
    row, padded = _row(shape, dtype), whole(shape.src, dtype) + lanes(dtype) + 8
    turned = width * (row + whole(shape.persistent, dtype) + padded)
    return int(turned + width * (4 * shape.tgt + shape.src) + shape.tgt * (3 * row + 3 * padded) + 16)
