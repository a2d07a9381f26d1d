"""Fixtures of the end-to-end tests."""

from __future__ import annotations

import pytest
from smoke_run import shared, short_corpus, smoke

from headprune.cli import warm

__all__ = ["shared", "short_corpus", "smoke"]


@pytest.fixture(scope="session", autouse=True)
def one_warm_process(short_corpus: None) -> None:
    """The runs of this process share the warm process that its first one would have begun."""
    warm.begin()
