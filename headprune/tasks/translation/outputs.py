"""The reader of hypotheses: for paired tests of BLEU and chrF, for the report, and to compute their scores anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from headprune.evaluation.scores import Score
from headprune.statistics.paired import PairedComparison, compare_statistics, segment_statistics
from headprune.statistics.quality import Quality
from headprune.tasks.outputs import Outputs, OutputSource
from headprune.tasks.translation import metrics

FLOOR = 2.0  # BLEU that disconnected words and smoothing give
BLEU = Quality("bleu", "test BLEU", span=(0.0, 100.0), floor=FLOOR)
BLEU_OF_TOKENS = Quality("bleu_tokenized", "test BLEU of tokens", span=(0.0, 100.0), floor=FLOOR)
CHRF = Quality("chrf", "test chrF", span=(0.0, 100.0))


class Hypotheses(Outputs):
    """A line for every sentence."""

    kind = "hypotheses"
    qualities: ClassVar[tuple[Quality, ...]] = (BLEU, CHRF)
    recomputed: ClassVar[tuple[str, ...]] = ("bleu", "chrf", "bleu_tokenized_lower", "length_ratio", "repetition_rate")
    later: ClassVar[tuple[str, ...]] = ("length_ratio", "repetition_rate")
    layout = "texts"

    def complete(self, source: OutputSource) -> bool:
        return source.text("tgt").is_file()

    def read(self, source: OutputSource, cell: str, metric: str) -> Any:
        """sacrebleu's sufficient statistics of every segment: (segments, statistics)."""
        references = source.lines("tgt")
        return segment_statistics(source.reader.texts(cell, source.split), references, metric)

    def compare(self, baseline: Sequence[Any], system: Sequence[Any], metric: str, draws: int) -> PairedComparison:
        return compare_statistics(baseline, system, metric, draws)

    def shown(self, source: OutputSource, cell: str) -> list[str]:
        return source.reader.texts(cell, source.split)

    def about(self, source: OutputSource, cell: str) -> Mapping[str, Sequence[str]]:
        found = {}
        for name, side in (("sources", "src"), ("references", "tgt")):
            try:
                found[name] = source.lines(side)
            except (OSError, ValueError):
                continue
        return found

    def segments(self, source: OutputSource) -> int:
        return len(source.lines("tgt"))

    def scores(self, source: OutputSource, cell: str, statistics: Mapping[str, Any]) -> dict[str, Score]:
        hypotheses, language = source.reader.texts(cell, source.split), statistics["corpus"]["target"]
        return metrics.scores(hypotheses, source.lines("tgt"), language)


class TokenHypotheses(Hypotheses):
    """Words of tokens, compared with such."""

    qualities = (BLEU_OF_TOKENS,)
    recomputed = ("bleu_tokenized", "exact_match", "repetition_rate")
    later = ()

    def scores(self, source: OutputSource, cell: str, statistics: Mapping[str, Any]) -> dict[str, Score]:
        return metrics.token_scores(source.reader.texts(cell, source.split), source.lines("tgt"))
