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

from headprune.system.compiled import library

# Bytes of a vector, and what a compiler is told of the processor, by what torch found it to be able to.
VECTORS = {
    "AVX512": (64, "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"),
    "AVX2": (32, "avx2,fma"),
    "DEFAULT": (16, ""),
}
NUMBERS = {torch.float32: ("float", "int32_t"), torch.float64: ("double", "int64_t")}

SOURCE = """
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LANES (ptrdiff_t)(BYTES / sizeof(REAL))
#define INLINE static inline __attribute__((always_inline))
typedef REAL vec __attribute__((vector_size(BYTES), aligned(sizeof(REAL)), may_alias));
typedef INTEGER bits __attribute__((vector_size(BYTES), aligned(sizeof(REAL)), may_alias));

/* `own` (queries, batch, heads, 3, WIDTH) has queries, keys and values; where `other` (keys, batch, heads, 2, WIDTH) is
   not null, `own` (queries, batch, heads, WIDTH) has the queries alone. Weights (batch, heads, keys, padded) have the
   queries last, as many as whole vectors hold. context (queries, batch, heads, WIDTH) */
typedef struct {
    ptrdiff_t batch, heads, queries, keys, padded, causal;
} shape;

INLINE vec at(const REAL *from) { return *(const vec *)from; }

INLINE vec either(bits first, vec one, vec two) { return (vec)(((bits)one & first) | ((bits)two & ~first)); }

/* c = a b for `rows` rows and `vectors` vectors of columns; element (i, l) of a lies at a[i * down + l * along] */
INLINE void tile(const int rows, const int vectors, const REAL *a, ptrdiff_t down, ptrdiff_t along, const REAL *b,
                 ptrdiff_t next, REAL *c, ptrdiff_t below, ptrdiff_t inner) {
    vec sum[4][2] = {0};
    for (ptrdiff_t l = 0; l < inner; l++)
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < vectors; j++) sum[i][j] += a[i * down + l * along] * at(b + l * next + j * LANES);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vectors; j++) *(vec *)(c + i * below + j * LANES) = sum[i][j];
}

/* c (m, n) = a (m, inner) b (inner, n), LANES divides n; where 4 does not divide m some rows are computed twice */
INLINE void product(const REAL *a, ptrdiff_t down, ptrdiff_t along, const REAL *b, ptrdiff_t next, REAL *c,
                    ptrdiff_t below, ptrdiff_t m, ptrdiff_t inner, ptrdiff_t n) {
    for (ptrdiff_t j = 0; j < n; j += 2 * LANES)
        for (ptrdiff_t i = 0; i < m; i += m < 4 ? 1 : 4) {
            const ptrdiff_t row = m < 4 || i < m - 4 ? i : m - 4;
            const REAL *left = a + row * down, *right = b + j;
            REAL *out = c + row * below + j;
            if (m < 4) {
                if (n - j < 2 * LANES) tile(1, 1, left, down, along, right, next, out, below, inner);
                else tile(1, 2, left, down, along, right, next, out, below, inner);
            } else {
                if (n - j < 2 * LANES) tile(4, 1, left, down, along, right, next, out, below, inner);
                else tile(4, 2, left, down, along, right, next, out, below, inner);
            }
        }
}

/* rows of WIDTH numbers, `next` apart, become columns of `to` (WIDTH, padded) */
INLINE void transpose(const REAL *from, ptrdiff_t next, ptrdiff_t rows, REAL *to, ptrdiff_t padded) {
    for (ptrdiff_t i = 0; i < WIDTH; i++) {
        for (ptrdiff_t r = 0; r < rows; r++) to[i * padded + r] = from[r * next + i];
        for (ptrdiff_t r = rows; r < padded; r++) to[i * padded + r] = 0;
    }
}

INLINE vec exponential(vec x) {
    if (sizeof(REAL) == 8) {
        for (ptrdiff_t i = 0; i < LANES; i++) x[i] = exp(x[i]);
        return x;
    }
    /* of x <= 0, within 1e-7 of it: 2^n e^r, |r| <= ln 2 / 2; below 1e-30 it is 0 */
    const REAL rounding = 12582912; /* 1.5 * 2^23: what is added to it is rounded to an integer, in its lowest bits */
    const vec shifted = x * (REAL)1.44269504089 + rounding, n = shifted - rounding;
    const vec r = x - n * (REAL)0.693359375 + n * (REAL)2.12194440055e-4;
    vec y = r * (REAL)1.9875691500e-4 + (REAL)1.3981999507e-3;
    y = y * r + (REAL)8.3334519073e-3;
    y = y * r + (REAL)4.1665795894e-2;
    y = y * r + (REAL)1.6666665459e-1;
    y = y * r + (REAL)5.0000001201e-1;
    y = y * r * r + r + 1;
    return (vec)(((bits)y + ((bits)shifted << 23)) & (x > (REAL)-69));
}

/* scores (keys, padded), of all queries beside each other, become weights */
INLINE void softmax(REAL *scores, const REAL *padding, ptrdiff_t causal, ptrdiff_t keys, ptrdiff_t padded) {
    vec lane, lowest;
    for (ptrdiff_t i = 0; i < LANES; i++) lane[i] = i, lowest[i] = -INFINITY;
    for (ptrdiff_t t = 0; t < padded; t += LANES) {
        vec largest = lowest, sum = {0};
        for (ptrdiff_t s = 0; s < keys; s++) {
            vec x = at(scores + s * padded + t);
            if (padding) x += padding[s];
            if (causal) x = either(lane + (REAL)t < (REAL)s, lowest, x);
            largest = either(x > largest, x, largest);
            *(vec *)(scores + s * padded + t) = x;
        }
        for (ptrdiff_t s = 0; s < keys; s++) {
            vec *x = (vec *)(scores + s * padded + t);
            sum += *x = exponential(*x - largest);
        }
        for (ptrdiff_t s = 0; s < keys; s++) *(vec *)(scores + s * padded + t) /= sum;
    }
}

/* the rows of a sentence, `columns` wide and `batch` of them apart, to where they lie beside each other */
INLINE void gather(const REAL *from, ptrdiff_t batch, ptrdiff_t rows, ptrdiff_t columns, REAL *to) {
    for (ptrdiff_t r = 0; r < rows; r++) memcpy(to + r * columns, from + r * batch * columns, columns * sizeof(REAL));
}

INLINE void scatter(const REAL *from, ptrdiff_t batch, ptrdiff_t rows, ptrdiff_t columns, REAL *to) {
    for (ptrdiff_t r = 0; r < rows; r++) memcpy(to + r * batch * columns, from + r * columns, columns * sizeof(REAL));
}

/* space for queries * (own + width) + keys * other + WIDTH * padded numbers; width = heads * WIDTH */
void attention_forward(const REAL *own, const REAL *other, const REAL *padding, REAL *weights, REAL *context,
                       REAL *space, const shape *is) {
    const ptrdiff_t batch = is->batch, queries = is->queries, keys = is->keys, padded = is->padded;
    const ptrdiff_t width = is->heads * WIDTH, parts = other ? 1 : 3, many = other ? 2 : 3;
    REAL *q = space, *k = other ? q + queries * width : q + WIDTH;
    REAL *out = space + queries * parts * width + (other ? keys * many * width : 0), *turned = out + queries * width;
    for (ptrdiff_t b = 0; b < batch; b++) {
        gather(own + b * parts * width, batch, queries, parts * width, q);
        if (other) gather(other + b * many * width, batch, keys, many * width, k);
        for (ptrdiff_t h = 0; h < is->heads; h++, weights += keys * padded) {
            const REAL *query = q + h * parts * WIDTH, *key = k + h * many * WIDTH, *value = key + WIDTH;
            transpose(query, parts * width, queries, turned, padded);
            product(key, many * width, 1, turned, padded, weights, padded, keys, WIDTH, padded);
            softmax(weights, padding ? padding + b * keys : 0, is->causal, keys, padded);
            product(weights, 1, padded, value, many * width, out + h * WIDTH, width, queries, keys, WIDTH);
        }
        scatter(out, batch, queries, width, context + b * width);
    }
}

/* pull is the derivative in the context; space for twice as many numbers, and keys * padded */
void attention_backward(const REAL *own, const REAL *other, const REAL *weights, const REAL *pull, REAL *to_own,
                        REAL *to_other, REAL *space, const shape *is) {
    const ptrdiff_t batch = is->batch, queries = is->queries, keys = is->keys, padded = is->padded;
    const ptrdiff_t width = is->heads * WIDTH, parts = other ? 1 : 3, many = other ? 2 : 3;
    const ptrdiff_t all = queries * parts * width + (other ? keys * many * width : 0);
    REAL *q = space, *k = other ? q + queries * width : q + WIDTH, *dq = q + all, *dk = k + all;
    REAL *out = space + 2 * all, *turned = out + queries * width, *slopes = turned + WIDTH * padded;
    for (ptrdiff_t b = 0; b < batch; b++) {
        gather(own + b * parts * width, batch, queries, parts * width, q);
        if (other) gather(other + b * many * width, batch, keys, many * width, k);
        gather(pull + b * width, batch, queries, width, out);
        for (ptrdiff_t h = 0; h < is->heads; h++, weights += keys * padded) {
            const ptrdiff_t here = h * parts * WIDTH, there = h * many * WIDTH;
            transpose(out + h * WIDTH, width, queries, turned, padded);
            product(k + there + WIDTH, many * width, 1, turned, padded, slopes, padded, keys, WIDTH, padded);
            for (ptrdiff_t t = 0; t < padded; t += LANES) {
                vec mean = {0};
                for (ptrdiff_t i = t; i < keys * padded; i += padded) mean += at(weights + i) * at(slopes + i);
                for (ptrdiff_t i = t; i < keys * padded; i += padded)
                    *(vec *)(slopes + i) = at(weights + i) * (at(slopes + i) - mean);
            }
            product(slopes, 1, padded, k + there, many * width, dq + here, parts * width, queries, keys, WIDTH);
            product(slopes, padded, 1, q + here, parts * width, dk + there, many * width, keys, queries, WIDTH);
            product(weights, padded, 1, out + h * WIDTH, width, dk + there + WIDTH, many * width, keys, queries, WIDTH);
        }
        scatter(dq, batch, queries, parts * width, to_own + b * parts * width);
        if (other) scatter(dk, batch, keys, many * width, to_other + b * many * width);
    }
}
"""


class Heads(NamedTuple):
    """A module of attention, but for its queries, keys and values."""

    batch: int
    heads: int
    width: int  # of a head
    causal: bool  # no query sees later keys
    padding: Tensor | None = None  # −∞ at keys that nothing sees (batch, keys)


class _Shape(ctypes.Structure):
    names = ("batch", "heads", "queries", "keys", "padded", "causal")
    _fields_ = tuple((name, ctypes.c_ssize_t) for name in names)


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

    :param own: queries, keys and values of self-attention (positions · batch, heads · 3 · width), the three of one head
        beside each other; or queries alone (tgt · batch, heads · width)
    :param other: then keys and values (keys · batch, heads · 2 · width)
    :returns: (tgt · batch, heads · width)
    """
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
        queries, keys = len(own) // about.batch, len(own if other is None else other) // about.batch
        padded = -(-queries // lanes(own.dtype)) * lanes(own.dtype)
        shape = _Shape(about.batch, about.heads, queries, keys, padded, about.causal)
        weights = own.new_empty(about.batch * about.heads, keys, padded)
        found = own.new_empty(len(own), about.heads * about.width)
        space = own.new_empty(_space(about, own, other, padded))
        tensors = own, other, about.padding, weights, found, space
        _functions(own.dtype, about.width).attention_forward(*map(_address, tensors), shape)
        ctx.shape, ctx.about = shape, about
        ctx.save_for_backward(weights, own, other)
        return found

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, pull: Tensor) -> tuple[Tensor | None, ...]:
        weights, own, other = ctx.saved_tensors
        gradients = torch.empty_like(own), None if other is None else torch.empty_like(other)
        keys, padded = weights.shape[1:]
        space = own.new_empty(2 * _space(ctx.about, own, other, padded) + keys * padded)
        tensors = own, other, weights, pull.contiguous(), *gradients, space
        _functions(own.dtype, ctx.about.width).attention_backward(*map(_address, tensors), ctx.shape)
        return None, *gradients


def _space(about: Heads, own: Tensor, other: Tensor | None, padded: int) -> int:
    """Numbers of what one sentence is given and puts out, and of one head's queries."""
    rows = own.numel() + (0 if other is None else other.numel()) + len(own) * about.heads * about.width
    return rows // about.batch + about.width * padded


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
