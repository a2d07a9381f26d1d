"""The fairseq plug-in: importing it registers models, task, criteria and optimisers.

So does `--user-dir "$(headprune user-dir)"` of fairseq's own commands, from any folder.
"""

import headprune.models.compat  # noqa: F401

from headprune.gates import clear_mask, install, set_gates, set_mask
from headprune.models import (
    alignments,
    all_attention,
    compat,
    criteria,
    masked_pairs,
    optimisers,
    roberta,
    streaming_lm,
    transformer,
    transformer_lm,
)
from headprune.models.all_attention import AllAttentionLanguageModel
from headprune.models.roberta import HeadpruneRoberta
from headprune.models.transformer import HeadpruneTransformer
from headprune.models.transformer_lm import PrunableLanguageModel

__all__ = [
    "AllAttentionLanguageModel",
    "HeadpruneRoberta",
    "HeadpruneTransformer",
    "PrunableLanguageModel",
    "alignments",
    "all_attention",
    "clear_mask",
    "compat",
    "criteria",
    "install",
    "masked_pairs",
    "optimisers",
    "roberta",
    "set_gates",
    "set_mask",
    "streaming_lm",
    "transformer",
    "transformer_lm",
]
