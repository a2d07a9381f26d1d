"""One block: pre-norm attention, and a feed-forward layer in the Transformer-XL of equal size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from fairseq.modules.fairseq_dropout import FairseqDropout
from torch import Tensor, nn

from headprune.models.all_attention.architecture import AllAttentionConfig
from headprune.models.all_attention.attention import AllAttention
from headprune.models.all_attention.memory import LayerMemory
from headprune.models.lean_attention import dropped


class FeedForward(nn.Module):
    """LN, d → F, ReLU, F → d."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, states: Tensor) -> Tensor:
        """
        :param states: [tgt, batch, model]
        :returns: what is added to them, of the same shape
        """
        return self.fc2(F.relu(self.fc1(self.norm(states))))  # type: ignore[no-any-return]


class Block(nn.Module):
    """h' = h + Dropout(AllAttention(LN(h), LN(concat(mem, h)))); with a feed-forward layer h' + Dropout(FFN(h'))."""

    def __init__(self, architecture: AllAttentionConfig) -> None:
        super().__init__()
        a = architecture
        self.norm = nn.LayerNorm(a.width)
        self.self_attn = AllAttention(a.width, a.heads, a.persistent, a.attention_dropout)
        self.feed_forward = FeedForward(a.width, a.ffn_dim) if a.ffn_dim else None
        self.dropout_module = FairseqDropout(a.dropout, module_name=self.__class__.__name__)

    def remembered(self) -> list[Tensor]:
        """The weights that what is kept beside the states of a memory depends on."""
        attention = self.self_attn
        projections = [getattr(attention, f"{name}_proj", None) for name in "kvr"]  # none without heads
        return [*self.norm.parameters(), *(p for each in projections if each is not None for p in each.parameters())]

    def forward(self, states: Tensor, memory: LayerMemory, distances: Tensor) -> tuple[Tensor, LayerMemory]:
        """
        :param states: [tgt, batch, model]
        :param memory: its `past`, if any, is of the weights as they are
        :param distances: see `AllAttention`
        :returns: the block's output, and the memory for the next segment
        """
        keeps = not (self.training or torch.is_grad_enabled())
        past = memory.past if keeps else None
        whole = torch.cat([memory.states, states])
        context = self.norm(whole if past is None else states)
        attended, present = self.self_attn(context[-len(states) :], context, distances, past)
        output = states + dropped(self.dropout_module, attended)
        if self.feed_forward is not None:
            output = output + dropped(self.dropout_module, self.feed_forward(output))
        return output, memory.followed_by(whole, present if keeps else None)
