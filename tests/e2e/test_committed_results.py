"""Figures and tables of the committed results: without a plan, a training, torch or fairseq, and nothing twice."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from smoke_run import ROOT

PUBLISHED = ROOT / "results" / "published"
SOME = ["tables/results.md", "tables/claims.md", "figures/pareto.png"]


@pytest.fixture
def snakemake(tmp_path: Path):
    """Runs snakemake in a folder of its own, where importing torch or fairseq is an error."""
    for name in ("torch", "fairseq"):
        (tmp_path / "shim" / name).mkdir(parents=True)
        (tmp_path / "shim" / name / "__init__.py").write_text(f"raise RuntimeError('somebody imports {name}')\n")
    path = os.pathsep.join([str(tmp_path / "shim"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    binaries = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PYTHONPATH": path, "PATH": binaries}

    def run(*arguments: str, check: bool = True) -> str:
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2"]
        command += ["--directory", str(tmp_path), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
        output = done.stdout + done.stderr
        assert done.returncode == 0 or not check, output[-5000:]
        return output

    return run


def content(folder: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def test_published_results_are_drawn_without_torch(snakemake, tmp_path: Path) -> None:
    before = content(PUBLISHED)
    files = [f"results/quick-published/{name}" for name in SOME]
    snakemake(*files, "--config", "published=quick")
    assert all((tmp_path / name).stat().st_size > 500 for name in files)
    assert "| unpruned | 15.11" in (tmp_path / files[0]).read_text()
    assert "Nothing to be done" in snakemake(*files, "--config", "published=quick")
    assert content(PUBLISHED) == before


def test_all_targets_are_drawings(snakemake, tmp_path: Path) -> None:
    """Every job draws or tabulates, with several results at once."""
    plan = snakemake("-n", "all", "statistics", "--config", "published=[quick, small]")
    rules = {line.split()[1].rstrip(":") for line in plan.splitlines() if line.startswith(("rule ", "localrule "))}
    drawing = {"figure", "table", "tables", "claims", "figures", "statistics", "all"}
    assert {"figure", "table"} <= rules <= drawing | {"report_page", "report"}
    for name in ("quick", "small"):
        assert f"results/{name}-published/figures/quality_vs_heads.png" in plan
    assert not (tmp_path / "results").exists()


TOY = '''"""A toy, drawn with a panel of another figure.

python toy.py RESULTS_DIR OUT_DIR
"""

import sys
from pathlib import Path

import quality_vs_heads
from command import run

from headprune.analysis.drawings import Drawing

FIGURE = Drawing("A toy.", needs=("methods:2",))


def draw(results, out_dir: Path) -> None:
    for end in ("png", "pdf", "txt"):
        (out_dir / f"toy.{end}").write_text(quality_vs_heads.NAME, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(run(draw, __doc__, None))
'''


def test_a_new_figure_is_one_file(snakemake, tmp_path: Path) -> None:
    """Put into a copied folder, it is among the figures and is drawn, without an edit anywhere else."""
    shutil.copy(ROOT / "Snakefile", tmp_path)
    for name in ("workflows", "paper_figures"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "paper_figures" / "toy.py").write_text(TOY, encoding="utf-8")
    own = ["--snakefile", str(tmp_path / "Snakefile"), "--config", f"published={PUBLISHED / 'quick'}"]
    assert "results/quick-published/figures/toy.png" in snakemake("-n", "figures", *own)
    snakemake("results/quick-published/figures/toy.png", *own)
    assert (tmp_path / "results/quick-published/figures/toy.png").read_text(encoding="utf-8") == "quality_vs_heads"


def test_unknown_results_are_named(snakemake) -> None:
    output = snakemake("-n", "--config", "published=quik", check=False)
    assert "unknown results 'quik'; did you mean 'quick'?" in " ".join(output.split())
    assert "Traceback" not in output
