"""fairseq's Transformer language model with gate points, gate training and removed heads, as
`--arch headprune_transformer_lm`.

Annotations are not postponed in this module: fairseq reads the types of configuration fields at run time.
"""

import argparse
import json
from argparse import Namespace
from dataclasses import dataclass, field, fields
from typing import Any, Optional

from fairseq.dataclass.utils import gen_parser_from_dataclass
from fairseq.models import register_model, register_model_architecture
from fairseq.models.transformer_lm import (
    TransformerLanguageModel,
    TransformerLanguageModelConfig,
    base_lm_architecture,
)

from headprune.models.cutting import shrink
from headprune.models.gate_training import GateTraining, add_gate_arguments

ARCHITECTURE = "headprune_transformer_lm"
OF_THE_TASK = {"add_bos_token": False, "tokens_per_sample": None, "max_target_positions": None, "tpu": False}


@dataclass
class PrunableLanguageModelConfig(TransformerLanguageModelConfig):
    keep_heads: Optional[str] = field(  # noqa: UP045  # fairseq reads no other form
        default=None,
        metadata={"help": 'heads of every attention module, {"decoder.0": [0, 3], …}; modules left out keep all'},
    )


@register_model(ARCHITECTURE)
class PrunableLanguageModel(GateTraining, TransformerLanguageModel):
    """Without further arguments the stock language model: same parameters, same names, same function, with a plain or
    an adaptive softmax.

    `--keep-heads` rebuilds the shape of a pruned model; `--gate-…` attach a gate method.
    """

    cfg: PrunableLanguageModelConfig

    @classmethod
    def add_args(cls, parser: Any) -> None:
        gen_parser_from_dataclass(parser, PrunableLanguageModelConfig(), delete_default=True)
        add_gate_arguments(parser)
        after = {"dest": "decoder_normalize_before", "action": "store_false", "default": argparse.SUPPRESS}
        parser.add_argument("--decoder-normalize-after", help="post-norm, of which fairseq has no word", **after)

    @classmethod
    def build_model(cls, args: Namespace, task: Any) -> "PrunableLanguageModel":
        for key, value in OF_THE_TASK.items():
            setattr(args, key, getattr(args, key, value))
        model: PrunableLanguageModel = super().build_model(args, task)
        given = {
            item.name: getattr(args, item.name)
            for item in fields(PrunableLanguageModelConfig)
            if hasattr(args, item.name)
        }
        model.cfg = PrunableLanguageModelConfig(**given)
        if model.cfg.keep_heads:
            shrink(model, {name: tuple(kept) for name, kept in json.loads(model.cfg.keep_heads).items()})
        model.attach_gates(args)
        return model


@register_model_architecture(ARCHITECTURE, ARCHITECTURE)
def headprune_transformer_lm(args: Namespace) -> None:
    """The defaults of fairseq's `transformer_lm`, which makes every model pre-norm; one trained otherwise stays
    what it is."""
    args.keep_heads = getattr(args, "keep_heads", None)
    before = getattr(args, "decoder_normalize_before", True)
    base_lm_architecture(args)
    args.decoder_normalize_before = before
