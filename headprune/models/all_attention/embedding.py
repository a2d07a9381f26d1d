"""Input and output of the model: plain for small vocabularies, adaptive for large ones."""

from __future__ import annotations

from typing import Any

import torch
from fairseq.modules import AdaptiveInput, AdaptiveSoftmax
from torch import Tensor, nn

from headprune.models.all_attention.architecture import AllAttentionConfig


def token_embedding(architecture: AllAttentionConfig, dictionary: Any) -> nn.Module:
    """fairseq's adaptive input if there are cut-offs, else an embedding table.

    :raises ValueError: cut-offs that do not ascend within the vocabulary, or leave a band without a dimension.
    """
    a, size = architecture, len(dictionary)
    if not a.cutoffs:
        return nn.Embedding(size, a.width, dictionary.pad())
    if sorted(set(a.cutoffs)) != a.cutoffs or a.cutoffs[-1] > size or a.cutoffs[0] <= dictionary.pad():
        raise ValueError(f"--adaptive-cutoff is {a.adaptive_cutoff}; it must ascend within the {size} symbols")
    if a.width < a.adaptive_factor ** (len(a.cutoffs) + (a.cutoffs[-1] < size) - 1):
        raise ValueError(
            f"--adaptive-factor is {a.adaptive_factor}; it must leave the last band of --width {a.width} a dimension"
        )
    return _whole(AdaptiveInput(size, dictionary.pad(), a.width, a.adaptive_factor, a.width, a.cutoffs))


def adaptive_softmax(architecture: AllAttentionConfig, embedding: nn.Module, dictionary: Any) -> AdaptiveSoftmax:
    """fairseq's, tied to the adaptive input in words and projections.

    Unlike the authors' it has no biases, and no projection of its own for the first band.
    """
    a = architecture
    softmax = AdaptiveSoftmax(
        len(dictionary), a.width, a.cutoffs, 0.0, a.adaptive_factor, adaptive_inputs=embedding, tie_proj=True
    )
    return _whole(softmax)


def _whole(module: Any) -> Any:
    """Fills a buffer that fairseq leaves uninitialised and never reads: equal models have equal checkpoints."""
    for name, buffer in module.named_buffers():
        if name.rpartition(".")[2] == "_float_tensor":
            buffer.zero_()
    return module


def word_scales(tokens: Tensor, words: int, probability: float, like: Tensor) -> Tensor:
    """Word dropout: one draw for every type of the vocabulary, so that all its occurrences vanish together.

    :param tokens: [tgt, batch]
    :returns: 0 or 1 / (1 − probability) [tgt, batch, 1]
    """
    kept = torch.rand(words, device=tokens.device) >= probability
    return (kept.to(like.dtype) / (1 - probability))[tokens].unsqueeze(-1)
