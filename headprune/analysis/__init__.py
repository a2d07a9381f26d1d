"""From result tables to comparisons and claims. Reads tables and segments, never a model."""
