"""Random twins: what a method gains over the number of heads that it keeps in every module."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from headprune.heads import HeadMask
from headprune.treatments.base import Repruning

if TYPE_CHECKING:
    import torch
    from torch import nn

    from headprune.method import Batches, Pruning


class MatchedRandom(Repruning):
    """random heads are removed instead, as many of every module"""

    name, suffix = "matched_random", "twin"
    keys = frozenset({"draws"})
    keeps_mask = False

    def prune(self, model: nn.Module, mask: HeadMask, batches: Callable[[], Batches], rng: torch.Generator) -> Pruning:
        from headprune.method import Pruning  # imports torch

        return Pruning(matched(mask, rng))


def matched(mask: HeadMask, rng: torch.Generator) -> HeadMask:
    """A uniformly random mask with the same number of heads in every module."""
    import torch

    kept: set[int] = set()
    for module, count in mask.per_module().items():
        members = [i for i, head in enumerate(mask.space) if head.module == module]
        chosen = torch.randperm(len(members), generator=rng)[:count]
        kept |= {members[int(i)] for i in chosen}
    return mask.space.keep(kept)
