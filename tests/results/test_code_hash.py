"""The hash of the code covers what computes, and nothing that computes imports what it leaves out."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from found import Found, rows
from test_layers import imported

from headprune.results import provenance
from headprune.results.jobs import JOBS
from headprune.results.provenance import LEFT_OUT, hash_of_code, is_left_out
from headprune.system.bundled import PACKAGE

ROOT = PACKAGE.parent
# What a job runs and what it keeps around it, what fairseq imports by its --user-dir, and the files of methods.
STARTS = (
    *("headprune/pipeline/jobs.py", "headprune/pipeline/supervisor.py", "headprune/system/stopping.py"),
    *("headprune/pipeline/stages/*.py", "headprune/treatments/*.py", "headprune/models/**/*.py"),
    *("headprune/training/**/*.py", "methods/*.py"),
)


def module(root: Path, name: str) -> Path | None:
    """The file of a module or package of a folder; None for a name within a module, or of a library."""
    path = root.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def directly(root: Path, file: Path) -> set[Path]:
    """Modules of the package that a file imports, at its top or within functions, with the packages they lie in."""
    prefixes = {
        ".".join(parts[:count])
        for name in imported(file)
        if (parts := name.split("."))[0] == "headprune"
        for count in range(1, len(parts) + 1)
    }
    return {path for name in prefixes if (path := module(root, name))}


def importers(root: Path, starts: list[Path]) -> dict[Path, Path | None]:
    """All modules that these files import, whatever way, each with one that imports it."""
    found: dict[Path, Path | None] = dict.fromkeys(starts)
    waiting = [*starts]
    while waiting:
        file = waiting.pop()
        new = directly(root, file) - found.keys()
        found |= dict.fromkeys(new, file)
        waiting += new
    return found


def offences(root: Path) -> list[str]:
    """Imports of what the hash leaves out, by what computes: `who imports what`."""
    found = importers(root, sorted({file for pattern in STARTS for file in root.glob(pattern)}))
    package = root / "headprune"
    names = {file: file.relative_to(package).as_posix() for file in found if file.is_relative_to(package)}
    return [f"{found[file]} imports {name}" for file, name in names.items() if is_left_out(name)]


def test_what_computes_imports_nothing_that_the_hash_leaves_out() -> None:
    stages = [PACKAGE / "pipeline" / "stages" / f"{kind.stage or kind.name}.py" for kind in JOBS.values()]
    found = importers(ROOT, [PACKAGE / "pipeline" / "jobs.py", *stages])
    reached = {path.relative_to(PACKAGE).parts[0] for path in found}
    assert {"training", "models", "evaluation", "scoring", "removal.py", "tasks", "data"} <= reached
    assert offences(ROOT) == []


@rows(
    Found("an import within a function", [], ["report/page.py"], "written down here", "def f():\n    from {}"),
    Found("an import at the top", [], ["report/page.py"], "written down here", "from {}"),
)
def test_a_module_that_computes_and_imports_a_display_is_found(found: Found, tmp_path: Path) -> None:
    for name in ("pipeline/stages/__init__.py", "training/trainer.py", "report/page.py"):
        (tmp_path / "headprune" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "headprune" / name).write_text("")
    jobs = "def run():\n    from headprune.training.trainer import train\n"
    (tmp_path / "headprune" / "pipeline" / "jobs.py").write_text(jobs)
    line = found.case.format("headprune.report.page import page")
    (tmp_path / "headprune" / "training" / "trainer.py").write_text(line)
    assert [offence.split()[-1] for offence in offences(tmp_path)] == found.right


def test_all_that_is_left_out_exists() -> None:
    assert [name for name in LEFT_OUT if name != "bundled" and not (PACKAGE / name).exists()] == []


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy") / "headprune"
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__", "embedded", "bundled"))
    return folder


def test_a_copy_has_the_hash_of_the_code(copied: Path) -> None:
    assert hash_of_code(copied) == provenance.code_sha256()


@rows(
    Found("a typo in the report", "another hash", True, "nothing is computed by it", "report/page.py"),
    Found("a claim's predicate", "another hash", True, "nothing is computed by it", "analysis/predicates/quality.py"),
    Found("a check of methods", "another hash", True, "nothing is computed by it", "check/masks.py"),
    Found("the help of a command", "another hash", True, "nothing is computed by it", "cli/commands.py"),
    Found("a method in a wheel", "not the clone's hash", True, "its file is in its cells", "bundled/methods/dsp.py"),
    Found("the trainer", "–", False, "trainings depend on it", "training/trainer.py"),
    Found("the removal", "–", False, "all measurements depend on it", "removal.py"),
    Found("what jobs run", "–", False, "it says what is computed", "pipeline/jobs.py"),
    Found("the allocator's variables", "–", False, "jobs begin in it", "__main__.py"),
)
def test_what_changes_the_hash(found: Found, copied: Path) -> None:
    """The right and wrong values say whether the hash stays the same."""
    file = copied / found.case
    before = file.read_bytes() if file.exists() else None
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes((before or b"") + b"# typo\n")
    try:
        assert (hash_of_code(copied) == provenance.code_sha256()) == found.right
    finally:
        file.unlink() if before is None else file.write_bytes(before)
