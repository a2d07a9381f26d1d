"""Models from anyone's fairseq checkpoint (docs/own-models.md)."""

from headprune.checkpoints.description import Description, describe
from headprune.checkpoints.opening import OpenedModel, open_model, pair_of
from headprune.checkpoints.outline import Outline, outline_of

__all__ = ["Description", "OpenedModel", "Outline", "describe", "open_model", "outline_of", "pair_of"]
