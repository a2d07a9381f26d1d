"""fairseq's RoBERTa with gate points, gate training and removed heads, as `--arch headprune_roberta`."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import dataclass, fields
from typing import Any

from fairseq import utils
from fairseq.models import register_model, register_model_architecture
from fairseq.models.roberta import RobertaModel
from fairseq.models.roberta.model import base_architecture
from fairseq.models.transformer import TransformerEncoder
from omegaconf import OmegaConf
from torch import Tensor

from headprune.models.cutting import shrink
from headprune.models.gate_training import GateTraining, add_gate_arguments
from headprune.models.lean import LeanEncoder, ordinary, ordinary_numbers

ARCHITECTURE = "headprune_roberta"
HEAD = "sentence_classification_head"  # the name that fairseq's sentence_prediction gives it


@dataclass
class RobertaShape:
    """The arguments that a model is built again from; as fairseq names them, with its defaults."""

    encoder_layers: int = 12
    encoder_embed_dim: int = 768
    encoder_ffn_embed_dim: int = 3072
    encoder_attention_heads: int = 12
    encoder_normalize_before: bool = False
    encoder_learned_pos: bool = True
    layernorm_embedding: bool = True
    no_scale_embedding: bool = True
    no_token_positional_embeddings: bool = False
    untie_weights_roberta: bool = False
    activation_fn: str = "gelu"
    pooler_activation_fn: str = "tanh"
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation_dropout: float = 0.0
    pooler_dropout: float = 0.0
    max_positions: int = 512
    num_classes: int = 0  # 0: no classification head
    keep_heads: str | None = None


class LeanSentenceEncoder(LeanEncoder, TransformerEncoder):
    """The encoder inside fairseq's RoBERTa; while it trains and `lean` is set, by way of `encoder_layer`."""


@register_model(ARCHITECTURE)
class HeadpruneRoberta(GateTraining, RobertaModel):
    """Without further arguments the stock model: same parameters, same names, same function.

    `--keep-heads` rebuilds the shape of a pruned model; `--gate-…` attach a gate method; `--lean` trains with fewer and
    larger operations. Where neither a head nor features nor masked tokens are asked for, a model with a classification
    head gives its logits.
    """

    cfg: RobertaShape
    args: Any
    encoder: Any
    classification_heads: Any

    @classmethod
    def add_args(cls, parser: Any) -> None:
        RobertaModel.add_args(parser)
        add_gate_arguments(parser)
        parser.add_argument("--lean", action="store_true", help="train with fewer and larger operations")
        parser.add_argument(
            "--keep-heads",
            metavar="JSON",
            help='heads of every attention module, {"encoder.0": [0, 3], …}; modules left out keep all',
        )

    @classmethod
    def build_model(cls, args: Any, task: Any) -> HeadpruneRoberta:
        if OmegaConf.is_config(args):  # of a checkpoint; it takes no further keys
            args = Namespace(**dict(args))
        model: HeadpruneRoberta = super().build_model(args, task)
        given = {item.name: getattr(args, item.name) for item in fields(RobertaShape) if hasattr(args, item.name)}
        model.cfg = RobertaShape(**given)
        if model.cfg.num_classes > 0:
            model.register_classification_head(HEAD, model.cfg.num_classes)
        if model.cfg.keep_heads:
            shrink(model, {name: tuple(kept) for name, kept in json.loads(model.cfg.keep_heads).items()})
        model.attach_gates(args)
        encoder = model.encoder.sentence_encoder
        encoder.__class__ = LeanSentenceEncoder  # fairseq's model builds its encoder itself and takes no class for it
        encoder.lean = bool(getattr(args, "lean", False)) and ordinary(encoder)
        return model

    def sampled_gates(self) -> Tensor:
        gates = super().sampled_gates()
        lean = self.encoder.sentence_encoder.lean
        return ordinary_numbers(gates).to(next(self.parameters()).dtype) if lean else gates

    def register_classification_head(
        self, name: str, num_classes: int | None = None, inner_dim: int | None = None, **kwargs: Any
    ) -> None:
        """Adds a head, or leaves the one of this name and size as it is: it has the random numbers of a stock model."""
        known = dict(self.classification_heads).get(name)
        size = (inner_dim or self.args.encoder_embed_dim, num_classes)
        if known is None or size != (known.dense.out_features, known.out_proj.out_features):
            super().register_classification_head(name, num_classes, inner_dim, **kwargs)

    def forward(self, src_tokens: Any, **asked: Any) -> Any:
        """The output that is asked for, and further states.

        :param src_tokens: (batch, src)
        :returns: logits of the labels (batch, classes); of a model without a classification head, or for
            `masked_tokens`, of words (batch, src, vocabulary); features (batch, src, model)
        """
        plain = not asked.get("features_only") and asked.get("masked_tokens") is None
        if plain and asked.get("classification_head_name") is None and HEAD in self.classification_heads:
            asked["classification_head_name"] = HEAD
        return super().forward(src_tokens, **asked)

    def get_normalized_probs(self, net_output: Any, log_probs: bool, sample: Any = None) -> Tensor:
        """Probabilities of the last dimension, or their logarithms, computed as fairseq's other models do."""
        normalise = utils.log_softmax if log_probs else utils.softmax
        return normalise(net_output[0], dim=-1)


@register_model_architecture(ARCHITECTURE, ARCHITECTURE)
def headprune_roberta(args: Namespace) -> None:
    """The defaults of fairseq's `roberta`."""
    args.keep_heads = getattr(args, "keep_heads", None)
    base_architecture(args)
