"""Comparisons and claims made of result tables. Reads tables and segments, never a model."""
