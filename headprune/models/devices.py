"""The place of models and batches, and equal runs that give equal numbers there."""

from __future__ import annotations

from typing import Any

import headprune.models.compat  # noqa: F401

import torch
from fairseq.utils import apply_to_sample


def device() -> torch.device:
    """The GPU that jobs compute on, or the CPU if there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def placed(batch: dict[str, Any], where: torch.device | str) -> dict[str, Any]:
    """A batch with all its tensors on a device."""
    return apply_to_sample(lambda tensor: tensor.to(where), batch)  # type: ignore[no-any-return]


def repeatable() -> None:
    """Has this process compute alike in equal runs: an operation that cannot is an error, or a warning on a GPU.

    Unlike `torch.use_deterministic_algorithms`, which sets the same, it does not import torch's compiler, a second of
    each job. cuBLAS needs an environment variable besides, which `headprune.__main__` sets.
    """
    torch.set_deterministic_debug_mode("error" if device().type == "cpu" else "warn")
