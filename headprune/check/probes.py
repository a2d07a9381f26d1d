"""Probes of a method's side effects: model passes it makes, global random numbers it depends on."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from headprune.heads import attention_points

BACKWARD = 2  # forward passes that a backward pass costs


@contextmanager
def alone() -> Iterator[None]:
    """Within the context torch computes on one thread, which is fastest for tiny models, and warnings are silent."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def scrambled(seed: int) -> Iterator[None]:
    """Within the context the global random numbers of Python, numpy and torch start from `seed`."""
    python, arrays, tensors = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)
        torch.set_rng_state(tensors)


@dataclass
class PositionCounts:
    """Positions that attention modules computed, without and with a graph for the backward pass."""

    plain: int = 0
    differentiable: int = 0

    @property
    def work(self) -> int:
        """The work seen so far, in positions of a forward pass."""
        return self.plain + (1 + BACKWARD) * self.differentiable


@contextmanager
def counting(model: nn.Module) -> Iterator[PositionCounts]:
    """Counts what the attention modules of `model`, of its parts and of copies of it compute: a pass over a part of the
    model, or over copies of an example, counts for what it is.

    :returns: yields the counts, which grow with every pass
    """
    passes, kinds = PositionCounts(), {type(point.module) for point in attention_points(model)}

    def count(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if type(module) in kinds:
            query = args[0] if args else kwargs["query"]  # (tgt, batch, model)
            positions = query.shape[0] * query.shape[1]
            if any(tensor.requires_grad for tensor in _tensors(output)):
                passes.differentiable += positions
            else:
                passes.plain += positions

    hook = register_module_forward_hook(count, with_kwargs=True)
    try:
        yield passes
    finally:
        hook.remove()


def pass_over(model: nn.Module, batches: Sequence[Mapping[str, Any]]) -> int:
    """The work of one forward and backward pass over the batches."""
    with counting(model) as passes, torch.no_grad():
        for batch in batches:
            model(**batch["net_input"])
    return (1 + BACKWARD) * passes.plain


def _tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        yield from _tensors(tuple(output.values()))
    elif isinstance(output, Sequence) and not isinstance(output, str):
        for part in output:
            yield from _tensors(part)


def copied(value: Any) -> Any:
    """A copy of nested mappings and sequences of tensors."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, Mapping):
        return {key: copied(part) for key, part in value.items()}
    return [copied(part) for part in value] if isinstance(value, list) else value
