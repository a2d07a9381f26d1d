"""The script for GPUs, tried on the CPU: every kind of training makes steps, and the table counts what they say."""

from __future__ import annotations

import gpu
import pytest


@pytest.mark.parametrize("kind", gpu.KINDS)
def test_every_kind_trains(kind: str) -> None:
    found = gpu.worker(kind, "tiny", steps=5, cpu=True)
    assert found["tokens"] > 0
    assert found["seconds"] > 0


def test_hours_of_the_grid() -> None:
    """40,000 updates, 17 budgets, 6 seeds, 3,600 tokens an update, at 10,200 tokens a second: 400 hours."""
    line = {"kind": "ours, bf16, DSP joint", "cells": 2, "failed": 0, "peak_mib": 0.0, "utilisation": 91.0}
    stock = line | {"kind": "stock, fp16", "tokens_per_second": 5100.0}
    told = {"device": "GPU", "torch": "2", "size": "iwslt14", "tokens_a_step": 3600}
    text = gpu.table(told | {"lines": [stock, line | {"tokens_per_second": 10200.0}]})
    assert "| ours, bf16, DSP joint | 2 | 10,200 | 2.00 | 91 % | 0 | 0 | 400 |" in text
