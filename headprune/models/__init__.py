"""The fairseq plug-in: importing it, or `--user-dir headprune`, registers models, task, criteria and optimiser."""

from headprune.gates import clear_mask, install, set_gates, set_mask
from headprune.models import compat, streaming_lm, training_plugins, transformer
from headprune.models.transformer import HeadpruneTransformer

__all__ = [
    "HeadpruneTransformer",
    "clear_mask",
    "compat",
    "install",
    "set_gates",
    "set_mask",
    "streaming_lm",
    "training_plugins",
    "transformer",
]
