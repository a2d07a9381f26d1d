"""Functions in C, compiled where they run: attention, that of the language models, dropout.

Each has `available`, and its caller another way where that is false: without a compiler, on a GPU, in half precision.
"""

from headprune.models.native import all_attention, attention, dropout

__all__ = ["all_attention", "attention", "dropout"]
