"""New output projections for a model and a mask: any mask, whatever method found it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from headprune.gates import clear_mask, set_gates
from headprune.heads import AttentionPoint, HeadMask, HeadSpace, attention_points
from headprune.importance import goes_on
from headprune.method import Batches, OutputProjection
from headprune.scoring.reconstruction.closed_form import (
    damped_inverse,
    head_products,
    least_squares_scales,
    remove_channels,
)
from headprune.scoring.reconstruction.moments import Moments, contexts, evaluating


def compensate_bias(model: nn.Module, mask: HeadMask, moments: Mapping[str, Moments]) -> dict[str, OutputProjection]:
    """b_O + Σ W_O^h E[C_h] over the removed heads h; weights as they are (docs/theory/reconstruction.md#fluctuation).

    :param moments: of the unpruned model
    :returns: for every module that loses heads; one without output bias gets one
    """
    outputs = {}
    for point, channels in _losses(model, mask):
        weight, bias = point.module.out_proj.weight.detach(), getattr(point.module.out_proj, "bias", None)
        gained = output_weight(point)[:, channels] @ moments[point.name].mean[channels]
        new = gained if bias is None else bias.detach().cpu().double() + gained
        outputs[point.name] = OutputProjection(weight.clone(), new.to(weight))
    return outputs


def reconstruct_weights(
    model: nn.Module, mask: HeadMask, moments: Mapping[str, Moments], damping: float
) -> dict[str, OutputProjection]:
    """The W_O that loses least of E‖W_O c‖² without the removed heads' channels; biases as they are.

    :param moments: of the unpruned model
    :param damping: see `damped_inverse`
    :returns: for every module that loses heads
    """
    outputs = {}
    for point, channels in _losses(model, mask):
        inverse = damped_inverse(moments[point.name].second, damping)
        outputs[point.name] = _projection(point, remove_channels(output_weight(point), inverse, channels)[0])
    return outputs


def scale_heads(model: nn.Module, gates: Tensor) -> dict[str, OutputProjection]:
    """Folds a gate per head into the columns of W_O (docs/theory/removal.md#shrinking).

    :param gates: (N,)
    :returns: for every module with a gate other than 0 and 1
    """
    outputs = {}
    for point, own in _by_module(model, gates):
        if ((own != 0) & (own != 1)).any():
            width = point.module.out_proj.weight.shape[1] // len(own)
            outputs[point.name] = _projection(point, output_weight(point) * own.repeat_interleave(width))
    return outputs


def rescaled_gates(
    model: nn.Module, mask: HeadMask, batches: Batches, limit: float = 10.0, skip_first: bool = False
) -> Tensor:
    """Scales of the kept heads that bring the output of every module nearest to the unpruned model's, by least squares.

    Modules go in the order of the forward pass; each is fitted on what it gets from earlier modules pruned and
    rescaled, to what it gave in the unpruned model. From the first module on that needs a scale beyond ±`limit`, all
    keep scale 1 (docs/theory/reconstruction.md#fisher). Leaves all gates open.

    :param skip_first: leave the first module of the forward pass alone
    :returns: float64 gates (N,), zero for removed heads
    :raises ValueError: batches that go on from one another: a model has one memory, and here it computes everything
        twice, whole and pruned.
    """
    if any(goes_on(batch) for batch in batches):
        raise ValueError("heads cannot be rescaled on batches that go on from one another (`start` is False)")
    gates = torch.tensor(mask.keep, dtype=torch.float64)
    modules = {point.name: (point, own) for point, own in _by_module(model, gates)}
    with evaluating(model):
        try:
            clear_mask(model)
            names = list(contexts(model, batches[0]))
            lost = next((i for i, name in enumerate(names) if not modules[name][1].all()), len(names))
            for name in names[max(lost, int(skip_first)) :]:  # what comes before computes what it did
                point, own = modules[name]  # `own` is a view: fitted scales take effect in `gates`
                if not own.any():
                    continue
                second, cross = _paired_moments(model, batches, gates, name)
                weight, heads = output_weight(point), len(own)
                products = head_products(weight, second, heads), head_products(weight, cross, heads)
                scales = least_squares_scales(*products, own.nonzero().flatten().tolist())
                if scales.abs().max() > limit:
                    break
                own.copy_(scales)
        finally:
            clear_mask(model)
    return gates


def _paired_moments(model: nn.Module, batches: Batches, gates: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Σ e eᵀ and Σ e cᵀ of one module's contexts: e with these gates, c with all gates open."""
    second = cross = torch.zeros(())
    for batch in batches:
        set_gates(model, None)
        whole = contexts(model, batch)[name]
        set_gates(model, gates)
        pruned = contexts(model, batch)[name]
        second, cross = second + (pruned.t() @ pruned).cpu(), cross + (pruned.t() @ whole).cpu()
    return second, cross


def output_weight(point: AttentionPoint) -> Tensor:
    """W_O of a module, float64 on the CPU (model, channels), a copy."""
    return point.module.out_proj.weight.detach().cpu().double().clone()  # type: ignore[no-any-return]


def head_channels(point: AttentionPoint, positions: Iterable[int]) -> Tensor:
    """The channels of the heads at these positions of a module, columns of its W_O.

    :param positions: among the heads that the module has, from 0
    :returns: indices (positions · head_dim,)
    """
    width = point.module.out_proj.weight.shape[1] // len(point.indices)
    return torch.tensor([c for p in positions for c in range(p * width, (p + 1) * width)], dtype=torch.long)


def _projection(point: AttentionPoint, weight: Tensor) -> OutputProjection:
    """A new weight with the module's own bias, in the module's type."""
    old, bias = point.module.out_proj.weight, getattr(point.module.out_proj, "bias", None)
    return OutputProjection(weight.to(old), None if bias is None else bias.detach().clone())


def _losses(model: nn.Module, mask: HeadMask) -> Iterator[tuple[AttentionPoint, Tensor]]:
    """The modules that lose heads, with the channels that go."""
    if mask.space != HeadSpace.of(model):
        raise ValueError(f"the mask is over {len(mask.space)} heads, the model has {len(HeadSpace.of(model))}")
    for point, keep in _by_module(model, torch.tensor(mask.keep)):
        if not keep.all():
            yield point, head_channels(point, keep.eq(0).nonzero().flatten().tolist())


def _by_module(model: nn.Module, values: Tensor) -> Iterator[tuple[AttentionPoint, Tensor]]:
    """The modules with heads, each with its own of N values, as views."""
    points = [point for point in attention_points(model) if point.indices]
    yield from zip(points, values.split([len(point.indices) for point in points]), strict=True)
