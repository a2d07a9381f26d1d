"""The attention module of All-Attention: heads over context and persistent vectors."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from fairseq.modules.fairseq_dropout import FairseqDropout
from torch import Tensor, nn

from headprune.models import native
from headprune.models.all_attention.kernels import Keys, Queries, attend, by_key, mixed, probabilities
from headprune.models.lean_attention import dropped_share
from headprune.models.native.all_attention import Attended


class Past(NamedTuple):
    """The past of a segment: keys and values of the memory, and positions, a matter of weights alone."""

    keys: Tensor  # (memory, batch, model)
    values: Tensor  # likewise
    positions: Tensor  # W_R ρ from the largest distance to 0 (memory + 1, model)

    def latest(self, length: int) -> Past:
        start = len(self.keys) - length
        return self._replace(keys=self.keys[start:], values=self.values[start:])


class AllAttention(nn.Module):
    """Multi-head attention with relative positions and persistent vectors (Shim et al. 2021, without gates).

    Every parameter but the output bias belongs to one head; `head_tensors` says along which dimension. Removing heads
    leaves the width of a head and all scales as they are.
    """

    head_tensors: ClassVar[dict[str, int]] = {
        "q_proj.weight": 0,
        "k_proj.weight": 0,
        "v_proj.weight": 0,
        "r_proj.weight": 0,
        "content_bias": 0,
        "position_bias": 0,
        "persistent_keys": 0,
        "persistent_values": 0,
        "out_proj.weight": 1,
    }

    def __init__(self, width: int, heads: int, persistent: int, dropout: float) -> None:
        super().__init__()
        self.num_heads, self.embed_dim, self.head_dim = heads, width, width // heads
        self.scaling = self.head_dim**-0.5
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.r_proj = nn.Linear(width, width, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(heads, self.head_dim))  # u
        self.position_bias = nn.Parameter(torch.zeros(heads, self.head_dim))  # w
        self.persistent_keys = nn.Parameter(torch.zeros(heads, persistent, self.head_dim))
        self.persistent_values = nn.Parameter(torch.zeros(heads, persistent, self.head_dim))
        self.out_proj = nn.Linear(width, width)
        self.dropout_module = FairseqDropout(dropout, module_name=self.__class__.__name__)
        self.skip_embed_dim_check = False  # means something to fairseq's attention only; all gate points have it

    def forward(
        self, query: Tensor, context: Tensor, distances: Tensor, past: Past | None = None
    ) -> tuple[Tensor, Past]:
        """
        :param query: normalised hidden states of the segment [tgt, batch, model]
        :param context: those of memory and segment [memory + tgt, batch, model]; of the segment alone beside `past`
        :param distances: rows of the table of relative positions for the distances 0…memory [memory + 1, model]
        :param past: what these weights made of the memory and of `distances`, if it is known
        :returns: the output [tgt, batch, model], and the same of memory and segment
        """
        queries, keys, values = self.q_proj(query), self.k_proj(context), self.v_proj(context)
        if past is not None:
            keys, values = torch.cat([past.keys, keys]), torch.cat([past.values, values])
        own = Past(keys, values, self.r_proj(distances.flip(0)) if past is None else past.positions)
        return self.out_proj(self._contexts(queries, own)), own

    def _contexts(self, queries: Tensor, seen: Past) -> Tensor:
        """In C where that is possible; in one piece when somebody listens at `dropout_module`, where all probabilities
        pass; otherwise block by block.

        :returns: [tgt, batch, model], as the queries are
        """
        dropout = dropped_share(self.dropout_module)
        listened = self.dropout_module._forward_pre_hooks or self.dropout_module._forward_hooks
        if not listened and native.all_attention.available(queries, self.head_dim):
            own = self.persistent_keys, self.persistent_values, self.content_bias, self.position_bias
            return native.all_attention.contexts(queries, Attended(*seen, *own), dropout)
        asking, asked = self._queries(queries), self._keys(seen)
        found = self._probed(asking, asked) if listened else attend(asking, asked, dropout)
        return found.permute(2, 1, 0, 3).flatten(2)

    def _probed(self, queries: Queries, keys: Keys) -> Tensor:
        weights = by_key(probabilities(queries, keys), queries.content.shape[2], keys.keys.shape[2])
        weights = self.dropout_module(weights.transpose(0, 1))  # (batch, heads, tgt, memory + tgt + persistent)
        return mixed(weights.transpose(0, 1), keys)

    def _queries(self, queries: Tensor) -> Queries:
        """The three roles of [tgt, batch, model] queries."""
        split = self._by_head(queries)
        return Queries(
            (split + self.content_bias[:, None, None]) * self.scaling,
            (split + self.position_bias[:, None, None]) * self.scaling,
            split,
        )

    def _keys(self, seen: Past) -> Keys:
        positions = seen.positions.unflatten(-1, (self.num_heads, -1)).transpose(0, 1).contiguous()
        persistent = self.persistent_keys.to(positions), self.persistent_values.to(positions)
        return Keys(self._by_head(seen.keys), self._by_head(seen.values), positions, *persistent)

    def _by_head(self, states: Tensor) -> Tensor:
        """(positions, batch, heads · head_dim) → (heads, batch, positions, head_dim), contiguous."""
        return states.unflatten(-1, (self.num_heads, -1)).permute(2, 1, 0, 3).contiguous()
