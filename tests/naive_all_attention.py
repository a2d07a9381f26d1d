"""All-attention written down from its equations, twice: with loops, and with whole tensors as a textbook would.

Both read the parameters of an `AllAttention` and are otherwise independent of it.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from headprune.models.all_attention.attention import AllAttention


def looped(attention: Any, query: Tensor, context: Tensor, table: Tensor, persistent: bool = True) -> Tensor:
    """Loops over rows, heads, positions and keys; no dropout, no gates.

    :param query: [tgt, batch, model]
    :param context: [memory + tgt, batch, model]
    :param table: relative positions, row δ for the distance δ
    :param persistent: False: as if all persistent logits were −∞
    :returns: [tgt, batch, model]
    """
    tgt, batch, _ = query.shape
    memory, width = len(context) - tgt, attention.head_dim
    output = torch.zeros(tgt, batch, attention.out_proj.out_features, dtype=query.dtype)
    for b in range(batch):
        for i in range(attention.num_heads):
            rows = slice(i * width, (i + 1) * width)
            w_q, w_k, w_v, w_r = (getattr(attention, f"{name}_proj").weight[rows] for name in "qkvr")
            u, w = attention.content_bias[i], attention.position_bias[i]
            for t in range(tgt):
                q = w_q @ query[t, b]
                logits, values = [], []
                for j in range(len(context)):
                    distance = t + memory - j
                    if not 0 <= distance <= memory:
                        continue
                    k, v, r = w_k @ context[j, b], w_v @ context[j, b], w_r @ table[distance]
                    logits.append(((q + u) @ k + (q + w) @ r) / math.sqrt(width))
                    values.append(v)
                for n in range(attention.persistent_keys.shape[1] if persistent else 0):
                    key = math.sqrt(width) * attention.persistent_keys[i, n]
                    logits.append(q @ key / math.sqrt(width))
                    values.append(math.sqrt(attention.persistent_keys.shape[1]) * attention.persistent_values[i, n])
                weights = torch.stack(logits).softmax(0)
                head = sum(weight * value for weight, value in zip(weights, values, strict=True))
                output[t, b] += attention.out_proj.weight[:, rows] @ head
    return output + attention.out_proj.bias


def vectorised(attention: Any, query: Tensor, context: Tensor, table: Tensor, dropout: float = 0.0) -> Tensor:
    """Whole matrices of scores, gathered positions, a mask, copies of the persistent tables for every row.

    Arguments and result as `looped`; `dropout` of the probabilities.
    """
    tgt, batch, _ = query.shape
    src, heads, width = len(context), attention.num_heads, attention.head_dim
    memory = src - tgt

    def split(states: Tensor) -> Tensor:  # (batch, heads, positions, width)
        return states.view(len(states), -1, heads, width).permute(1, 2, 0, 3)

    q, k, v = split(attention.q_proj(query)), split(attention.k_proj(context)), split(attention.v_proj(context))
    offsets = torch.arange(tgt).unsqueeze(1) + memory - torch.arange(src).unsqueeze(0)  # (tgt, src)
    visible = (offsets >= 0) & (offsets <= memory)
    table = F.pad(table[:src], (0, 0, 0, max(0, src - len(table))))  # nobody sees what is farther away
    positions = split(attention.r_proj(table.unsqueeze(1)))
    content = (q + attention.content_bias.unsqueeze(1)) @ k.transpose(-1, -2)
    by_distance = (q + attention.position_bias.unsqueeze(1)) @ positions.transpose(-1, -2)  # (batch, heads, tgt, src)
    index = offsets.clamp(0, src - 1).expand(batch, heads, tgt, src)
    scores = (content + by_distance.gather(-1, index)).masked_fill(~visible, float("-inf"))
    number = attention.persistent_keys.shape[1]
    keys = (attention.persistent_keys * math.sqrt(width)).unsqueeze(0).repeat(batch, 1, 1, 1)
    values = (attention.persistent_values * math.sqrt(number)).unsqueeze(0).repeat(batch, 1, 1, 1)
    logits = torch.cat([scores, q @ keys.transpose(-1, -2)], dim=-1) / math.sqrt(width)
    weights = F.dropout(logits.softmax(-1), dropout)
    heads_out = weights @ torch.cat([v, values], dim=2)  # (batch, heads, tgt, width)
    return attention.out_proj(heads_out.permute(2, 0, 1, 3).flatten(2))  # type: ignore[no-any-return]


class NaiveAllAttention(AllAttention):
    """`vectorised` in the place of the module."""

    def forward(self, query: Tensor, context: Tensor, distances: Tensor, past: Any = None) -> tuple[Tensor, Any]:
        dropout = self.dropout_module.p if self.training else 0.0
        return vectorised(self, query, context, distances, dropout), None
