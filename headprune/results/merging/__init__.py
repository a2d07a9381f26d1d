"""Results of several machines as one folder, where they belong together."""

from headprune.results.merging.folders import Merged, merge

__all__ = ["Merged", "merge"]
