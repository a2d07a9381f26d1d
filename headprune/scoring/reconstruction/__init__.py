"""Making up for removed heads without training: closed-form changes of the output projection, W_O and b_O.

A pass over calibration data yields the moments of the contexts (`context_moments`); from them follow the projection
that loses least when heads go (`reconstruct_weights`), the bias that stands in for their mean (`compensate_bias`) and a
scale for every surviving head (`rescaled_gates`).
"""

from headprune.scoring.reconstruction.closed_form import (
    damped_inverse,
    fluctuation,
    head_products,
    least_squares_scales,
    reconstruction_error,
    removal_cost,
    remove_channels,
    ridge,
)
from headprune.scoring.reconstruction.moments import Moments, context_moments, contexts
from headprune.scoring.reconstruction.outputs import (
    compensate_bias,
    head_channels,
    output_weight,
    reconstruct_weights,
    rescaled_gates,
    scale_heads,
)

__all__ = [
    "Moments",
    "compensate_bias",
    "context_moments",
    "contexts",
    "damped_inverse",
    "fluctuation",
    "head_channels",
    "head_products",
    "least_squares_scales",
    "output_weight",
    "reconstruct_weights",
    "reconstruction_error",
    "removal_cost",
    "remove_channels",
    "rescaled_gates",
    "ridge",
    "scale_heads",
]
