"""The training forward of a Transformer with fewer and larger operations, over the parameters of fairseq's modules.

Same function, other rounding: attention by way of `lean_attention`; positions of a batch in the rows of one matrix from
the first layer to the last, without those of padding; dropout by way of `native.dropout`, as frequent as fairseq's but
another draw. Evaluation, and whatever is not an ordinary layer, stays with fairseq's own code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from fairseq.models.transformer import TransformerDecoderBase, TransformerEncoderBase
from fairseq.modules import MultiheadAttention
from fairseq.modules.transformer_layer import TransformerDecoderLayerBase, TransformerEncoderLayerBase
from torch import Tensor, nn

from headprune.models import native
from headprune.models.lean_attention import Sight, TokenRows, attend, dropped, linear, packs

LAYERS = (TransformerEncoderLayerBase, TransformerDecoderLayerBase)
ODD_PARTS = ("quant_noise", "project_in_dim", "project_out_dim", "adaptive_softmax")
ODD_SUBLAYERS = ("attn_ln", "c_attn", "ffn_layernorm", "w_resid")
NEGLIGIBLE = 1e-30  # a gate below it is taken for 0: its products would be too small for ordinary arithmetic, and slow


class LeanEncoder(TransformerEncoderBase):
    """fairseq's encoder; while it trains and `lean` is set, by way of `encoder_layer`."""

    lean = False

    def forward_scriptable(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor | None = None,
        return_all_hiddens: bool = False,
        token_embeddings: Tensor | None = None,
    ) -> dict[str, list[Any]]:
        if token_embeddings is not None or not applies(self):
            return super().forward_scriptable(src_tokens, src_lengths, return_all_hiddens, token_embeddings)  # type: ignore[no-any-return]
        padding = src_tokens.eq(self.padding_idx)
        states, x, encoder_embedding = encoded(self, src_tokens, padding, return_all_hiddens)
        return {
            "encoder_out": [x],
            "encoder_padding_mask": [padding],
            "encoder_embedding": [encoder_embedding],
            "encoder_states": states,
            "fc_results": [],
            "src_tokens": [],
            "src_lengths": [(~padding).sum(dim=1, dtype=torch.int32).reshape(-1, 1)],
        }


class LeanDecoder(TransformerDecoderBase):
    """fairseq's decoder; while it trains and `lean` is set, by way of `decoder_layer`, its output alone."""

    lean = False

    def extract_features(
        self,
        prev_output_tokens: Tensor,
        encoder_out: dict[str, list[Tensor]] | None,
        incremental_state: Any = None,
        full_context_alignment: bool = False,
        alignment_layer: int | None = None,
        alignment_heads: int | None = None,
    ) -> tuple[Tensor, dict[str, Any]]:
        unusual = incremental_state is not None or full_context_alignment or alignment_layer is not None
        if unusual or encoder_out is None or not applies(self):
            return super().extract_features(  # type: ignore[no-any-return]
                prev_output_tokens,
                encoder_out,
                incremental_state,
                full_context_alignment,
                alignment_layer,
                alignment_heads,
            )
        memory, source_padding = encoder_out["encoder_out"][0], encoder_out["encoder_padding_mask"][0]
        padding = prev_output_tokens.eq(self.padding_idx)
        x = self.embed_scale * self.embed_tokens(prev_output_tokens)
        if self.embed_positions is not None:
            x = x + self.embed_positions(prev_output_tokens)
        if self.layernorm_embedding is not None:
            x = self.layernorm_embedding(x)
        x = dropped(self.dropout_module, x)
        packed = packable(self)
        rows, sources = TokenRows(padding, packed), TokenRows(source_padding, packed)
        x, memory = rows.take(x), sources.take(memory.transpose(0, 1))
        own = Sight(rows, rows, x.dtype, self.buffered_future_mask(x.new_empty(padding.shape[1])))
        cross = Sight(rows, sources, x.dtype)
        for layer in self.layers:
            x = decoder_layer(layer, x, memory, own, cross)
        if self.layer_norm is not None:
            x = normalised(self.layer_norm, x)
        return rows.spread(x).transpose(0, 1), {"attn": [None], "inner_states": []}


def applies(part: Any) -> bool:
    """True if an encoder or decoder takes the lean way now: told to, in training, on the CPU, in single or double
    precision, and made of ordinary layers only."""
    return (
        part.lean
        and part.training
        and on_the_cpu(part.embed_tokens.weight)
        and all(type(layer) in LAYERS for layer in part.layers)
        and all(plain_attention(attention) for layer in part.layers for attention in attentions(layer))
    )


def on_the_cpu(weight: Tensor) -> bool:
    """True if a weight lies there, in single or double precision."""
    return weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.float64)


def ordinary(part: Any) -> bool:
    """True if an encoder or decoder is made of nothing that only fairseq's code knows: no noise on weights, no dropped
    layers, no scaled sublayers, no adaptive softmax."""
    odd = [getattr(part, name, None) for name in ODD_PARTS]
    odd += [getattr(layer, name, None) for layer in part.layers for name in ODD_SUBLAYERS]
    return (
        all(each is None for each in odd)
        and type(part.layers) is nn.ModuleList
        and not getattr(part, "cross_self_attention", False)
        and not any(layer.quant_noise for layer in part.layers)
    )


def attentions(layer: Any) -> list[Any]:
    """The modules of attention of a layer."""
    return [each for each in (layer.self_attn, getattr(layer, "encoder_attn", None)) if each is not None]


def plain_attention(attention: Any) -> bool:
    """A module of attention as fairseq's Transformers have it, or one that lost all its heads."""
    return attention.num_heads == 0 or (
        isinstance(attention, MultiheadAttention)
        and not attention.use_xformers
        and attention.q_proj.bias is not None
        and attention.bias_k is None
        and not attention.add_zero_attn
        and getattr(attention.out_proj, "probes", None) is None
    )


def packable(part: Any) -> bool:
    """True if an encoder or decoder can leave out padding: with attention in C, and dropout, too, since fairseq's draws
    are for all positions."""
    weight = part.embed_tokens.weight
    dropouts = [part.dropout_module]
    dropouts += [module for layer in part.layers for module in (layer.dropout_module, layer.activation_dropout_module)]
    modules = (attention for layer in part.layers for attention in attentions(layer))
    drawn = native.dropout.available(weight) or all(each.p == 0 for each in dropouts)
    return drawn and all(packs(attention, weight) for attention in modules)


def encoded(
    encoder: Any, tokens: Tensor, padding: Tensor, all_states: bool = False
) -> tuple[list[Tensor], Tensor, Tensor]:
    """The encoder of a Transformer made of ordinary layers.

    :param tokens: (batch, src)
    :param padding: True at tokens that are padding (batch, src)
    :returns: states before the first layer and after each, if they are asked for, and the output, each (src, batch,
        model), what it is at padding being of no meaning; embeddings (batch, src, model)
    """
    rows = TokenRows(padding, packable(encoder))
    embedded, embeddings = encoder.forward_embedding(tokens)
    if rows.padded and not rows.packed:
        embedded = embedded * ~padding.unsqueeze(-1)
    x = rows.take(embedded)
    sight, states = Sight(rows, rows, x.dtype), [x]
    for layer in encoder.layers:
        x = encoder_layer(layer, x, sight)
        states.append(x)
    output = x if encoder.layer_norm is None else normalised(encoder.layer_norm, x)
    return [rows.spread(state) for state in states] if all_states else [], rows.spread(output), embeddings


def encoder_layer(layer: Any, x: Tensor, sight: Sight) -> Tensor:
    """:param x: (rows, model)"""
    x = _around(layer, layer.self_attn_layer_norm, x, lambda y: attend(layer.self_attn, y, y, sight))
    return _around(layer, layer.final_layer_norm, x, lambda y: feed_forward(layer, y))


def decoder_layer(layer: Any, x: Tensor, memory: Tensor, own: Sight, cross: Sight) -> Tensor:
    """:param x: (rows, model)
    :param memory: (rows of the source, model)
    """
    x = _around(layer, layer.self_attn_layer_norm, x, lambda y: attend(layer.self_attn, y, y, own))
    if layer.encoder_attn is not None:
        norm = layer.encoder_attn_layer_norm
        x = _around(layer, norm, x, lambda y: attend(layer.encoder_attn, y, memory, cross))
    return _around(layer, layer.final_layer_norm, x, lambda y: feed_forward(layer, y))


def _around(layer: Any, norm: nn.Module, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
    """A sublayer with layer norm, dropout and residual."""
    before = layer.normalize_before
    y = dropped(layer.dropout_module, sublayer(normalised(norm, x) if before else x), x)
    return y if before else normalised(norm, y)


def normalised(norm: nn.Module, x: Tensor) -> Tensor:
    """The output of a layer norm; torch's own without the way through its module."""
    if type(norm) is nn.LayerNorm:
        return F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    return norm(x)  # type: ignore[no-any-return]


def feed_forward(layer: Any, x: Tensor) -> Tensor:
    """:param x: (rows, model)"""
    inner = linear(x, layer.fc1.weight, layer.fc1.bias)
    inner = inner.relu_() if layer.activation_fn is F.relu else layer.activation_fn(inner)
    return linear(dropped(layer.activation_dropout_module, inner), layer.fc2.weight, layer.fc2.bias)


def ordinary_numbers(gates: Tensor) -> Tensor:
    """Gates of which those that are too small to matter, and would slow down what they are multiplied with, are 0."""
    return gates.masked_fill(gates.detach().abs() < NEGLIGIBLE, 0)
