"""The contract suite as a whole: what it lets through, and how failures stand beside each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from plug_ins import CORRECT, GATES, CheckBody, scorer

from headprune.check.suite import check_here
from headprune.method.registry import BUILT_IN


def test_a_correct_plug_in_passes(check_body: CheckBody) -> None:
    report = check_body(CORRECT)
    assert len(CORRECT.splitlines()) < 20
    assert report.passed, report
    assert {result.status for result in report.results} == {"passed"}


def test_correct_gates_pass(check_body: CheckBody) -> None:
    report = check_body(GATES)
    assert report.passed, report
    assert {result.status for result in report.results} == {"passed"}


@pytest.mark.parametrize("file", sorted(BUILT_IN.glob("*.py")), ids=lambda file: file.stem)
def test_every_method_of_the_repository_passes(file: Path) -> None:
    for report in check_here(file):
        assert report.passed, report


def test_failures_do_not_stop_other_checks(check_body: CheckBody) -> None:
    report = check_body(scorer("def scores(self, model, batches, rng): return torch.zeros(24)"))
    status = {result.title: result.status for result in report.results}
    assert len(report.failures) == 1
    assert status["the file imports only what a method may"] == "passed"
    assert status["one seed gives one result"] == "unreached"


def test_long_files_get_a_note(check_body: CheckBody) -> None:
    report = check_body(CORRECT + "\n# …" * 120)
    assert report.passed
    assert "lines; most methods fit into 100" in report.results[0].text


def test_the_example_of_the_manual_passes(tmp_path: Path) -> None:
    manual = (BUILT_IN.parent / "docs" / "adding-a-method.md").read_text(encoding="utf-8")
    file = tmp_path / "output_norm.py"
    file.write_text(manual.split("```python\n")[1].split("```")[0], encoding="utf-8")
    (report,) = check_here(file)
    assert report.passed, report
