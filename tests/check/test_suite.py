"""The contract suite as a whole: what it lets through, how failures stand beside each other, and other options."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from plug_ins import CORRECT, GATES, CheckBody, Write, failure, scorer

from headprune.check.suite import check_here, variations
from headprune.method import load_methods
from headprune.method.registry import BUILT_IN

OPTIONS = """
@dataclass(frozen=True)
class Options:
    careful: bool = option(True, "a flag")
    kind: str = option("one", "a choice", choices=("one", "two", "three"))
    size: float = option(1.0, "a number, which nobody varies")
"""
TITLE = "flags and choices"


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


def body(condition: str) -> str:
    """Keeps one head too many under a condition."""
    masks = f"""
    def masks(self, model, batches, budgets, rng):
        space, more = HeadSpace.of(model), int({condition})
        return {{k: space.keep(range(min(k + more, len(space)))) for k in budgets}}
    """
    return scorer(OPTIONS + textwrap.dedent(masks))


def test_variations_are_flags_turned_over_and_the_other_choices() -> None:
    entry = load_methods()["gradient_importance"]
    assert list(variations(entry.options({}))) == [
        ("estimator", "position"),
        ("estimator", "batch"),
        ("estimator", "signed"),
        ("iterative", True),
        ("per_module", False),
    ]


@pytest.mark.parametrize(
    ("condition", "where"),
    [("not self.options.careful", "careful=False"), ("self.options.kind == 'three'", "kind=three")],
)
def test_what_only_some_options_break_is_found(check_body: CheckBody, condition: str, where: str) -> None:
    found = failure(check_body(body(condition)), TITLE)
    assert found.text.startswith(f"with {where}, “every budget is met exactly” fails: keeps 1 heads at K = 0")
    assert "keep exactly K heads" in found.remedy


def test_what_fails_anyway_is_told_once(check_body: CheckBody) -> None:
    report = check_body(body("True"))
    (variants,) = [result for result in report.results if TITLE in result.title]
    assert variants.status == "passed"
    assert variants.text == "careful=False, kind=two, kind=three"
    failure(report, "every budget")


def test_options_can_be_given(write: Write) -> None:
    """Numbers, which are not varied."""
    file = write(body("self.options.size > 1"))
    assert "every budget is met exactly" not in {result.title for result in check_here(file)[0].failures}
    failure(check_here(file, options={"size": 2.0})[0], "every budget")
    with pytest.raises(ValueError, match="unknown option 'sise'; did you mean 'size'"):
        check_here(file, options={"sise": 2.0})
