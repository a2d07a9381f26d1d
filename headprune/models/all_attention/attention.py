"""The attention module of All-Attention: heads over context and persistent vectors."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from fairseq.modules.fairseq_dropout import FairseqDropout
from torch import Tensor, nn

from headprune.models.all_attention.kernels import Keys, Queries, attend, by_key, mixed, probabilities


class Past(NamedTuple):
    """The past of a segment: keys and values of the memory, and positions, a matter of weights alone."""

    keys: Tensor  # (heads, batch, memory, head_dim)
    values: Tensor  # likewise
    positions: Tensor  # W_R ρ from the largest distance to 0 (heads, memory + 1, head_dim)

    def latest(self, length: int) -> Past:
        start = self.keys.shape[2] - length
        return self._replace(keys=self.keys[:, :, start:], values=self.values[:, :, start:])


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
        queries = self._by_head(self.q_proj(query))  # (heads, batch, tgt, head_dim)
        keys, values = self._by_head(self.k_proj(context)), self._by_head(self.v_proj(context))
        if past is not None:
            keys, values = torch.cat([past.keys, keys], dim=2), torch.cat([past.values, values], dim=2)
        own = Past(keys, values, self._positions(distances) if past is None else past.positions)
        asking = Queries(
            (queries + self.content_bias[:, None, None]) * self.scaling,
            (queries + self.position_bias[:, None, None]) * self.scaling,
            queries,
        )
        asked = Keys(*own, self.persistent_keys.to(queries), self.persistent_values.to(queries))
        contexts = self._contexts(asking, asked)  # (heads, batch, tgt, head_dim)
        return self.out_proj(contexts.permute(2, 1, 0, 3).flatten(2)), own

    def _contexts(self, queries: Queries, keys: Keys) -> Tensor:
        """Block by block; in one piece when somebody listens at `dropout_module`, where all probabilities pass."""
        dropout = self.dropout_module
        if not (dropout._forward_pre_hooks or dropout._forward_hooks):
            return attend(queries, keys, dropout.p if dropout.training or dropout.apply_during_inference else 0.0)
        weights = by_key(probabilities(queries, keys), queries.content.shape[2], keys.keys.shape[2])
        weights = dropout(weights.transpose(0, 1))  # (batch, heads, tgt, memory + tgt + persistent)
        return mixed(weights.transpose(0, 1), keys)

    def _positions(self, distances: Tensor) -> Tensor:
        """W_R ρ from the largest distance to 0 (heads, memory + 1, head_dim)."""
        return self.r_proj(distances.flip(0)).unflatten(-1, (self.num_heads, -1)).transpose(0, 1).contiguous()

    def _by_head(self, states: Tensor) -> Tensor:
        """(positions, batch, heads · head_dim) → (heads, batch, positions, head_dim), contiguous."""
        return states.unflatten(-1, (self.num_heads, -1)).permute(2, 1, 0, 3).contiguous()
