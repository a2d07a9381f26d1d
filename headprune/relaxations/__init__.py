"""Relaxations of discrete head selection: pure functions of tensors.

`operators` has the sampler of DSP and what all share, with a fast sampler in `subsets`; `exact` the distribution of
K-subsets and the estimators that rest on it; `perturbed` and `projection` one estimator each.
"""

from headprune.relaxations.exact import marginal_sample, simple_sample, subset_draw, subset_marginals
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
from headprune.relaxations.perturbed import imle_sample, imle_target, sum_of_gamma
from headprune.relaxations.projection import capped_projection, projected_sample

__all__ = [
    "capped_projection",
    "cubic_budget",
    "effective_penalty",
    "gumbel",
    "hard_concrete",
    "imle_sample",
    "imle_target",
    "marginal_sample",
    "open_probability",
    "plain_subset_sample",
    "projected_sample",
    "reverse_gradient",
    "simple_sample",
    "straight_through",
    "subset_draw",
    "subset_marginals",
    "subset_sample",
    "sum_of_gamma",
    "temperature",
    "top_k",
]
