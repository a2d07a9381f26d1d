"""Dropout in C, with a residual: one pass forward, one backward, and no mask to keep, which a seed draws again.

As frequent as torch's, to the nearest 1/65536, but another draw.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from headprune.models.native.programs import Program

STEPS = 1 << 16  # a draw has 16 bits

SOURCE = """
typedef struct {
    ptrdiff_t count, drops;
    uint64_t seed;
} shape;

/* to = dropout(from) + other; 32 numbers at a time, WIDTH a vector */
void dropout(const REAL *from, const REAL *other, REAL *to, const shape *is) {
    const REAL keep = kept(is->drops);
    words now = state(is->seed, 0);
    for (ptrdiff_t i = 0; i < is->count; i += 32) {
        const words noise = draw(&now);
        const uint16_t *each = (const uint16_t *)&noise;
        if (i + 32 <= is->count)
            for (ptrdiff_t j = 0; j < 32; j += LANES) {
                vec x = (vec)((bits)(at(from + i + j) * keep) & ~is_dropped(each + j, is->drops));
                if (other) x += at(other + i + j);
                *(vec *)(to + i + j) = x;
            }
        else
            for (ptrdiff_t j = 0; i + j < is->count; j++)
                to[i + j] = (each[j] < is->drops ? 0 : from[i + j] * keep) + (other ? other[i + j] : 0);
    }
}
"""


class _Numbers(ctypes.Structure):
    _fields_ = (("count", ctypes.c_ssize_t), ("drops", ctypes.c_ssize_t), ("seed", ctypes.c_uint64))


PROGRAM = Program(SOURCE, (("dropout", 3),), _Numbers)


def available(x: Tensor) -> bool:
    """True if `dropout` can be called for numbers like these, and is worth it: on a CPU with one thread."""
    return torch.get_num_threads() == 1 and PROGRAM.available(x, 64)


def draw(probability: float) -> tuple[int, int]:
    """The numbers to drop of 65,536, and a seed by torch's generator."""
    drops = round(probability * STEPS)
    return drops, int(torch.randint(2**63 - 1, ())) if drops else 0


def dropout(x: Tensor, probability: float, residual: Tensor | None = None) -> Tensor:
    """x with a share of its numbers 0 and the others scaled by 1 / (1 − probability), plus a residual if there is one.

    Differentiable once.

    :param x: of any shape, that of `residual`
    """
    contiguous = None if residual is None else residual.contiguous()
    return _Dropout.apply(x.contiguous(), probability, contiguous)  # type: ignore[no-any-return, no-untyped-call]


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, probability: float, residual: Tensor | None) -> Tensor:
        ctx.numbers = _Numbers(x.numel(), *draw(probability))
        found = torch.empty_like(x)
        PROGRAM.run("dropout", 64, (x, residual, found), ctx.numbers)
        return found

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, pull: Tensor) -> tuple[Tensor | None, ...]:
        pull = pull.contiguous()
        found = torch.empty_like(pull)
        PROGRAM.run("dropout", 64, (pull, None, found), ctx.numbers)
        return found, None, pull if ctx.needs_input_grad[2] else None
