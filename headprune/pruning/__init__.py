"""Pruning from Python: `headprune.prune`, its checks, and what it returns."""

from headprune.pruning.call import PrunedModel, prune

__all__ = ["PrunedModel", "prune"]
