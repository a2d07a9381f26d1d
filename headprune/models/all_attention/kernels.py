"""Attention over context and persistent vectors in one softmax, for heads of one layer: pure functions of tensors.

A query at time t of a segment of T sees the M + 1 keys t…t+M of the S = M + T keys (itself and M predecessors), and all
N persistent vectors (Shim et al. 2021; Sukhbaatar et al. 2019; Transformer-XL for the positions). With δ = t + M − j:

    s_tj = (q_t + u)·k_j + (q_t + w)·r_δ        s_tn = q_t · P^K_n
    o_t  = Σ_j a_tj v_j + √N Σ_n a_tn P^V_n      a = dropout(softmax over both parts together)

Probabilities are laid out by distance, not by key: column i < M + 1 of a row is the key t + i, a diagonal band of the
products of queries and keys, which needs neither a mask nor a shift of positions; the persistent columns follow.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 1 << 18  # elements of a block of probabilities on the CPU: small enough for its cache
STEPS = 1 << 16  # dropout draws 16 bits an element


class Queries(NamedTuple):
    """The three roles of a query, (heads, batch, tgt, head_dim) each; the first two carry the softmax scale."""

    content: Tensor  # (q + u) / √d_h
    position: Tensor  # (q + w) / √d_h
    persistent: Tensor  # q


class Keys(NamedTuple):
    """Keys and values (heads, batch, src, head_dim) that queries meet, positions (heads, memory + 1, head_dim) from the
    largest distance to 0, persistent keys and values (heads, persistent, head_dim) without their scale."""

    keys: Tensor
    values: Tensor
    positions: Tensor
    persistent_keys: Tensor
    persistent_values: Tensor


def band(products: Tensor, width: int) -> Tensor:
    """The view (batch, tgt, width) of entries (t, t + i), i < width, of contiguous products (batch, tgt, src)."""
    batch, tgt, src = products.shape
    return products.as_strided((batch, tgt, width), (tgt * src, src + 1, 1), products.storage_offset())


def probabilities(queries: Queries, keys: Keys) -> Tensor:
    """Attention probabilities in plain operations, which autograd follows.

    :returns: (heads, batch, tgt, memory + 1 + persistent), at least fp32
    """
    context = _float(queries.content @ keys.keys.transpose(-1, -2)).contiguous()  # (heads, batch, tgt, src)
    positions = queries.position @ keys.positions.transpose(-1, -2).unsqueeze(1)
    rows = band(context.flatten(0, 1), positions.shape[-1]).unflatten(0, context.shape[:2])
    persistent = queries.persistent @ keys.persistent_keys.transpose(-1, -2).unsqueeze(1)
    return torch.cat([rows + _float(positions), _float(persistent)], dim=-1).softmax(-1)


def by_key(probabilities: Tensor, tgt: int, src: int) -> Tensor:
    """Probabilities by distance as probabilities by key, 0 outside the band: (…, tgt, src + persistent)."""
    width = src - tgt + 1
    leading = probabilities.shape[:-2]
    spread = probabilities.new_zeros(leading.numel(), tgt, src)
    band(spread, width).copy_(probabilities[..., :width].reshape(-1, tgt, width))
    return torch.cat([spread.unflatten(0, leading), probabilities[..., width:]], dim=-1)


def mixed(weights: Tensor, keys: Keys) -> Tensor:
    """Σ_j a_tj v_j + √N Σ_n a_tn P^V_n of weights as `by_key` gives them: (heads, batch, tgt, head_dim)."""
    src, number = keys.values.shape[2], keys.persistent_values.shape[1]
    weights = weights.to(keys.values)
    context = weights[..., :src] @ keys.values
    return context + number**0.5 * (weights[..., src:] @ keys.persistent_values.unsqueeze(1))


def attend(queries: Queries, keys: Keys, dropout: float = 0.0) -> Tensor:
    """The contexts of the heads (heads, batch, tgt, head_dim), block by block, in place wherever that is possible.

    Differentiable once.

    :param dropout: of the probabilities, to the nearest 1/65536
    """
    tensors = [tensor.contiguous() for tensor in (*queries, *keys)]
    wanted = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    return _Attend.apply(dropout, wanted, *tensors)  # type: ignore[no-any-return, no-untyped-call]


class _Attend(torch.autograd.Function):
    """Keeps the probabilities for the backward pass, a dropped one as its negative, and nothing else of their size."""

    @staticmethod
    def forward(ctx: Any, dropout: float, wanted: bool, *tensors: Tensor) -> Tensor:
        queries, keys = Queries(*tensors[:3]), Keys(*tensors[3:])
        heads, batch, tgt, _ = queries.content.shape
        drops = round(dropout * STEPS)
        out = torch.empty_like(queries.content)
        block = _Block.like(queries, keys)
        columns = block.width + block.number
        kept = out.new_empty(heads, batch, tgt, columns, dtype=_float(out[:0]).dtype) if wanted else None
        for head, rows in block.parts(heads, batch):
            logits, part = block.logits(rows), _part(keys, head, rows)
            block.score(logits, _part(queries, head, rows), part)
            weights = torch.softmax(logits, -1, out=block.spare(rows) if kept is None else kept[head, rows])
            if drops:
                _drop(weights, drops, block.noise(rows))
                weights = torch.clamp_min(weights, 0, out=logits)
            block.mix(weights, part, out[head, rows])
        if drops:
            out.mul_(STEPS / (STEPS - drops))
        if wanted:
            ctx.save_for_backward(*tensors, kept)
            ctx.drops = drops
        return out

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, kept = ctx.saved_tensors
        queries, keys = Queries(*tensors[:3]), Keys(*tensors[3:])
        heads, batch = queries.content.shape[:2]
        into = [torch.zeros_like(tensor) for tensor in tensors]
        d_queries, d_keys = Queries(*into[:3]), Keys(*into[3:])
        gradient = (gradient * (STEPS / (STEPS - ctx.drops))).contiguous()
        block = _Block.like(queries, keys)
        for head, rows in block.parts(heads, batch):
            own, d_out = kept[head, rows], gradient[head, rows]
            d_logits, spare = block.logits(rows), block.spare(rows)
            weights = torch.clamp_min(own, 0, out=spare) if ctx.drops else own
            part, d_part = _part(keys, head, rows), _part(d_keys, head, rows)
            block.unmix(d_logits, weights, d_out, part, d_part)
            if ctx.drops:
                torch.ops.aten.threshold_backward.grad_input(d_logits, own, 0, grad_input=d_logits)
                own = torch.abs(own, out=spare)
            d_logits = torch._softmax_backward_data(d_logits, own, -1, d_logits.dtype)
            block.unscore(d_logits, _part(queries, head, rows), part, _part(d_queries, head, rows), d_part)
        return None, None, *into


class _Block:
    """Scratch space of one block, some batch rows of one head, and the products that fill it."""

    def __init__(self, rows: int, tgt: int, src: int, width: int, persistent: int, like: Tensor) -> None:
        self.rows, self.width, self.number = rows, width, persistent
        columns = width + persistent
        dtype = _float(like[:0]).dtype
        self._logits, self._spare = like.new_empty(2, rows, tgt, columns, dtype=dtype).unbind(0)
        self._spread = like.new_zeros(rows, tgt, src)  # zero outside the band, always
        self._products = like.new_empty(rows, tgt, src)
        self._noise: Tensor | None = None

    @classmethod
    def like(cls, queries: Queries, keys: Keys) -> _Block:
        _, batch, tgt, _ = queries.content.shape
        width, number = keys.positions.shape[1], keys.persistent_keys.shape[1]
        rows = batch
        if queries.content.device.type == "cpu":
            rows = min(batch, max(1, CHUNK * torch.get_num_threads() // (tgt * (width + number))))
        return cls(rows, tgt, keys.keys.shape[2], width, number, queries.content)

    def parts(self, heads: int, batch: int) -> list[tuple[int, slice]]:
        """Head and batch rows of every block."""
        starts = range(0, batch, self.rows)
        return [(head, slice(start, min(start + self.rows, batch))) for head in range(heads) for start in starts]

    def logits(self, rows: slice) -> Tensor:
        return self._logits[: rows.stop - rows.start]

    def spare(self, rows: slice) -> Tensor:
        return self._spare[: rows.stop - rows.start]

    def noise(self, rows: slice) -> Tensor:
        """Random bits for one block, 16 an element (flat)."""
        elements = self.logits(rows).numel()
        if self._noise is None:
            self._noise = torch.empty(self._logits.numel() // 4 + 1, dtype=torch.int64, device=self._logits.device)
        return self._noise[: elements // 4 + 1].random_(-(2**63), None).view(torch.int16)[:elements]

    def score(self, logits: Tensor, queries: Queries, keys: Keys) -> None:
        """Writes the logits of one block."""
        products = torch.bmm(queries.content, keys.keys.transpose(1, 2), out=self._products[: len(logits)])
        context, number = logits[..., : self.width], self.number
        context.copy_(band(products, self.width))
        self._add(_rows(context), _rows(queries.position), keys.positions.t(), 1)
        if number:
            self._add(_rows(logits[..., self.width :]), _rows(queries.persistent), keys.persistent_keys.t(), 0)

    def mix(self, weights: Tensor, keys: Keys, out: Tensor) -> None:
        """Writes the contexts of one block."""
        spread = self._spread[: len(weights)]
        band(spread, self.width).copy_(weights[..., : self.width])
        out.copy_(torch.bmm(spread, keys.values))
        if self.number:
            persistent = _rows(weights[..., self.width :])
            self._add(_rows(out), persistent, keys.persistent_values, 1, self.number**0.5)

    def unmix(self, d_weights: Tensor, weights: Tensor, d_out: Tensor, keys: Keys, d_keys: Keys) -> None:
        """Writes the gradient of the weights, adds to those of values and persistent values."""
        products = torch.bmm(d_out, keys.values.transpose(1, 2), out=self._products[: len(d_out)])
        d_weights[..., : self.width].copy_(band(products, self.width))
        spread = self._spread[: len(d_out)]
        band(spread, self.width).copy_(weights[..., : self.width])
        d_keys.values.copy_(torch.bmm(spread.transpose(1, 2), d_out))
        if self.number:
            scale, flat = self.number**0.5, _rows(d_out)
            self._add(_rows(d_weights[..., self.width :]), flat, keys.persistent_values.t(), 0, scale)
            self._add(d_keys.persistent_values, _rows(weights[..., self.width :]).t(), flat, 1, scale)

    def unscore(self, d_logits: Tensor, queries: Queries, keys: Keys, d_queries: Queries, d_keys: Keys) -> None:
        """Writes the gradients of queries and keys, adds to those of positions and persistent keys."""
        context = d_logits[..., : self.width]
        spread = self._spread[: len(d_logits)]
        band(spread, self.width).copy_(context)
        d_queries.content.copy_(torch.bmm(spread, keys.keys))
        d_keys.keys.copy_(torch.bmm(spread.transpose(1, 2), queries.content))
        flat = _rows(context)
        self._add(_rows(d_queries.position), flat, keys.positions, 0)
        self._add(d_keys.positions, flat.t(), _rows(queries.position), 1)
        if self.number:
            flat = _rows(d_logits[..., self.width :])
            self._add(_rows(d_queries.persistent), flat, keys.persistent_keys, 0)
            self._add(d_keys.persistent_keys, flat.t(), _rows(queries.persistent), 1)

    @staticmethod
    def _add(out: Tensor, left: Tensor, right: Tensor, beta: int, alpha: float = 1.0) -> None:
        """out = beta · out + alpha · left @ right, in the type of `out`."""
        if left.dtype == right.dtype == out.dtype:
            torch.addmm(out, left, right, beta=beta, alpha=alpha, out=out)
        else:
            product = left.to(right.dtype) @ right.to(right.dtype)
            out.mul_(beta).add_(product, alpha=alpha) if beta else out.copy_(product).mul_(alpha)


def _part(group: Any, head: int, rows: slice) -> Any:
    """One head of every tensor of a group; and of those that have a batch, these rows."""
    return type(group)(*(t[head, rows] if t.dim() == 4 else t[head] for t in group))


def _rows(tensor: Tensor) -> Tensor:
    """(batch, tgt, n) → (batch · tgt, n), a view."""
    return tensor.view(-1, tensor.shape[-1])


def _drop(weights: Tensor, drops: int, noise: Tensor) -> None:
    """Makes each weight negative with probability drops / 65536."""
    signs = noise.to(weights.dtype).add_(STEPS // 2 - drops)
    torch.copysign(weights, signs.view_as(weights), out=weights)


def _float(tensor: Tensor) -> Tensor:
    """Logits and probabilities are fp32 at least."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
