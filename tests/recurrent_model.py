"""A tiny language model with a memory, for what trains and evaluates along streams: h_t = tanh(E x_t + W h_{t-1}).

Its memory is exact: any way of cutting a row into segments gives the same probabilities.
"""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import headprune.models.compat  # noqa: F401

import torch
import torch.nn.functional as F
from fairseq.data import Dictionary
from fairseq.models import FairseqDecoder, FairseqLanguageModel, register_model, register_model_architecture
from fairseq.modules import AdaptiveSoftmax
from torch import Tensor, nn

ARCHITECTURE = "tiny_recurrent_lm"


class RecurrentDecoder(FairseqDecoder):
    def __init__(self, words: Dictionary, width: int, dropout: float, cutoff: list[int] | None) -> None:
        super().__init__(words)
        self.embedding = nn.Embedding(len(words), width)
        self.recurrence = nn.Linear(width, width)
        self.dropout = dropout
        self.adaptive_softmax = None
        if cutoff:
            self.adaptive_softmax = AdaptiveSoftmax(len(words), width, cutoff, dropout=0.0, factor=2.0)
        else:
            self.output = nn.Linear(width, len(words))
        self.memories: dict[bool, Tensor | None] = {True: None, False: None}

    def forward(self, src_tokens: Tensor, start: bool = False, **unused: Any) -> tuple[Tensor, None]:
        """(batch, tgt) tokens → logits (batch, tgt, vocabulary), or hidden states for the adaptive softmax."""
        state = self.memories[self.training]
        if start or state is None or len(state) != len(src_tokens):
            state = self.embedding.weight.new_zeros(len(src_tokens), self.recurrence.in_features)
        inputs = F.dropout(self.embedding(src_tokens), self.dropout, self.training)
        states = []
        for column in inputs.unbind(1):
            state = torch.tanh(column + self.recurrence(state))
            states.append(state)
        self.memories[self.training] = state.detach()
        hidden = torch.stack(states, 1)
        return (hidden if self.adaptive_softmax is not None else self.output(hidden)), None

    def max_positions(self) -> int:
        return 10**6


@register_model(ARCHITECTURE)
class RecurrentLanguageModel(FairseqLanguageModel):
    """`penalty` is that of a gate method: its product with Σ recurrence²."""

    penalty = 0.0

    @staticmethod
    def add_args(parser: Any) -> None:
        parser.add_argument("--width", type=int)
        parser.add_argument("--dropout", type=float)
        parser.add_argument("--penalty", type=float)
        parser.add_argument("--adaptive", type=str)

    @classmethod
    def build_model(cls, args: Namespace, task: Any) -> RecurrentLanguageModel:
        recurrent(args)
        cutoff = [int(number) for number in filter(None, args.adaptive.split(","))]
        model = cls(RecurrentDecoder(task.source_dictionary, args.width, args.dropout, cutoff))
        model.penalty = args.penalty
        return model

    def forward(self, src_tokens: Tensor, start: bool = False, **unused: Any) -> Any:
        return self.decoder(src_tokens, start=start)

    def training_memory(self) -> list[Tensor] | None:
        memory = self.decoder.memories[True]
        return None if memory is None else [memory]

    def restore_training_memory(self, memory: list[Tensor]) -> None:
        (self.decoder.memories[True],) = memory

    def gate_penalty(self) -> Tensor:
        return self.penalty * self.decoder.recurrence.weight.square().sum()


@register_model_architecture(ARCHITECTURE, ARCHITECTURE)
def recurrent(args: Namespace) -> None:
    for name, default in (("width", 12), ("dropout", 0.0), ("penalty", 0.0), ("adaptive", "")):
        if getattr(args, name, None) is None:
            setattr(args, name, default)
