"""Reconstruction in closed form: pure functions of W_O and the moments of the contexts (docs/theory/reconstruction.md).

MHA(x) = W_O c + b_O,    c = the concatenated contexts of the heads, one block of channels per head
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

SILENT = 1e-30  # mean square of a channel of a module whose heads all output zero


def fluctuation(weight: Tensor, variance: Tensor) -> Tensor:
    """Var(c_j) ‖W_O[:, j]‖² of every channel j (An et al. 2024, the metric of FLAP).

    :param weight: W_O (model, channels)
    :param variance: (channels,)
    :returns: (channels,)
    """
    return variance * weight.square().sum(0)


def damped_inverse(second: Tensor, damping: float) -> Tensor:
    """(G + λ I)⁻¹ with λ = `damping` times the mean of G's diagonal, or times next to nothing if G = 0.

    :param second: G = E[c cᵀ] (channels, channels)
    """
    return torch.cholesky_inverse(
        torch.linalg.cholesky(second + ridge(second, damping) * torch.eye(len(second)).to(second))
    )


def ridge(second: Tensor, damping: float) -> float:
    """λ of `damped_inverse`, in the unit of G.

    :param second: G (channels, channels)
    :param damping: λ as a multiple of the mean of G's diagonal
    """
    return damping * (second.diagonal().mean().item() or SILENT)


def removal_cost(weight: Tensor, inverse: Tensor, channels: Tensor) -> float:
    """The loss of the best reconstruction without the channels S: tr(W_S ((G⁻¹)_SS)⁻¹ W_Sᵀ).

    With G = E[c cᵀ] this is min over ΔW with W + ΔW zero on S of E‖ΔW c‖²; a damping λ adds λ‖ΔW‖².

    :param weight: W_O (model, channels), zero where channels went before
    :param inverse: G⁻¹ (channels, channels) of the channels that are left, see `remove_channels`
    :param channels: indices S
    """
    columns = weight[:, channels]
    return float((columns * torch.linalg.solve(inverse[channels][:, channels], columns.t()).t()).sum())


def remove_channels(weight: Tensor, inverse: Tensor, channels: Tensor) -> tuple[Tensor, Tensor]:
    """The update W − W_S ((G⁻¹)_SS)⁻¹ (G⁻¹)_S,: and the inverse of what is left of G, by block elimination.

    Sizes stay: rows and columns of removed channels become zero. Removing blocks one by one, in any order, equals
    removing them together.

    :returns: the new weight and the new inverse, shapes as in `removal_cost`
    """
    solved = torch.linalg.solve(inverse[channels][:, channels], inverse[channels])  # (S, channels)
    weight, inverse = weight - weight[:, channels] @ solved, inverse - inverse[:, channels] @ solved
    weight[:, channels] = 0
    inverse[channels], inverse[:, channels] = 0, 0
    return weight, inverse


def reconstruction_error(change: Tensor, second: Tensor) -> float:
    """E‖ΔW c‖² = tr(ΔW G ΔWᵀ), the mean squared change of the output, summed over its dimensions.

    :param change: ΔW (model, channels)
    :param second: G = E[c cᵀ] (channels, channels)
    """
    return float(((change @ second) * change).sum())


def head_products(weight: Tensor, cross: Tensor, heads: int) -> Tensor:
    """E[o_h · p_k] for the outputs o_h = W_h c_h and p_k = W_k e_k of the heads on contexts c and e.

    :param cross: E[c eᵀ] (channels, channels)
    :returns: (heads, heads)
    """
    return ((weight.t() @ weight) * cross).unflatten(1, (heads, -1)).unflatten(0, (heads, -1)).sum((1, 3))


def least_squares_scales(own: Tensor, wanted: Tensor, kept: Sequence[int]) -> Tensor:
    """argmin over s of E‖Σ_h s_h o_h − Σ_k p_k‖², h over the kept heads and k over all; the shortest one of several.

    :param own: E[o_h · o_k] (heads, heads), see `head_products`
    :param wanted: E[o_h · p_k] (heads, heads)
    :returns: (heads,), zero for the others
    """
    index = torch.tensor(kept, dtype=torch.long)
    found = torch.linalg.pinv(own[index][:, index], hermitian=True) @ wanted[index].sum(1)
    return torch.zeros(len(own), dtype=own.dtype).index_put((index,), found)
