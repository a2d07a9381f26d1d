"""Statistics of result tables: pure functions of numbers, thin over scipy and sacrebleu."""

from headprune.statistics.base import Estimate
from headprune.statistics.blocks import iqm
from headprune.statistics.frontiers import hypervolume, pareto_front
from headprune.statistics.multiple import Family, holm
from headprune.statistics.paired import PairedComparison, approximate_randomization, paired_bootstrap

__all__ = [
    "Estimate",
    "Family",
    "PairedComparison",
    "approximate_randomization",
    "holm",
    "hypervolume",
    "iqm",
    "paired_bootstrap",
    "pareto_front",
]
