"""The fairseq plug-in: importing it, or `--user-dir headprune`, registers models, task, criteria and optimisers."""

from headprune.gates import clear_mask, install, set_gates, set_mask
from headprune.models import compat, criteria, optimisers, streaming_lm, transformer
from headprune.models.transformer import HeadpruneTransformer

__all__ = [
    "HeadpruneTransformer",
    "clear_mask",
    "compat",
    "criteria",
    "install",
    "optimisers",
    "set_gates",
    "set_mask",
    "streaming_lm",
    "transformer",
]
