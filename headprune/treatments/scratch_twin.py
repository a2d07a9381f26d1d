"""The control of training from scratch: the same architecture, from the initial weights of other heads.

Heads of a module are built alike, so that the twin of `from_scratch` has its architecture. A mask that was found in a
model of the same seed keeps the heads whose initial weights proved good there; the twin keeps any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headprune.heads import HeadMask
from headprune.treatments.base import Retraining
from headprune.treatments.matched_random import matched

if TYPE_CHECKING:
    import torch


class ScratchTwin(Retraining):
    """random heads, as many of every module, train from new weights"""

    name, suffix = "scratch_twin", "scratch_twin"
    keys = frozenset({"draws"})
    starts_pruned = False

    def mask(self, mask: HeadMask, rng: torch.Generator) -> HeadMask:
        return matched(mask, rng)
