"""A wheel, built by way of a source distribution, works from an empty folder: what it holds, and its commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from headprune.config import ConfigError, profile_file
from headprune.pipeline import calls
from headprune.system.bundled import PACKAGE, bundled

ROOT = Path(__file__).resolve().parents[1]
PAPERS = "results/published/papers.csv"
BUNDLED = ("Snakefile", "docs/methods", "methods", "paper_figures", "profiles", PAPERS, "workflows")
SOURCES = ("LICENSE", "README.md", "headprune", "pyproject.toml", "setup.py")

Command = Callable[..., subprocess.CompletedProcess[str]]


def build(source: Path, what: str, out: Path) -> Path:
    """An `sdist` or a `wheel` of a folder, as pip's `--no-build-isolation` has it built."""
    code = f"import sys; from setuptools import build_meta; build_meta.build_{what}(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(out)], cwd=source, check=True, capture_output=True)
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what is in a wheel, as installed."""
    pytest.importorskip("setuptools", minversion="77", reason="building a wheel takes setuptools 77 or later")
    work = tmp_path_factory.mktemp("wheel")
    for folder in ("clone/docs", "sdist", "unpacked", "dist"):
        (work / folder).mkdir(parents=True)
    for path in (*SOURCES, *BUNDLED):
        copy = shutil.copytree if (ROOT / path).is_dir() else shutil.copyfile
        (work / "clone" / path).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / path, work / "clone" / path)
    with tarfile.open(build(work / "clone", "sdist", work / "sdist")) as archive:
        archive.extractall(work / "unpacked", filter="data")
    (source,) = (work / "unpacked").iterdir()
    with zipfile.ZipFile(build(source, "wheel", work / "dist")) as archive:
        archive.extractall(work / "site")
    return work / "site"


@pytest.fixture
def headprune(wheel: Path, tmp_path: Path) -> Command:
    """`headprune(words…)`: the command of the wheel in an empty folder."""
    environment = {**os.environ, "PYTHONPATH": str(wheel), "COLUMNS": "200"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "headprune", *words]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=False
        )

    return run


def files(folder: Path) -> dict[str, bytes]:
    """Contents by path within the folder, without what Python leaves."""
    found = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_the_wheel_holds_the_package_and_what_lies_beside_it(wheel: Path) -> None:
    inside = wheel / "headprune" / "bundled"
    expected = {name: (ROOT / name).read_bytes() for name in BUNDLED if (ROOT / name).is_file()}
    for name in BUNDLED:
        expected |= {f"{name}/{path}": content for path, content in files(ROOT / name).items()}
    assert files(inside) == expected
    assert {"methods/dsp.py", "workflows/config/smoke.yaml", "workflows/rules/common.smk"} <= expected.keys()
    shutil.copytree(wheel / "headprune", wheel.parent / "package", ignore=shutil.ignore_patterns("bundled"))
    assert files(wheel.parent / "package") == files(PACKAGE)


def test_its_code_has_the_hash_of_the_clone_and_no_commit(wheel: Path, tmp_path: Path) -> None:
    """The wheel's folder is within a repository of somebody else."""
    git = ["git", "-C", str(wheel), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "another"], check=True)
    code = "import headprune, sys; from headprune.results import provenance as p\n"
    code += "print(headprune.__file__, p.code_sha256(), dict(p.git_commit()))"
    environment = {**os.environ, "PYTHONPATH": str(wheel)}
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, check=True)
    from headprune.results.provenance import code_sha256

    expected = f"{wheel / 'headprune' / '__init__.py'} {code_sha256()} {{}}"
    assert told.stdout.decode().strip() == expected


def test_plan_and_methods_work_in_an_empty_folder(headprune: Command, tmp_path: Path) -> None:
    planned = headprune("plan", "smoke")
    assert "profile smoke, results in results/smoke" in planned.stdout
    assert "24 cells, 12 jobs" in planned.stdout
    listed = headprune("methods", "dsp")
    assert "Deviations from the released code" in listed.stdout
    assert (planned.returncode, listed.returncode) == (0, 0)
    assert list(tmp_path.iterdir()) == []


def test_the_workflow_is_found(headprune: Command, tmp_path: Path) -> None:
    """Snakemake plans the whole DAG; nothing is run. Files of the folder do not take the place of Python's."""
    (tmp_path / "statistics.py").write_text("raise ValueError('of the folder')\n")
    done = headprune("run", "smoke", "--dry-run", "--quiet", "rules", "--cores", "2")
    assert done.returncode == 0, done.stderr
    assert "figure" in done.stdout + done.stderr
    assert not (tmp_path / "results").exists() or not list((tmp_path / "results").rglob("*.json"))


def test_a_new_method_is_written_into_the_folder_and_checked(headprune: Command, tmp_path: Path) -> None:
    written = headprune("new-method", "x")
    assert written.returncode == 0, written.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test_x.py", "x.py"]
    checked = headprune("check", "x.py")
    assert "passed: 17 of 17 checks hold" in checked.stdout
    assert checked.returncode == 0


def test_a_profile_is_a_file_or_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = bundled("workflows/config") / "smoke.yaml"
    assert profile_file("smoke") == own == ROOT / "workflows" / "config" / "smoke.yaml"
    assert profile_file("smoke.yaml") == Path("smoke.yaml")
    assert profile_file("./smoke") == Path("smoke")
    Path("smoke").write_text("profile: mine\n", encoding="utf-8")
    assert profile_file("smoke") == Path("smoke")
    with pytest.raises(ConfigError, match="unknown profile 'smok'; did you mean 'smoke'"):
        profile_file("smok")


def test_words_after_the_profile_are_snakemakes_and_prevail() -> None:
    from snakemake.cli import get_argument_parser

    command = calls.first(bundled("workflows/config") / "smoke.yaml", ["figures", "--workflow-profile", "slurm"])
    assert command[:4] == [sys.executable, "-P", "-m", "snakemake"]
    given = get_argument_parser().parse_args(command[4:])
    assert [str(path) for path in given.configfile] == [str(ROOT / "workflows/config/smoke.yaml")]
    assert (given.targets, str(given.snakefile)) == (["figures"], str(ROOT / "Snakefile"))
    assert str(given.workflow_profile) == "slurm"


def test_jobs_find_their_python_without_an_activated_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, list[str], str]] = []
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setattr(os, "execv", lambda program, words: ran.append((program, words, os.environ["PATH"])))
    calls.become([sys.executable, "-V"])
    assert ran == [(sys.executable, [sys.executable, "-V"], f"{Path(sys.executable).parent}{os.pathsep}/usr/bin")]


def test_what_an_installation_lacks_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-folder is missing: install headprune anew"):
        bundled("no-such-folder")
