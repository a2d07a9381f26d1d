"""A run notes its claims once, before its results, and keeps the first note."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headprune.analysis.claims import ClaimsError, load
from headprune.analysis.registration import register
from headprune.pipeline.collect import manifest
from headprune.pipeline.registering import note_claims, noted_claims
from headprune.results.layout import RunFolder
from headprune.system.bundled import bundled

OWN = bundled("paper_figures/claims.yaml")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def edited(tmp_path: Path, old: str, new: str) -> Path:
    text = OWN.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "claims.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    return tmp_path / "claims.yaml"


def test_the_first_note_stays(run: RunFolder, tmp_path: Path) -> None:
    assert noted_claims(run) == {}
    first = note_claims(run)
    assert first["results"] == 0 and first | register(load(OWN)) == first
    other = edited(tmp_path, "margin: -0.02", "margin: -0.03")
    assert note_claims(run, other) == first == noted_claims(run)
    assert note_claims(RunFolder(tmp_path / "new"), other)["sha256"] != first["sha256"]


def test_a_manifest_outlives_the_notes_of_progress(run: RunFolder) -> None:
    first = note_claims(run) | {"registered": "long ago"}
    run.manifest.write_text(json.dumps({"claims": first}), encoding="utf-8")
    run.registration.unlink()
    assert note_claims(run) == first
    assert not run.registration.exists()


def test_results_that_were_there_are_counted(run: RunFolder) -> None:
    for name, step in (("a/k1-s1", "pruned"), ("a/k1-s1", "test"), ("a/k2-s1", "pruned")):
        record = run.cell(f"tiny/{name}").record(step)
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text("{}", encoding="utf-8")
    assert note_claims(run)["results"] == 2


def test_a_run_notes_its_claims_as_it_starts(start: Callable[..., Any]) -> None:
    """The note is in the manifest as the run is collected; `onstart` of the workflow makes it."""
    plan = start([{"name": "magnitude"}], budgets=[5]).plan
    plan.run.registration.unlink(missing_ok=True)
    note_claims(plan.run)
    told = manifest(plan, {}, {}, {})["claims"]
    assert told == json.loads(plan.run.registration.read_text(encoding="utf-8"))
    assert told["claims"].keys() == {claim.id for claim in load(OWN)}


def test_a_broken_file_ends_a_run_before_it_begins(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(ClaimsError, match="least_n: 0"):
        note_claims(run, edited(tmp_path, "least_n: 6", "least_n: 0"))
    assert not run.registration.exists()
