"""`--arch all_attention_lm`: the All-Attention language model, or a Transformer-XL of the same size, for fairseq."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from fairseq.dataclass.utils import gen_parser_from_dataclass
from fairseq.models import FairseqLanguageModel, register_model, register_model_architecture
from torch import Tensor

from headprune.models.all_attention.architecture import AllAttentionConfig
from headprune.models.all_attention.decoder import AllAttentionDecoder
from headprune.models.cutting import shrink
from headprune.models.gate_training import GateTraining, add_gate_arguments
from headprune.models.lean import on_the_cpu
from headprune.models.losses import is_tied

ARCHITECTURE = "all_attention_lm"


@register_model(ARCHITECTURE)
class AllAttentionLanguageModel(GateTraining, FairseqLanguageModel):
    """Shim et al. 2021 on Sukhbaatar et al. 2019 and Transformer-XL.

    `--keep-heads` rebuilds the shape of a pruned model; `--gate-…` attach a gate method.
    """

    lean = False
    cfg: AllAttentionConfig
    decoder: AllAttentionDecoder

    @classmethod
    def add_args(cls, parser: Any) -> None:
        gen_parser_from_dataclass(parser, AllAttentionConfig(), delete_default=True)
        add_gate_arguments(parser)
        parser.add_argument("--lean", action="store_true", help="train with fewer and larger operations")
        parser.add_argument(
            "--keep-heads",
            metavar="JSON",
            help='heads of every attention module, {"decoder.0": [0, 3], …}; modules left out keep all',
        )

    @classmethod
    def build_model(cls, args: Namespace, task: Any) -> AllAttentionLanguageModel:
        """:raises ValueError: see `AllAttentionConfig.check`"""
        architecture = AllAttentionConfig.of(args)
        model = cls(AllAttentionDecoder(architecture, task.target_dictionary))
        model.cfg = architecture
        if getattr(args, "keep_heads", None):
            shrink(model, {name: tuple(kept) for name, kept in json.loads(args.keep_heads).items()})
        model.attach_gates(args)
        model.lean = bool(getattr(args, "lean", False))
        return model

    def goes_lean(self) -> bool:
        """True if the loss may be computed from hidden states now: in training, on the CPU."""
        softmax = self.decoder.adaptive_softmax
        computed = softmax is None or is_tied(softmax)
        return self.training and computed and on_the_cpu(next(self.parameters()))

    def training_memory(self) -> list[Tensor] | None:
        """For `streaming_lm`, which puts it into fairseq's checkpoints."""
        return self.decoder.training_memory()

    def restore_training_memory(self, memory: list[Tensor] | None) -> None:
        self.decoder.restore_training_memory(memory)


@register_model_architecture(ARCHITECTURE, ARCHITECTURE)
def all_attention_lm(args: Namespace) -> None:
    """Values that the command line leaves out are those of `AllAttentionConfig`."""
    args.keep_heads = getattr(args, "keep_heads", None)
