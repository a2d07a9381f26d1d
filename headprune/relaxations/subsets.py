"""The passes of the subset sampler and of its derivative in C, as one differentiable function.

The same numbers as `relaxations.plain_subset_sample` but for rounding. Each of its K passes is a dozen calls of torch,
and each of these costs more than its arithmetic.
"""

from __future__ import annotations

import ctypes
import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from headprune.system.compiled import library

SOURCE = """
#include <math.h>
#include <stddef.h>

/* scores (draws, n) are used up; gates (draws, n) start at 0; taken (draws, budget, n) is what every pass took */
void subset_forward(double *scores, double *gates, double *taken, ptrdiff_t draws, ptrdiff_t n, ptrdiff_t budget,
                    double temperature, double selected) {
    for (ptrdiff_t draw = 0; draw < draws; draw++, scores += n, gates += n)
        for (ptrdiff_t pass = 0; pass < budget; pass++, taken += n) {
            double largest = -INFINITY, total = 0;
            for (ptrdiff_t i = 0; i < n; i++) {
                taken[i] = scores[i] / temperature;
                largest = taken[i] > largest ? taken[i] : largest;
            }
            for (ptrdiff_t i = 0; i < n; i++) {
                taken[i] = exp(taken[i] - largest);
                total += taken[i];
            }
            for (ptrdiff_t i = 0; i < n; i++) {
                taken[i] /= total;
                gates[i] += taken[i];
                scores[i] = 1 - taken[i] < selected ? -INFINITY : scores[i] + log(1 - taken[i]);
            }
        }
}

/* gradient (draws, n) starts at 0: the derivative in the scores of the pass after the one at hand */
void subset_backward(const double *taken, const double *pull, double *gradient, double *along, ptrdiff_t draws,
                     ptrdiff_t n, ptrdiff_t budget, double temperature, double selected, int cut) {
    for (ptrdiff_t draw = 0; draw < draws; draw++, taken += budget * n, pull += n, gradient += n)
        for (ptrdiff_t pass = budget - 1; pass >= 0; pass--) {
            const double *p = taken + pass * n;
            double mean = 0;
            for (ptrdiff_t i = 0; i < n; i++) {
                if (1 - p[i] < selected) gradient[i] = 0;
                along[i] = cut ? pull[i] : pull[i] - gradient[i] / (1 - p[i] < selected ? 1 : 1 - p[i]);
                mean += along[i] * p[i];
            }
            for (ptrdiff_t i = 0; i < n; i++) gradient[i] += p[i] * (along[i] - mean) / temperature;
        }
}
"""


class Rule(NamedTuple):
    """The rule by which gates are drawn."""

    budget: int
    temperature: float
    selected: float  # a head whose probability is within this of 1 counts as drawn
    cut: bool  # no gradient flows from pass to pass


def available() -> bool:
    """True if `subset_gates` can be called on this machine."""
    return _functions() is not None


def subset_gates(scores: Tensor, rule: Rule) -> Tensor:
    """Gates of perturbed scores, differentiable once.

    :param scores: float64, one draw or several (…, N); of a GPU they come here, as N numbers cost less on the way than
        thousands of its kernels do
    :returns: gates (…, N), on the device of `scores`
    """
    gates: Tensor = _Subset.apply(scores.cpu(), rule)[0]  # type: ignore[no-untyped-call]
    return gates.to(scores.device)


@cache
def _functions() -> Any:
    """The compiled functions, knowing the types of their arguments; None where they cannot be compiled."""
    compiled = library(SOURCE)
    if compiled is not None:
        tensor, size, number = ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_double
        compiled.subset_forward.argtypes = [*[tensor] * 3, *[size] * 3, number, number]
        compiled.subset_backward.argtypes = [*[tensor] * 4, *[size] * 3, number, number, ctypes.c_int]
        compiled.subset_forward.restype = compiled.subset_backward.restype = None
    return compiled


def _signed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Keeps the signature of a `forward`: torch looks it up at every call, which takes as long as a sample."""
    function.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return function


class _Subset(torch.autograd.Function):
    """Scores to gates, and to what every pass took (…, K, N), which has no derivative."""

    @staticmethod
    @_signed
    def forward(scores: Tensor, rule: Rule) -> tuple[Tensor, Tensor]:
        left = scores.detach().clone(memory_format=torch.contiguous_format)
        total = left.shape[-1]
        gates, taken = torch.zeros_like(left), left.new_empty(*left.shape[:-1], rule.budget, total)
        tensors = left.data_ptr(), gates.data_ptr(), taken.data_ptr()
        sizes = left.numel() // max(total, 1), total, rule.budget
        _functions().subset_forward(*tensors, *sizes, rule.temperature, rule.selected)
        return gates, taken

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.rule = inputs[1]
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

    @staticmethod
    def backward(ctx: Any, *pulls: Tensor) -> tuple[Any, None]:
        return _SubsetGradient.apply(*ctx.saved_tensors, pulls[0], ctx.rule), None  # type: ignore[no-untyped-call]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], scores: Tensor, rule: Rule) -> tuple[Any, tuple[int, int]]:
        return _Subset.apply(scores.movedim(in_dims[0], 0), rule), (0, 0)  # type: ignore[no-untyped-call]


class _SubsetGradient(torch.autograd.Function):
    """The derivative in the gates to that in the scores."""

    @staticmethod
    @_signed
    def forward(taken: Tensor, pull: Tensor, rule: Rule) -> Tensor:
        taken, pull = taken.contiguous(), pull.contiguous()
        total = pull.shape[-1]
        gradient, along = torch.zeros_like(pull), pull.new_empty(total)
        tensors = taken.data_ptr(), pull.data_ptr(), gradient.data_ptr(), along.data_ptr()
        sizes = pull.numel() // max(total, 1), total, rule.budget
        _functions().subset_backward(*tensors, *sizes, rule.temperature, rule.selected, rule.cut)
        return gradient

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Nothing is kept."""

    @staticmethod
    def backward(ctx: Any, *pulls: Tensor) -> Any:
        raise NotImplementedError("the subset sampler has no second derivative; `plain_subset_sample` has one")

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], taken: Tensor, pull: Tensor, rule: Rule) -> tuple[Tensor, int]:
        parts = [
            part.expand(info.batch_size, *part.shape) if dim is None else part.movedim(dim, 0)
            for part, dim in zip((taken, pull), in_dims[:2], strict=True)
        ]
        return _SubsetGradient.apply(*parts, rule), 0  # type: ignore[no-untyped-call]
