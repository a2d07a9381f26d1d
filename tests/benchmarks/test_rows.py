"""Every row of the benchmark has what `run.py` asks of it, and the made-up data is what its docstring says."""

from __future__ import annotations

import importlib

import pytest
import run
import synthetic


@pytest.mark.parametrize("row", run.ROWS + run.NAMED)
def test_every_row_can_be_measured(row: str) -> None:
    assert callable(importlib.import_module(f"rows.{row}").measure)


def test_batches_have_the_lengths_of_the_corpus() -> None:
    words = synthetic.dictionary()
    batches = synthetic.batches(words, None, seed=1)
    assert len(words) == synthetic.VOCABULARY
    assert sum(batch["nsentences"] for batch in batches) == 4000
    sources = [int(length) for batch in batches for length in batch["net_input"]["src_lengths"]]
    assert sum(sources) / len(sources) == pytest.approx(20, abs=1)
    sizes = [tensor.numel() for batch in batches for tensor in (batch["target"], batch["net_input"]["src_tokens"])]
    assert max(sizes) <= synthetic.MAX_TOKENS
