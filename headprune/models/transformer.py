"""fairseq's Transformer with gate points, gate training and removed heads, as `--arch headprune_transformer`."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from fairseq.models import register_model, register_model_architecture
from fairseq.models.transformer.transformer_legacy import TransformerModel, base_architecture

from headprune.models.cutting import shrink
from headprune.models.gate_training import GateTraining, add_gate_arguments

ARCHITECTURE = "headprune_transformer"


@register_model(ARCHITECTURE)
class HeadpruneTransformer(GateTraining, TransformerModel):
    """Without further arguments the stock Transformer: same parameters, same names, same function.

    `--keep-heads` rebuilds the shape of a pruned model; `--gate-…` attach a gate method.
    """

    @classmethod
    def add_args(cls, parser: Any) -> None:
        TransformerModel.add_args(parser)
        add_gate_arguments(parser)
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
        return model


@register_model_architecture(ARCHITECTURE, ARCHITECTURE)
def headprune_transformer(args: Namespace) -> None:
    """The defaults of fairseq's `transformer`."""
    args.keep_heads = getattr(args, "keep_heads", None)
    base_architecture(args)
