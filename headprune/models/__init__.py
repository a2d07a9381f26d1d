"""The fairseq plug-in. Importing it, or `--user-dir headprune`, registers architecture, criterion and optimiser."""

import headprune.models.compat  # noqa: F401

from headprune.gates import clear_mask, install, set_gates, set_mask
from headprune.models import all_attention, compat, training_plugins, transformer
from headprune.models.all_attention import AllAttentionLanguageModel
from headprune.models.transformer import HeadpruneTransformer

__all__ = [
    "AllAttentionLanguageModel",
    "HeadpruneTransformer",
    "all_attention",
    "clear_mask",
    "compat",
    "install",
    "set_gates",
    "set_mask",
    "training_plugins",
    "transformer",
]
