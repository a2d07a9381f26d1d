"""Relaxations of discrete head selection: pure functions of tensors in `operators`, a fast sampler in `subsets`."""

from headprune.relaxations.operators import (
    cubic_budget,
    effective_penalty,
    gumbel,
    hard_concrete,
    open_probability,
    plain_subset_sample,
    reverse_gradient,
    straight_through,
    subset_sample,
    temperature,
    top_k,
)

__all__ = [
    "cubic_budget",
    "effective_penalty",
    "gumbel",
    "hard_concrete",
    "open_probability",
    "plain_subset_sample",
    "reverse_gradient",
    "straight_through",
    "subset_sample",
    "temperature",
    "top_k",
]
