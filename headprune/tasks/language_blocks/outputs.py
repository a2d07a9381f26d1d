"""The reader of log-likelihoods of blocks: for paired tests, for the report, and to compute perplexities anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headprune.evaluation.scores import Score
from headprune.tasks.language_modeling.outputs import Likelihoods
from headprune.tasks.outputs import OutputSource


class BlockLikelihoods(Likelihoods):
    """A row for every block. Nobody has the bytes of the text."""

    recomputed = ("perplexity",)
    later = ()

    def sample(self, source: OutputSource, cell: str) -> None:
        """No text is written by these models."""

    def scores(self, source: OutputSource, cell: str, statistics: Mapping[str, Any]) -> dict[str, Score]:
        return {"perplexity": super().scores(source, cell, {})["perplexity"]}
