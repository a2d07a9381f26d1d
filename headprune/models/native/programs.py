"""Programs in C for vectors of the processor, compiled for heads of one width."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from headprune.models.native.vector_source import VECTOR_SOURCE
from headprune.system.compiled import library

# Bytes of a vector, and what a compiler is told of the processor, by what torch found it to be able to.
VECTORS = {
    "AVX512": (64, "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"),
    "AVX2": (32, "avx2,fma"),
    "DEFAULT": (16, ""),
}
NUMBERS = {torch.float32: ("float", "int32_t"), torch.float64: ("double", "int64_t")}


@dataclass(frozen=True)
class Program:
    """Functions in C, which take the addresses of some tensors and a description of them."""

    source: str  # what follows `VECTOR_SOURCE`
    tensors: tuple[tuple[str, int], ...]  # how many a function takes
    shape: type[ctypes.Structure]

    def available(self, x: Tensor, width: int) -> bool:
        """True if the functions can be called for numbers like `x` in heads of this width."""
        if x.device.type != "cpu" or x.dtype not in NUMBERS:
            return False
        return width % lanes(x.dtype) == 0 and self._compiled(x.dtype, width) is not None

    def run(self, function: str, width: int, tensors: Sequence[Tensor | None], shape: ctypes.Structure) -> None:
        """Calls a function that is `available` for contiguous tensors of one dtype, some of which may be missing."""
        given = next(tensor for tensor in tensors if tensor is not None)
        compiled = self._compiled(given.dtype, width)
        getattr(compiled, function)(*(None if tensor is None else tensor.data_ptr() for tensor in tensors), shape)

    def _compiled(self, dtype: torch.dtype, width: int) -> ctypes.CDLL | None:
        return _compiled(self, dtype, width, torch.backends.cpu.get_cpu_capability())


def lanes(dtype: torch.dtype) -> int:
    """Numbers in a vector of the processor's."""
    return _vectors(torch.backends.cpu.get_cpu_capability())[0] // dtype.itemsize


def whole(rows: int, dtype: torch.dtype) -> int:
    """The rows up to whole vectors."""
    return -(-rows // lanes(dtype)) * lanes(dtype)


def _vectors(capability: str) -> tuple[int, str]:
    return VECTORS.get(capability, VECTORS["DEFAULT"])


@cache
def _compiled(program: Program, dtype: torch.dtype, width: int, capability: str) -> ctypes.CDLL | None:
    """None where it cannot be compiled."""
    size, target = _vectors(capability)
    lines = [f"#define {name} {value}" for name, value in zip(("REAL", "INTEGER"), NUMBERS[dtype], strict=True)]
    lines += [f"#define BYTES {size}", f"#define WIDTH {width}"]
    if target:
        lines += [f'#pragma GCC target("{target}")', "#ifdef __clang__", "#error the pragma is GCC's", "#endif"]
    compiled = library("\n".join([*lines, VECTOR_SOURCE, program.source]))
    if compiled is not None:
        for name, tensors in program.tensors:
            function = getattr(compiled, name)
            function.argtypes = [*[ctypes.c_void_p] * tensors, ctypes.POINTER(program.shape)]
            function.restype = None
    return compiled
