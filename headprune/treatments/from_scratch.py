"""The pruned architecture alone, without the weights that it was found in."""

from __future__ import annotations

from headprune.treatments.base import Retraining


class FromScratch(Retraining):
    """the pruned architecture trains from new weights"""

    name, suffix = "from_scratch", "scratch"
    starts_pruned = False
