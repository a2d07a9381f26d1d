"""The decoder: embeddings, blocks with memory, output layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import torch
from fairseq.models import FairseqDecoder
from fairseq.modules import AdaptiveSoftmax
from fairseq.modules.fairseq_dropout import FairseqDropout
from torch import Tensor, nn

from headprune.models.all_attention.architecture import AllAttentionConfig
from headprune.models.all_attention.embedding import adaptive_softmax, token_embedding, word_scales
from headprune.models.all_attention.initialisation import initialise
from headprune.models.all_attention.layer import Block
from headprune.models.all_attention.memory import Copies, LayerMemory, empty_memory, fits
from headprune.models.lean_attention import dropped

_still: WeakSet[nn.Module] = WeakSet()  # copies of a decoder are not among them


@contextmanager
def standing_still(*models: nn.Module) -> Iterator[None]:
    """Within the context nobody writes to the weights of these models, the caller vouches: what they made of a memory
    holds without a look at them, which takes time where a segment is a single token."""
    decoders = [module for model in models for module in model.modules() if isinstance(module, AllAttentionDecoder)]
    for decoder in decoders:
        decoder._weights = None
        _still.add(decoder)
    try:
        yield
    finally:
        for decoder in decoders:
            _still.discard(decoder)


class AllAttentionDecoder(FairseqDecoder):
    """Reads a stream in segments. What it remembers of earlier ones is no part of its state dict.

    Training and evaluation have a memory each, so that validation within an epoch leaves that of training alone. A
    memory of zeros starts when a segment comes with `start`, or with another batch size, dtype or device than before.
    """

    def __init__(self, architecture: AllAttentionConfig, dictionary: Any) -> None:
        super().__init__(dictionary)
        a = self.architecture = architecture
        self.embed_tokens = token_embedding(a, dictionary)
        self.distances = nn.Embedding(a.max_relative, a.width)
        self.layers = nn.ModuleList([Block(a) for _ in range(a.layers)])
        self.final_norm = nn.LayerNorm(a.width) if a.final_norm else None
        self.adaptive_softmax: AdaptiveSoftmax | None
        self.output_projection: nn.Linear | None = None
        if a.cutoffs:
            self.adaptive_softmax = adaptive_softmax(a, self.embed_tokens, dictionary)
        else:
            self.output_projection = nn.Linear(a.width, len(dictionary))
            if a.share_embeddings:
                self.output_projection.weight = self.embed_tokens.weight  # type: ignore[assignment]
        self.input_dropout = FairseqDropout(a.input_dropout, module_name=self.__class__.__name__)
        self.last_dropout = FairseqDropout(a.dropout, module_name=self.__class__.__name__)
        self.output_dropout = FairseqDropout(a.output_dropout, module_name=self.__class__.__name__)
        self._memories: dict[bool, list[LayerMemory]] = {}
        self._weights: Copies | None = None  # with which the memory of evaluation was computed
        initialise(self)

    def forward(
        self, src_tokens: Tensor, start: bool = False, features_only: bool = False, **unused: Any
    ) -> tuple[Tensor, dict[str, Any]]:
        """
        :param src_tokens: the next segment of every row [batch, tgt]; row i goes on where row i ended
        :param start: the rows start anew: nothing is remembered
        :returns: logits [batch, tgt, vocabulary]; hidden states [batch, tgt, model] for an adaptive softmax
        """
        states, extra = self.extract_features(src_tokens, start=start)
        return (states if features_only else self.output_layer(states)), extra

    def extract_features(self, src_tokens: Tensor, start: bool = False, **unused: Any) -> tuple[Tensor, dict[str, Any]]:
        """:returns: the last hidden states [batch, tgt, model]"""
        states = self._embed(src_tokens.t())
        memory = self._recalled(states, start)
        distances = dropped(self.input_dropout, self.distances.weight[: self.architecture.memory_length + 1])
        following = []
        for layer, before in zip(self.layers, memory, strict=True):
            states, after = layer(states, before, distances)
            following.append(after)
        self._memories[self.training] = following
        if self.final_norm is not None:
            states = self.final_norm(states)
        states = dropped(self.output_dropout, dropped(self.last_dropout, states)).transpose(0, 1)
        return states.contiguous(), {"attn": None}

    def _recalled(self, states: Tensor, start: bool) -> list[LayerMemory]:
        """The memory from which rows go on; what is kept beside its states was computed with the weights as they are.

        :param states: embeddings of the segment [tgt, batch, model]
        """
        memory = self._memories.get(self.training)
        if start or memory is None or not fits(memory, states):
            memory = empty_memory(len(self.layers), self.architecture.memory_length, states)
        if self.training or torch.is_grad_enabled() or (self in _still and self._weights is not None):
            return memory
        distances = self.distances.weight[: self.architecture.memory_length + 1]
        weights = [distances]
        for layer in self.layers:
            weights += layer.remembered()  # type: ignore[operator]
        if self._weights is None or not self._weights.match(weights):
            self._weights = Copies(weights)
            memory = [LayerMemory(layer.states) for layer in memory]
        return memory

    def output_layer(self, features: Tensor, **unused: Any) -> Tensor:
        """
        :param features: hidden states [batch, tgt, model]
        :returns: logits [batch, tgt, vocabulary]; the hidden states themselves for an adaptive softmax
        """
        return features if self.output_projection is None else self.output_projection(features)

    def _embed(self, tokens: Tensor) -> Tensor:
        """Embeddings, dropped out, then scaled by √d [tgt, batch, model]."""
        states = self.embed_tokens(tokens)
        if self.training and self.architecture.word_dropout:
            states = states * word_scales(tokens, len(self.dictionary), self.architecture.word_dropout, states)
        return dropped(self.input_dropout, states) * self.architecture.width**0.5

    def forget(self) -> None:
        """Empties the memory of the mode that the model is in."""
        self._memories.pop(self.training, None)

    def training_memory(self) -> list[Tensor] | None:
        """The memory of a training, layer by layer [memory, batch, model]; None before its first segment."""
        memory = self._memories.get(True)
        return None if memory is None else [layer.states for layer in memory]

    def restore_training_memory(self, states: list[Tensor] | None) -> None:
        """Goes on with what `training_memory` gave, so that a resumed training is the one that was stopped."""
        self._memories.pop(True, None)
        if states is not None:
            device = self.distances.weight.device
            self._memories[True] = [LayerMemory(layer.to(device)) for layer in states]

    def train(self, mode: bool = True) -> AllAttentionDecoder:
        for layer in self._memories.get(False, []):
            layer.past = None  # weights change before the next evaluation, and training needs the space
        self._weights = None
        return super().train(mode)

    def max_positions(self) -> int:
        """A stream has no end."""
        return 10**6
