"""Hypotheses and per-segment statistics of models, then metrics."""
