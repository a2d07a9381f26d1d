"""The models that the fast search knows: everything else is searched the plain way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from fairseq.models.transformer import (
    TransformerDecoder,
    TransformerDecoderBase,
    TransformerEncoder,
    TransformerEncoderBase,
    TransformerModel,
    TransformerModelBase,
)
from fairseq.modules import MultiheadAttention
from fairseq.modules.fairseq_dropout import FairseqDropout
from torch import nn

from headprune.gates import GatedProjection
from headprune.models.beam.base import BeamRules
from headprune.models.cutting import EmptyAttention
from headprune.models.lean import LAYERS, LeanDecoder, LeanEncoder, attentions, ordinary, plain_attention
from headprune.models.transformer import HeadpruneTransformer

MODELS = (TransformerModelBase, TransformerModel, HeadpruneTransformer)
ENCODERS = (TransformerEncoderBase, TransformerEncoder, LeanEncoder)
DECODERS = (TransformerDecoderBase, TransformerDecoder, LeanDecoder)


def unsupported(model: Any, rules: BeamRules) -> str | None:
    """The first thing of a model that only fairseq's own code knows, if anything: no fast search then."""
    return next(_obstacles(model, rules), None)


def _obstacles(model: Any, rules: BeamRules) -> Iterator[str]:
    encoder: Any = getattr(model, "encoder", None)
    decoder: Any = getattr(model, "decoder", None)
    if not (type(model) in MODELS and type(encoder) in ENCODERS and type(decoder) in DECODERS):
        yield f"{type(model).__name__} is no Transformer of encoder and decoder as fairseq has it"
        return
    for part in (encoder, decoder):
        if not (ordinary(part) and len(part.layers) and all(type(layer) in LAYERS for layer in part.layers)):
            yield f"its {type(part).__name__} has parts that are not ordinary"
            return
        if type(part.embed_tokens) is not nn.Embedding or part.embed_tokens.max_norm is not None:
            yield f"the embeddings of its {type(part).__name__} are no plain table"
        yield from (reason for layer in part.layers for each in attentions(layer) if (reason := _strange(each)))
    if type(decoder.output_projection) is not nn.Linear or decoder.output_projection.bias is not None:
        yield "its output layer is more than one matrix"
    if 2 * rules.beam > len(decoder.dictionary) - 2:
        yield f"beam {rules.beam} needs a dictionary of {2 * rules.beam + 2} words at least"
    if not {parameter.dtype for parameter in model.parameters()} <= {torch.float32, torch.float64}:
        yield "its weights are not of single or double precision"
    if any(module._forward_hooks or module._forward_pre_hooks for module in model.modules()):
        yield "there are hooks on its modules, which would not be called"
    if any(module.apply_during_inference for module in model.modules() if isinstance(module, FairseqDropout)):
        yield "it drops units in evaluation, too"


def _strange(attention: Any) -> str | None:
    """The thing that is unusual about a module of attention, if anything."""
    if type(attention) is EmptyAttention:
        return None
    if type(attention) is not MultiheadAttention or not plain_attention(attention):
        return f"{type(attention).__name__} is no attention as fairseq's Transformers have it"
    kinds = {type(getattr(attention, f"{name}_proj")) for name in "qkv"}
    if kinds != {nn.Linear} or type(attention.out_proj) not in (nn.Linear, GatedProjection):
        return "a projection of its attention is more than one matrix"
    gate = getattr(attention.out_proj, "gate", None)
    return "every example has gates of its own" if gate is not None and gate.dim() != 1 else None
