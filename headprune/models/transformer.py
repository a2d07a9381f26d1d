"""fairseq's Transformer with gate points, gate training and removed heads, as `--arch headprune_transformer`."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from fairseq.models import register_model, register_model_architecture
from fairseq.models.transformer import TransformerConfig
from fairseq.models.transformer.transformer_legacy import TransformerModel, base_architecture
from torch import Tensor

from headprune.models.cutting import shrink
from headprune.models.gate_training import GateTraining, add_gate_arguments
from headprune.models.lean import LeanDecoder, LeanEncoder, applies, ordinary, ordinary_numbers

ARCHITECTURE = "headprune_transformer"


@register_model(ARCHITECTURE)
class HeadpruneTransformer(GateTraining, TransformerModel):
    """Without further arguments the stock Transformer: same parameters, same names, same function.

    `--keep-heads` rebuilds the shape of a pruned model; `--gate-…` attach a gate method.
    """

    lean = False

    @classmethod
    def add_args(cls, parser: Any) -> None:
        TransformerModel.add_args(parser)
        add_gate_arguments(parser)
        parser.add_argument("--lean", action="store_true", help="train with fewer and larger operations")
        parser.add_argument(
            "--keep-heads",
            metavar="JSON",
            help='heads of every attention module, {"encoder.0": [0, 3], …}; modules left out keep all',
        )

    @classmethod
    def build_model(cls, args: Namespace, task: Any) -> HeadpruneTransformer:
        model = super().build_model(args, task)
        if getattr(args, "keep_heads", None):
            shrink(model, {name: tuple(kept) for name, kept in json.loads(args.keep_heads).items()})
        model.attach_gates(args)
        parts = (model.encoder, model.decoder)
        model.lean = bool(getattr(args, "lean", False)) and all(map(ordinary, parts))
        for part in parts:
            part.lean = model.lean
        return model

    def goes_lean(self) -> bool:
        """True if the loss may be computed from hidden states now."""
        return applies(self.decoder)

    def sampled_gates(self) -> Tensor:
        gates = super().sampled_gates()
        return ordinary_numbers(gates).to(next(self.parameters()).dtype) if self.lean else gates

    @classmethod
    def build_encoder(cls, args: Namespace, src_dict: Any, embed_tokens: Any) -> LeanEncoder:
        encoder = LeanEncoder(TransformerConfig.from_namespace(args), src_dict, embed_tokens)
        encoder.dropout_module.module_name = "TransformerEncoder"  # the name that --retain-dropout-modules knows
        return encoder

    @classmethod
    def build_decoder(cls, args: Namespace, tgt_dict: Any, embed_tokens: Any) -> LeanDecoder:
        cfg = TransformerConfig.from_namespace(args)
        decoder = LeanDecoder(cfg, tgt_dict, embed_tokens, no_encoder_attn=cfg.no_cross_attention)
        decoder.dropout_module.module_name = "TransformerDecoder"
        return decoder


@register_model_architecture(ARCHITECTURE, ARCHITECTURE)
def headprune_transformer(args: Namespace) -> None:
    """The defaults of fairseq's `transformer`."""
    args.keep_heads = getattr(args, "keep_heads", None)
    base_architecture(args)
