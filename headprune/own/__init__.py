"""Models that somebody else trained: what they are, and pruning them without a benchmark (docs/own-models.md)."""
