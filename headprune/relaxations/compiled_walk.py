"""The recursions of `walk` in C: the same numbers but for rounding, without a call of torch for every head."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import torch
from torch import Tensor

from headprune.relaxations.walk import Walk
from headprune.system.compiled import library

SOURCE = """
#include <math.h>
#include <stddef.h>

/* logits (draws, n); take, leave and reach (draws, n, budget) start at 0; ratios (budget) is scratch */
void walk(const double *logits, double *take, double *leave, double *reach, double *ratios, ptrdiff_t draws,
          ptrdiff_t n, ptrdiff_t budget) {
    for (ptrdiff_t draw = 0; draw < draws; draw++, logits += n) {
        for (ptrdiff_t j = 0; j < budget; j++) ratios[j] = -INFINITY;
        for (ptrdiff_t i = 0; i < n; i++, take += budget, leave += budget) {
            double risen = 0;
            for (ptrdiff_t j = 0; j < budget; j++) {
                double odds = logits[i] - ratios[j], small = exp(-fabs(odds));
                take[j] = (odds < 0 ? small : 1) / (1 + small);
                leave[j] = (odds < 0 ? 1 : small) / (1 + small);
                double grown = (odds < 0 ? ratios[j] : logits[i]) + log1p(small), before = risen;
                risen = grown - ratios[j];
                ratios[j] = grown - before;
            }
        }
        reach += n * budget;
        if (budget) reach[-1] = 1;
        const double *t = take - budget, *l = leave - budget;
        double *here = reach - budget;
        for (ptrdiff_t i = n - 1; i > 0; i--, t -= budget, l -= budget, here -= budget)
            for (ptrdiff_t j = 0; j < budget; j++)
                here[j - budget] = here[j] * l[j] + (j + 1 < budget ? here[j + 1] * t[j + 1] : 0);
    }
}

/* vector and found (draws, n); slopes (n, budget), expected and rising (budget) are scratch */
void covariance(const double *take, const double *leave, const double *reach, const double *vector, double *found,
                double *slopes, double *expected, double *rising, ptrdiff_t draws, ptrdiff_t n, ptrdiff_t budget) {
    for (ptrdiff_t draw = 0; draw < draws; draw++, vector += n, found += n) {
        for (ptrdiff_t j = 0; j < budget; j++) expected[j] = rising[j] = 0;
        for (ptrdiff_t i = 0; i < n; i++, take += budget, leave += budget, reach += budget, slopes += budget) {
            double below = 0;
            for (ptrdiff_t j = 0; j < budget; j++) {
                double gain = vector[i] + below - expected[j];
                below = expected[j];
                slopes[j] = reach[j] * take[j] * leave[j] * gain;
                expected[j] += take[j] * gain;
            }
        }
        const double *t = take, *l = leave;
        for (ptrdiff_t i = n - 1; i >= 0; i--) {
            t -= budget, l -= budget, slopes -= budget;
            double sum = 0, left = 0;
            for (ptrdiff_t j = 0; j < budget; j++) {
                double taken = rising[j] * t[j] + slopes[j];
                sum += taken;
                left = rising[j] * l[j] - slopes[j];
                rising[j] = left;
                if (j) rising[j - 1] += taken;
            }
            found[i] = sum;
        }
    }
}
"""


def available() -> bool:
    """True if the functions of this module, which take tensors of the CPU, can be called on this machine."""
    return _functions() is not None


def compiled_walk(logits: Tensor, budget: int) -> Walk:
    """`walk.plain_walk` in one call.

    :param logits: float64 (…, N)
    """
    logits = logits.contiguous()
    total = logits.shape[-1]
    found = Walk(*(torch.zeros(*logits.shape, budget, dtype=torch.float64) for _ in range(3)))
    scratch = torch.empty(budget, dtype=torch.float64)
    tensors = [tensor.data_ptr() for tensor in (logits, *found, scratch)]
    _functions().walk(*tensors, logits.numel() // max(total, 1), total, budget)
    return found


def compiled_covariance(walk: Walk, vector: Tensor) -> Tensor:
    """`walk.plain_covariance` in one call.

    :param vector: float64 (…, N)
    """
    vector = vector.contiguous()
    total, budget = walk.take.shape[-2:]
    found = torch.empty_like(vector)
    scratch = [torch.empty(size, dtype=torch.float64) for size in (total * budget, budget, budget)]
    tensors = [tensor.data_ptr() for tensor in (*walk, vector, found, *scratch)]
    _functions().covariance(*tensors, vector.numel() // max(total, 1), total, budget)
    return found


@cache
def _functions() -> Any:
    """The compiled functions, knowing the types of their arguments; None where they cannot be compiled."""
    compiled = library(SOURCE)
    if compiled is not None:
        tensor, size = ctypes.c_void_p, ctypes.c_ssize_t
        compiled.walk.argtypes = [*[tensor] * 5, *[size] * 3]
        compiled.covariance.argtypes = [*[tensor] * 8, *[size] * 3]
        compiled.walk.restype = compiled.covariance.restype = None
    return compiled
