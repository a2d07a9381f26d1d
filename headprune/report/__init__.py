"""A results folder as one HTML page that works offline. Reads tables, figures, outputs and logs, never a model."""

from headprune.report.page import NAME, write

__all__ = ["NAME", "write"]
