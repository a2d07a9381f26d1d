"""headprune: a reproducible benchmark suite for attention-head pruning."""

__version__ = "0.1.0"
