"""Data that cannot be prepared: the reason stands in the last lines of what Snakemake prints, once, after one try."""

from __future__ import annotations

from pathlib import Path

import pytest
from smoke_run import SMOKE, Run

from headprune.pipeline.failures import failures
from tests.found import Found, rows

PAIRS = "das Haus\tthe house\neine Katze\ta cat\nein Hund\ta dog\n"


@rows(
    Found(
        "a corpus of three sentences",
        "At least one job did not complete successfully",
        "cannot learn a vocabulary of 500 subword pieces",
        "the error of the job",
        {"vocabulary": 500},
    )
)
def test_the_reason_is_told_at_the_end_once(found: Found, tmp_path: Path) -> None:
    folder = tmp_path / "three-de-en"
    folder.mkdir()
    for split in ("train", "valid", "test"):
        (folder / f"{split}.tsv").write_text(PAIRS)
    models = {"tiny": SMOKE["models"]["tiny"] | {"dataset": "three"}}
    own = {"datasets": {"three": {"corpus": str(folder), **found.case}}, "models": models}
    run = Run(tmp_path, cores=1)
    lines = run.snakemake(config=own, check=False).splitlines()
    assert sum(found.right in line for line in lines[-8:]) == 1
    (job,) = [each for each in failures(run.results) if each.status == "failed"]
    assert job.what == "job data/three"
    assert found.right in job.reason
    assert any(found.right in line for line in job.last_lines(5))
    with pytest.raises(AssertionError, match="did not complete"):
        run.snakemake(config=own)
