"""What a method does besides returning masks: files it opens, model passes it makes, what it leaves changed."""

from __future__ import annotations

import os
import random
import site
import sys
import sysconfig
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

import headprune
from headprune.heads import attention_points

BACKWARD = 2  # forward passes that a backward pass costs

_PACKAGE = Path(headprune.__file__).resolve().parent
_LIBRARIES = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
_LIBRARIES += [*site.getsitepackages(), "/proc", "/sys", "/dev"]
_CODE = (".py", ".pyc", ".so", ".pyd")
_EVENTS = ("open", "subprocess.Popen", "os.system", "socket.connect")
_seen: list[str] | None = None


@contextmanager
def watching() -> Iterator[list[str]]:
    """Within the context, collects the files, programs and sockets that are opened, but those of Python and its
    libraries."""
    global _seen
    _install_audit()
    before, _seen = _seen, []
    try:
        yield _seen
    finally:
        _seen = before


def _install_audit() -> None:
    """Audit hooks stay for the life of a process; there is one, and it does nothing outside `watching`."""
    if not getattr(_install_audit, "done", False):
        sys.addaudithook(_audit)
        _install_audit.done = True  # type: ignore[attr-defined]


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is None or event not in _EVENTS:
        return
    if event != "open":
        _seen.append(f"{event}({arguments[-1] if event == 'socket.connect' else arguments[0]!r})")
    elif not isinstance(arguments[0], int) and not is_library(os.fsdecode(arguments[0])):
        _seen.append(os.fsdecode(arguments[0]))


def is_library(path: str) -> bool:
    """Whether Python or a library may open `path` by itself: code anywhere, data only beside installed libraries."""
    full = os.path.realpath(path)
    if full.endswith(_CODE) or f"{os.sep}__pycache__{os.sep}" in full:
        return True
    inside = [str(folder) for folder in _LIBRARIES if _within(full, str(folder))]
    return bool(inside) and not _within(full, str(_PACKAGE))


def _within(path: str, folder: str) -> bool:
    return path.startswith(os.path.realpath(folder) + os.sep)


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
class Passes:
    """Positions that attention modules computed, without and with a graph for the backward pass."""

    plain: int = 0
    differentiable: int = 0

    @property
    def work(self) -> int:
        """In positions of a forward pass."""
        return self.plain + (1 + BACKWARD) * self.differentiable


@contextmanager
def counting(model: nn.Module) -> Iterator[Passes]:
    """Counts what the attention modules of `model`, of its parts and of copies of it compute: a pass over a part of the
    model, or over copies of an example, counts for what it is."""
    passes, kinds = Passes(), {type(point.module) for point in attention_points(model)}

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


def snapshot(model: nn.Module) -> dict[str, Any]:
    """All of a model that a method must leave as it was, by a name that says what it is."""
    state: dict[str, Any] = {}
    for name, parameter in model.named_parameters():
        state[f"weight {name}"] = parameter.detach().clone()
        state[f"gradient of {name}"] = None if parameter.grad is None else parameter.grad.clone()
        state[f"requires_grad of {name}"] = parameter.requires_grad
    for name, buffer in model.named_buffers():
        state[f"buffer {name}"] = buffer.clone()
    for name, module in model.named_modules():
        state[f"mode of {name or 'the model'}"] = "training" if module.training else "evaluation"
        state[f"hooks of {name or 'the model'}"] = len(module._forward_hooks) + len(module._forward_pre_hooks)
    for point in attention_points(model):
        projection = point.module.out_proj
        state[f"gates of {point.name}"] = (getattr(projection, "gate", None), getattr(projection, "probes", None))
        state[f"path of {point.name}"] = getattr(point.module, "skip_embed_dim_check", None)
    return state


def copied(value: Any) -> Any:
    """A copy of nested mappings and sequences of tensors."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, Mapping):
        return {key: copied(part) for key, part in value.items()}
    return [copied(part) for part in value] if isinstance(value, list) else value


def differences(before: Any, after: Any, name: str = "") -> list[str]:
    """The names of what is not equal, bit for bit, in two nested structures."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        keys = dict.fromkeys([*before, *after])
        return [d for k in keys for d in differences(before.get(k), after.get(k), f"{name} {k}".strip())]
    if isinstance(before, (list, tuple)) and isinstance(after, (list, tuple)) and len(before) == len(after):
        return list(dict.fromkeys(d for a, b in zip(before, after, strict=True) for d in differences(a, b, name)))
    if isinstance(before, Tensor) and isinstance(after, Tensor):
        return [] if before.dtype == after.dtype and _same(before, after) else [name]
    return [] if type(before) is type(after) and before == after else [name]


def _same(before: Tensor, after: Tensor) -> bool:
    """Equal bit for bit; NaN equals NaN."""
    return before.shape == after.shape and torch.equal(before.nan_to_num(), after.nan_to_num())
