"""Gate points: where a number per head multiplies the head's context, before the output projection.

    MHA(x) = Σ_h m_h · C_h W_O^h + b_O          (docs/theory/notation.md#gate-placement)

`install` turns the output projection of every attention module into a `GatedProjection`, which shares weight and bias
(the state dict keeps its keys) and works on every path: training, evaluation, incremental decoding, beam search. A
gate of all ones is left out of the computation, so an ungated model costs and computes what it did before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from headprune.heads import AttentionPoint, HeadMask, HeadSpace, attention_points


class GatedProjection(nn.Linear):
    """An output projection whose input, the heads' contexts, is multiplied by a gate per head.

    `gate` is None (all ones), or a tensor that broadcasts to (tgt, batch, heads): (heads,) for one mask,
    (batch, heads) for one mask per example. While `probes` is a list, every forward pass appends its gate, expanded to
    (tgt, batch, heads) as a leaf that requires grad: the derivative of the loss in every single gate.
    """

    gate: Tensor | None
    probes: list[Tensor] | None
    num_heads: int

    @classmethod
    def of(cls, linear: nn.Linear, num_heads: int) -> GatedProjection:
        """Takes over the parameters of `linear`, and the hooks and attributes set on it.

        :returns: a projection with the very parameters of `linear`, its gate open
        """
        gated = cls.__new__(cls)
        gated.__dict__.update(linear.__dict__)
        gated.num_heads, gated.gate, gated.probes = num_heads, None, None
        return gated

    def __getstate__(self) -> dict[str, Any]:
        """The state that is copied or saved: sampled gates as values, without their graph; no probes."""
        gate = None if self.gate is None else self.gate.detach().clone()
        return self.__dict__ | {"gate": gate, "probes": None}

    def forward(self, context: Tensor) -> Tensor:
        """Project the gated heads.

        :param context: concatenated heads [tgt, batch, heads · head_dim]
        :returns: [tgt, batch, model]
        """
        if self.gate is None and self.probes is None:
            return super().forward(context)
        split = context.unflatten(-1, (self.num_heads, -1))  # (tgt, batch, heads, head_dim)
        if self.gate is None:
            gate = split.new_ones(self.num_heads)
        else:
            gate = self.gate.to(device=split.device, dtype=split.dtype)
        if self.probes is not None:
            gate = gate.detach().expand(split.shape[:-1]).clone().requires_grad_()
            self.probes.append(gate)
        return super().forward((split * gate.unsqueeze(-1)).flatten(-2))


def install(model: nn.Module) -> list[AttentionPoint]:
    """Puts a gate point into every attention module that lacks one; returns the modules in head-space order."""
    points = attention_points(model)
    for point in points:
        attention = point.module
        if point.indices and not isinstance(attention.out_proj, GatedProjection):
            attention.out_proj = GatedProjection.of(attention.out_proj, attention.num_heads)
    return points


def call_projections(points: list[AttentionPoint], always: bool) -> None:
    """Makes fairseq's attention call its output projection (`always`), or lets it choose as the stock model does.

    Its fast path reads `out_proj.weight` and never calls the projection; skipping the width check, which pruned modules
    need anyway, sends it through its own path. The two differ by rounding, so a model without gates and with all its
    heads stays on the stock path, bit for bit, and all modules of a gated or pruned model take the other.
    """
    for point in points:
        if point.indices:
            point.module.skip_embed_dim_check = always or hasattr(point.module, "head_indices")


def set_gates(model: nn.Module, gates: Tensor | None) -> None:
    """Multiplies every head's context by its gate, until the next call; None takes all gates away.

    :param gates: (N,) or one row per example (batch, N), in head-space order; differentiable
    :raises ValueError: the last dimension is not the number of heads of the model.
    """
    points = install(model)
    total = sum(len(point.indices) for point in points)
    if gates is not None and gates.shape[-1] != total:
        raise ValueError(f"{gates.shape[-1]} gates for a model with {total} heads")
    call_projections(points, always=gates is not None)
    set_module_gates(points, gates)


def set_module_gates(points: Sequence[AttentionPoint], gates: Tensor | None) -> None:
    """Set the gates of these modules alone, whose path is not changed; otherwise as `set_gates`.

    :param gates: of the heads of these modules, one module after the other
    """
    start = 0
    for point in points:
        end = start + len(point.indices)
        if point.indices:
            point.module.out_proj.gate = None if gates is None else gates[..., start:end]
        start = end


def set_mask(model: nn.Module, mask: HeadMask) -> None:
    """Silences the heads that `mask` drops, on every path of the model, until `clear_mask`.

    :raises ValueError: the mask is over another head space than the model's.
    """
    space = HeadSpace.of(model)
    if mask.space != space:
        raise ValueError(
            f"the mask is over {len(mask.space)} heads ({mask.space.names[:1]}…), "
            f"the model has {len(space)} ({space.names[:1]}…): a mask of another model"
        )
    set_gates(model, None if mask.count == len(space) else torch.tensor(mask.keep, dtype=torch.float32))


def clear_mask(model: nn.Module) -> None:
    """Opens all gates."""
    set_gates(model, None)


@contextmanager
def masked(model: nn.Module, mask: HeadMask) -> Iterator[None]:
    """Within the context the heads that `mask` drops are silent; all gates are open after it.

    :raises ValueError: see `set_mask`.
    """
    set_mask(model, mask)
    try:
        yield
    finally:
        clear_mask(model)


@contextmanager
def probing(model: nn.Module) -> Iterator[list[AttentionPoint]]:
    """Within the context every gate point records its gates as leaves (see `GatedProjection.probes`)."""
    points = [point for point in install(model) if point.indices]
    call_projections(points, always=True)
    for point in points:
        point.module.out_proj.probes = []
    try:
        yield points
    finally:
        for point in points:
            point.module.out_proj.probes = None
        call_projections(points, always=any(point.module.out_proj.gate is not None for point in points))


def head_blocks(attention: Any) -> dict[str, Tensor]:
    """The weights of one attention module by head: q, k, v (heads, head_dim, input), o (heads, head_dim, model)."""
    heads = attention.num_heads
    blocks = {name: getattr(attention, f"{name}_proj").weight.unflatten(0, (heads, -1)) for name in ("q", "k", "v")}
    return blocks | {"o": attention.out_proj.weight.t().unflatten(0, (heads, -1))}
