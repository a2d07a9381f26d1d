"""A corpus of one's own that was edited is prepared again."""

from __future__ import annotations

import os
import time
from pathlib import Path

import yaml
from smoke_run import SMOKE, dry_run

from headprune.config import load
from headprune.pipeline.plan import Plan
from headprune.pipeline.store import write_json


def test_a_file_that_is_newer_than_what_was_prepared(tmp_path: Path) -> None:
    corpus = tmp_path / "mine-de-en"
    corpus.mkdir()
    for split in ("train", "valid", "test"):
        (corpus / f"{split}.tsv").write_text("ein Satz\ta sentence\n", encoding="utf-8")
        os.utime(corpus / f"{split}.tsv", (time.time() - 1000,) * 2)
    datasets = {"lohelp-de-en": {"corpus": str(corpus), "vocabulary": 500}}
    values = SMOKE | {"datasets": datasets, "results": str(tmp_path / "results")}
    (tmp_path / "profile.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    plan = Plan(load(values))
    (data,) = (job for job in plan.jobs if job.kind == "data")
    write_json(plan.folder / data.receipt, {"status": "ok", "reason": ""})

    def planned() -> bool:
        return f"output: {plan.folder / data.receipt}\n" in dry_run(tmp_path, tmp_path / "profile.yaml")

    assert not planned()
    (corpus / "test.tsv").write_text("ein anderer\tanother\n", encoding="utf-8")
    os.utime(corpus / "test.tsv", (time.time() + 5,) * 2)
    assert planned()
