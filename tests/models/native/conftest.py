"""Processors with the vectors of this one, and with smaller ones."""

from __future__ import annotations

import pytest
import torch

CAPABILITIES = ("DEFAULT", "AVX2", "AVX512")
OWN = torch.backends.cpu.get_cpu_capability()


@pytest.fixture(params=CAPABILITIES[: CAPABILITIES.index(OWN) + 1] if OWN in CAPABILITIES else ["DEFAULT"])
def capability(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A processor that has these vectors and no larger ones."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: request.param)
    return str(request.param)
