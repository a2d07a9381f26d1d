"""Tests of this folder need a GPU; `make test-gpu` runs them, and the end-to-end tests on it."""

from __future__ import annotations

import os

import pytest
import torch

ASKED = "HEADPRUNE_TEST_GPU"


@pytest.fixture(autouse=True, scope="session")
def gpu() -> torch.device:
    if ASKED not in os.environ:
        pytest.skip(f"computes on a GPU: run `make test-gpu`, or set {ASKED}=1")
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    return torch.device("cuda")
