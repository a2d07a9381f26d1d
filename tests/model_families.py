"""Tiny models other than the encoder-decoder, with batches, for what works on any model with gate points."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import Any

import headprune.models.compat  # noqa: F401

import pytest
import torch
from fairseq.data import Dictionary
from fairseq.models import BaseFairseqModel
from fairseq.models.transformer import TransformerEncoder
from fairseq.models.transformer_lm import TransformerLanguageModel, base_lm_architecture
from torch import Tensor, nn

from headprune.models import HeadpruneRoberta

Batch = dict[str, Any]
FAMILIES = ("encoder-decoder", "decoder-only", "classifier", "roberta")


class Classifier(BaseFairseqModel):
    """An encoder, the mean of its output, three classes."""

    padding_idx = -1  # among the labels nothing is padding

    def __init__(self, words: Dictionary) -> None:
        super().__init__()
        sizes = Namespace(
            encoder_embed_dim=16,
            encoder_ffn_embed_dim=24,
            encoder_layers=2,
            encoder_attention_heads=4,
            max_source_positions=64,
        )
        self.encoder = TransformerEncoder(sizes, words, nn.Embedding(len(words), 16, words.pad()))
        self.head = nn.Linear(16, 3)

    def forward(self, src_tokens: Tensor, src_lengths: Tensor) -> Tensor:
        return self.head(self.encoder(src_tokens, src_lengths)["encoder_out"][0].mean(0))


def noisy(model: nn.Module) -> Any:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model.eval()


def classifier(words: Dictionary, seed: int = 1) -> Any:
    """N = 8, encoder heads only."""
    torch.manual_seed(seed)
    return noisy(Classifier(words))


def roberta(words: Dictionary, seed: int = 1, **arguments: Any) -> Any:
    """N = 8, encoder heads only, under fairseq's classification head of three labels."""
    torch.manual_seed(seed)
    sizes = Namespace(
        encoder_embed_dim=16,
        encoder_ffn_embed_dim=24,
        encoder_layers=2,
        encoder_attention_heads=4,
        max_positions=64,
        num_classes=3,
        **arguments,
    )
    task = Namespace(source_dictionary=words, target_dictionary=words)
    return noisy(HeadpruneRoberta.build_model(sizes, task))


def language_model(words: Dictionary, seed: int = 1) -> Any:
    """N = 8, decoder heads only."""
    torch.manual_seed(seed)
    sizes = Namespace(
        decoder_embed_dim=16,
        decoder_ffn_embed_dim=24,
        decoder_layers=2,
        decoder_attention_heads=4,
        max_target_positions=64,
        tokens_per_sample=64,
    )
    base_lm_architecture(sizes)
    task = Namespace(source_dictionary=words, target_dictionary=words)
    return noisy(TransformerLanguageModel.build_model(sizes, task))


def for_classifier(batch: Batch) -> Batch:
    """The source sides of a batch of sentence pairs, each with a label."""
    net = {name: batch["net_input"][name] for name in ("src_tokens", "src_lengths")}
    return {"net_input": net, "target": torch.arange(len(net["src_tokens"])) % 3}


def for_roberta(batch: Batch) -> Batch:
    """The source sides backwards, so that their padding is on the right, each with a label."""
    words = batch["net_input"]["src_tokens"].flip(1)
    net = {"src_tokens": words, "src_lengths": batch["net_input"]["src_lengths"]}
    return {"net_input": net, "target": torch.arange(len(words)) % 3}


def for_language_model(batch: Batch) -> Batch:
    """The target sides: what precedes every token, and the token; right-padded."""
    net = {"src_tokens": batch["net_input"]["prev_output_tokens"], "src_lengths": batch["net_input"]["src_lengths"]}
    return {"net_input": net, "target": batch["target"]}


@pytest.fixture
def family(
    request: pytest.FixtureRequest, build: Callable[..., Any], dictionary: Dictionary, batches: list[Batch]
) -> tuple[Any, list[Batch]]:
    """A model of the family that the test names, with batches."""
    if request.param == "decoder-only":
        return language_model(dictionary), [for_language_model(batch) for batch in batches]
    if request.param == "classifier":
        return classifier(dictionary), [for_classifier(batch) for batch in batches]
    if request.param == "roberta":
        return roberta(dictionary), [for_roberta(batch) for batch in batches]
    return build(), batches
