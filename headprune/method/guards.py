"""Guards of what foreign code must leave as it was: a model, and the state of the process that others compute in.

A look at a model hashes all its tensors: about a second per gigabyte, before and after.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from headprune.heads import attention_points
from headprune.method.audit import PACKAGE, watching, within


class ConductError(RuntimeError):
    """Code that was to return something, and changed or read what is not its own."""


def tensor_digest(tensor: Tensor) -> str:
    """Type, shape and the first 16 hex digits of the sha256 of the bytes."""
    content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return f"{tensor.dtype} {tuple(tensor.shape)} {hashlib.sha256(content.data).hexdigest()[:16]}"


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """The first 16 hex digits of a sha256 of names and values, in single precision: of equal models it is the same."""
    total = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        total.update(f"{name}\0{tensor_digest(tensor.float())}\0".encode())
    return total.hexdigest()[:16]


def snapshot(model: nn.Module, keep: Callable[[Tensor], Any] = tensor_digest) -> dict[str, Any]:
    """All of a model that a method must leave as it was, by a name that says what it is.

    :param keep: what stands for a tensor
    """
    state: dict[str, Any] = {}
    for name, parameter in model.named_parameters():
        state[f"weight {name}"] = keep(parameter.detach())
        state[f"gradient of {name}"] = None if parameter.grad is None else keep(parameter.grad)
        state[f"requires_grad of {name}"] = parameter.requires_grad
    for name, buffer in model.named_buffers():
        state[f"buffer {name}"] = keep(buffer)
    for name, module in model.named_modules():
        state[f"mode of {name or 'the model'}"] = "training" if module.training else "evaluation"
        state[f"hooks of {name or 'the model'}"] = len(module._forward_hooks) + len(module._forward_pre_hooks)
    for point in attention_points(model):
        projection = point.module.out_proj
        state[f"gates of {point.name}"] = (getattr(projection, "gate", None), getattr(projection, "probes", None))
        state[f"path of {point.name}"] = getattr(point.module, "skip_embed_dim_check", None)
    return state


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


@dataclass(frozen=True)
class Shared:
    """A piece of state that the computations of a process share."""

    read: Callable[[], Any]  # values that `==` compares
    write: Callable[[Any], Any]


def _arrays_state() -> tuple[Any, ...]:
    kind, keys, *rest = np.random.get_state()
    return kind, np.asarray(keys).tobytes(), *rest


def _set_arrays_state(state: tuple[Any, ...]) -> None:
    np.random.set_state((state[0], np.frombuffer(state[1], dtype=np.uint32), *state[2:]))


def _bytes(state: Tensor) -> bytes:
    return state.numpy().tobytes()


def _tensor(state: bytes) -> Tensor:
    return torch.frombuffer(bytearray(state), dtype=torch.uint8)


SHARED = {
    "the global random numbers of torch": Shared(
        lambda: _bytes(torch.get_rng_state()), lambda state: torch.set_rng_state(_tensor(state))
    ),
    "the global random numbers of the GPUs": Shared(
        lambda: [_bytes(s) for s in torch.cuda.get_rng_state_all()] if torch.cuda.is_initialized() else None,
        lambda states: torch.cuda.set_rng_state_all([_tensor(state) for state in states or []]),
    ),
    "the global random numbers of numpy": Shared(_arrays_state, _set_arrays_state),
    "the global random numbers of Python": Shared(random.getstate, random.setstate),
    "the gradient mode": Shared(torch.is_grad_enabled, torch.set_grad_enabled),
    "the default dtype": Shared(torch.get_default_dtype, torch.set_default_dtype),
    "the number of threads": Shared(torch.get_num_threads, torch.set_num_threads),
    "the working directory": Shared(os.getcwd, os.chdir),
}


def surroundings() -> dict[str, Any]:
    """The shared state of this process, for `put_back`."""
    return {name: shared.read() for name, shared in SHARED.items()}


def put_back(before: Mapping[str, Any]) -> list[str]:
    """Makes the shared state what it was before; the names of what was not."""
    changed = [name for name, shared in SHARED.items() if shared.read() != before[name]]
    for name in changed:
        SHARED[name].write(before[name])
    return changed


@contextmanager
def undisturbed(what: str, model: nn.Module | None = None) -> Iterator[None]:
    """Within the context runs code that must leave the process, and a model, as they were.

    The process is put back in any case; the model is not.

    :param what: the code, for the message
    :raises ConductError: it did not.
    """
    state = snapshot(model) if model is not None else {}
    before = surroundings()
    changed: list[str] = []
    try:
        yield
        changed += differences(state, snapshot(model)) if model is not None else []
    finally:
        changed += put_back(before)
    if changed:
        names = ", ".join(changed[:6]) + (f" and {len(changed) - 6} more" if len(changed) > 6 else "")
        raise ConductError(f"{what} changes {names}: `headprune check` says how to mend it")


@contextmanager
def unread(what: str, *folders: Path) -> Iterator[None]:
    """Within the context runs code that must not open what lies in these folders, or the corpora of this package.

    :param what: the code, for the message
    :raises ConductError: it did.
    """
    with watching() as seen:
        yield
    opened = [name for name in dict.fromkeys(seen.opened) if any(_is_in(name, place) for place in (*folders, PACKAGE))]
    if opened:
        names = ", ".join(opened[:4])
        raise ConductError(f"{what} opens {names}: a method sees the batches it is given and nothing else")


@contextmanager
def confined(what: str, model: nn.Module, *folders: Path) -> Iterator[None]:
    """Within the context runs a method that is given a model: `undisturbed`, and `unread` where there are folders.

    Without, nothing is watched: what watches a process stays in it, and in a caller's own process it has no place.
    """
    with undisturbed(what, model), unread(what, *folders) if folders else nullcontext():
        yield


def _is_in(name: str, folder: Path) -> bool:
    """Return whether a name is one of a file in a folder, by itself or by what it links to."""
    return any(within(path, str(folder)) for path in (os.path.abspath(name), os.path.realpath(name)))
