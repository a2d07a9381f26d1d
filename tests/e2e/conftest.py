"""Fixtures of the end-to-end tests."""

from smoke_run import smoke

__all__ = ["smoke"]
