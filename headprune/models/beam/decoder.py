"""The decoder, one token of every hypothesis at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from headprune.models.beam.candidates import GROUP
from headprune.models.beam.memory import SourceMemory, TargetMemory
from headprune.models.beam.weights import LayerWeights
from headprune.models.lean import encoded, normalised
from headprune.models.lean_attention import Sight, TokenRows


@dataclass(frozen=True)
class StepDecoder:
    """A Transformer's decoder as its weights are now; later changes of the model do not reach it."""

    model: Any
    layers: tuple[LayerWeights, ...]

    @classmethod
    def of(cls, model: Any) -> StepDecoder:
        return cls(model, tuple(LayerWeights.of(layer) for layer in model.decoder.layers))

    def positions(self, longest: int) -> Tensor | None:
        """Embeddings of the positions of the first `longest` tokens (longest, model)."""
        decoder = self.model.decoder
        if decoder.embed_positions is None:
            return None
        words = torch.full((1, longest), decoder.padding_idx + 1, device=decoder.embed_tokens.weight.device)
        return decoder.embed_positions(words)[0]  # type: ignore[no-any-return]

    def sources(self, tokens: Tensor) -> tuple[SourceMemory, TargetMemory]:
        """The memory of a search before its first step.

        :param tokens: sentences with padding on one side (sentences, source)
        """
        padding = tokens.eq(self.model.encoder.padding_idx)
        states = encoded(self.model.encoder, tokens, padding)[1].transpose(0, 1).flatten(0, 1)
        pairs: list[Tensor | None] = []
        for layer in self.layers:
            if layer.cross is None or layer.cross.memory is None:
                pairs.append(None)
            else:
                pairs.append(layer.cross.memory(states).view(*tokens.shape, -1))
        rows = TokenRows(padding)
        mask = Sight(rows, rows, states.dtype).mask
        own = TargetMemory.empty(len(tokens), [layer.own.width for layer in self.layers], states)
        return SourceMemory(pairs, mask), own

    def step(self, words: Tensor, position: Tensor | None, source: SourceMemory, target: TargetMemory) -> Tensor:
        """Log-probabilities of what follows.

        :param words: the newest of every hypothesis (sentences, hypotheses)
        :param position: its embedding (model,)
        :param target: with a slot for these words
        :returns: (sentences, hypotheses, words of the dictionary, and −∞ up to a multiple of `GROUP`)
        """
        x = self._embedded(words.flatten(), position)
        for number, layer in enumerate(self.layers):
            x = _layer(layer, number, x, source, target)
        decoder = self.model.decoder
        if decoder.layer_norm is not None:
            x = normalised(decoder.layer_norm, x)
        projection = decoder.output_projection
        size = len(projection.weight)
        logits = x.new_empty(len(x), GROUP * math.ceil(size / GROUP))
        logits[:, size:] = float("-inf")
        torch.mm(x, projection.weight.t(), out=logits[:, :size])
        return torch.log_softmax(logits, -1).view(*words.shape, -1)

    def _embedded(self, words: Tensor, position: Tensor | None) -> Tensor:
        decoder = self.model.decoder
        x = F.embedding(words, decoder.embed_tokens.weight).mul_(decoder.embed_scale)
        if position is not None:
            x.add_(position)
        return x if decoder.layernorm_embedding is None else normalised(decoder.layernorm_embedding, x)


def _layer(layer: LayerWeights, number: int, x: Tensor, source: SourceMemory, target: TargetMemory) -> Tensor:
    """A layer of the decoder at one position.

    :param x: (sentences · hypotheses, model), overwritten
    :returns: (sentences · hypotheses, model)
    """
    own, cross = layer.own, layer.cross

    def add_own(x: Tensor, y: Tensor) -> Tensor:
        if own.incoming is None:
            return own.out.added_to(x, y)
        product = own.incoming(y)
        pairs = target.pairs(number, product[:, own.width :])
        return own.out.added_to(x, own.context(product[:, : own.width], pairs, target.mask.unsqueeze(1)))

    def add_cross(x: Tensor, y: Tensor) -> Tensor:
        assert cross is not None
        pairs = source.layers[number]
        if cross.incoming is None or pairs is None:
            return cross.out.added_to(x, y)
        return cross.out.added_to(x, cross.context(cross.incoming(y), pairs, source.mask))

    x = layer.sublayer(layer.own_norm, x, add_own, constant=own.heads == 0)
    if cross is not None and layer.cross_norm is not None:
        x = layer.sublayer(layer.cross_norm, x, add_cross, constant=cross.heads == 0)
    return layer.sublayer(
        layer.last_norm, x, lambda x, y: layer.outer.added_to(x, layer.activation(layer.inner(y))), constant=False
    )
