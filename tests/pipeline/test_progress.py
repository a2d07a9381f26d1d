"""State files, for the eye alone: no job ends because one cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from headprune.pipeline.progress import Reporter
from headprune.results.layout import RunFolder


@pytest.mark.parametrize("full", [False, True])
def test_a_job_goes_on_where_its_state_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], full: bool
) -> None:
    state = RunFolder(tmp_path).state("dense/tiny/s1")
    if full:
        state.parent.parent.mkdir(parents=True, exist_ok=True)
        state.parent.write_text("a file stands where the folder would be", encoding="utf-8")
    reporter = Reporter(tmp_path, "dense/tiny/s1")
    reporter.update(10, 10, 2.5)
    reporter.finish()
    assert state.exists() != full
    assert "update 10/10 · loss 2.500" in capsys.readouterr().out
