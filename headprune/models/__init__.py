"""The fairseq plug-in. Importing it, or `--user-dir headprune`, registers architecture, criterion and optimiser."""

from headprune.gates import clear_mask, install, set_gates, set_mask
from headprune.models import compat, criteria, optimisers, transformer
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
    "transformer",
]
