"""Tiny random models of every family that has gate points, with batches shaped as fairseq collates them."""

from __future__ import annotations

import copy
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import headprune.models.compat  # noqa: F401

import torch
from fairseq.data import Dictionary
from fairseq.models.transformer_lm import TransformerLanguageModel, base_lm_architecture
from torch import Tensor, nn

from headprune.gates import install
from headprune.heads import HeadSpace, attention_points
from headprune.models import AllAttentionLanguageModel, HeadpruneRoberta, HeadpruneTransformer
from headprune.models.cutting import head_tensors

Batch = dict[str, Any]
WORDS, LABELS, WIDTH, LONGEST = 12, 3, 12, 6
SIZES = {"encoder_embed_dim": WIDTH, "encoder_ffn_embed_dim": 16, "encoder_layers": 2, "encoder_attention_heads": 2}
DECODER_SIZES = {"decoder_embed_dim": WIDTH, "decoder_ffn_embed_dim": 16, "decoder_attention_heads": 3}


@cache
def dictionary() -> Dictionary:
    """A dictionary of made-up words."""
    words = Dictionary()
    for number in range(WORDS):
        words.add_symbol(f"w{number}")
    return words


def translator() -> Any:
    """Encoder-decoder, N = 10: modules of 2 and of 3 heads."""
    task = Namespace(source_dictionary=dictionary(), target_dictionary=dictionary())
    sizes = SIZES | DECODER_SIZES | {"decoder_layers": 1, "share_all_embeddings": True}
    return HeadpruneTransformer.build_model(Namespace(**sizes), task)


def language_model() -> Any:
    """Decoder only, N = 6."""
    arguments = Namespace(**DECODER_SIZES, decoder_layers=2, max_target_positions=32, tokens_per_sample=32)
    base_lm_architecture(arguments)
    task = Namespace(source_dictionary=dictionary(), target_dictionary=dictionary())
    return TransformerLanguageModel.build_model(arguments, task)


def streaming_model() -> Any:
    """Decoder only with persistent vectors and a memory, N = 6."""
    sizes = Namespace(layers=2, width=WIDTH, heads=3, persistent=5, memory_length=4, max_relative=5)
    task = Namespace(source_dictionary=dictionary(), target_dictionary=dictionary())
    return AllAttentionLanguageModel.build_model(sizes, task)


def classifier() -> Any:
    """Encoder only, one label per example, N = 4: fairseq's RoBERTa under its classification head."""
    task = Namespace(source_dictionary=dictionary(), target_dictionary=dictionary())
    sizes = Namespace(**SIZES, max_positions=32, num_classes=LABELS, activation_fn="relu")  # fairseq's gelu is in fp32
    return HeadpruneRoberta.build_model(sizes, task)


@dataclass(frozen=True)
class ModelFamily:
    """Models of one shape."""

    name: str
    build: Callable[[], Any]

    def model(self, seed: int = 1, clones: bool = False) -> Any:
        """A model in evaluation mode, all gates open, no parameter at a value such as 0 or 1.

        :param clones: the heads of a module are equal, so that honest scores tie
        """
        words = dictionary()  # shared: it has no weights
        return copy.deepcopy(_prototype(self, seed, clones), {id(words): words})

    @property
    def space(self) -> HeadSpace:
        return HeadSpace.of(_prototype(self, 1, False))

    def batches(self) -> list[Batch]:
        """Two batches of three and two examples of different lengths; right-padded."""
        draw = torch.Generator().manual_seed(1)
        return [self._batch([_sentence(draw) for _ in range(2 * size)], draw) for size in (3, 2)]

    def _batch(self, sentences: list[Tensor], draw: torch.Generator) -> Batch:
        sources, targets = sentences[::2], sentences[1::2]
        lengths = torch.tensor([len(row) for row in sources])
        inputs: dict[str, Any] = {"src_tokens": _pad(sources), "src_lengths": lengths}
        if self.build is classifier:
            target = torch.randint(LABELS, (len(sources),), generator=draw)
        elif self.build in (language_model, streaming_model):
            target = _pad([row.roll(-1) for row in sources])
            if self.build is streaming_model:
                inputs["start"] = True  # methods read a batch as often as they like
        else:
            inputs["prev_output_tokens"], target = _pad([row.roll(1) for row in targets]), _pad(targets)
        ntokens = int(target.numel() if target.dim() == 1 else target.ne(dictionary().pad()).sum())
        ids = torch.arange(len(sources))
        return {"id": ids, "nsentences": len(ids), "ntokens": ntokens, "net_input": inputs, "target": target}


TRANSLATION = ModelFamily("encoder-decoder", translator)
FAMILIES = (
    TRANSLATION,
    ModelFamily("decoder-only", language_model),
    ModelFamily("classifier", classifier),
    ModelFamily("all-attention", streaming_model),
)


@cache
def _prototype(family: ModelFamily, seed: int, clones: bool) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = family.build()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
            if clones:
                _clone_heads(model)
    install(model)
    return model.eval()


def _clone_heads(model: nn.Module) -> None:
    """Every head of a module gets the weights of its first."""
    for point in attention_points(model):
        parameters = dict(point.module.named_parameters())
        for name, dim in head_tensors(point.module).items():
            blocks = parameters[name].unflatten(dim, (point.module.num_heads, -1))
            blocks.copy_(blocks.narrow(dim, 0, 1).expand_as(blocks).clone())


def _sentence(draw: torch.Generator) -> Tensor:
    """3 to `LONGEST` tokens, the last of which is the end of the sentence."""
    length = int(torch.randint(2, LONGEST, (), generator=draw))
    words = torch.randint(dictionary().nspecial, len(dictionary()), (length,), generator=draw)
    return torch.cat([words, torch.tensor([dictionary().eos()])])


def _pad(rows: list[Tensor]) -> Tensor:
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=dictionary().pad())
