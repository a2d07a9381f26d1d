"""Models from anyone's fairseq checkpoint (docs/own-models.md)."""

from headprune.checkpoints.description import Description, describe
from headprune.checkpoints.opening import OpenedModel, open_model

__all__ = ["Description", "OpenedModel", "describe", "open_model"]
