"""Installed versions, and the calls that the documents tell users to type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.found import Found, rows

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "Makefile", *sorted((ROOT / "docs").glob("*.md")), *ROOT.glob("profiles/*/*")]


def pinned(name: str) -> dict[str, str]:
    """Versions by package of a file of pip."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


@rows(
    Found(
        "your own torch, 2.14.1, then `pip install -c constraints.txt -e .`",
        wrong={"torch": "2.13.0", "torchaudio": "2.11.0"},
        right={},
        source="pip replaces what a constraint names in another version, and nothing else that satisfies torch>=2.6",
    )
)
def test_constraints_of_users_leave_torch_to_them(found: Found) -> None:
    names = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pinned("constraints.txt").items()}
    assert {name: names[name] for name in ("torch", "torchaudio") if name in names} == found.right
    assert len(names) > 100


def test_make_installs_the_tested_torch() -> None:
    assert set(pinned("requirements/torch.txt")) == {"torch", "torchaudio"}
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "TESTED := -c constraints.txt -c requirements/torch.txt" in text
    installs = [line for line in text.splitlines() if "pip install" in line and "--require-hashes" not in line]
    assert len(installs) >= 4
    assert all("$(TESTED)" in line for line in installs)
    (installed,) = (line for line in text.splitlines() if line.startswith(".venv/installed:"))
    assert "requirements/torch.txt" in installed


def calls() -> Iterator[tuple[str, str]]:
    """Every call of snakemake with a file of configuration that the documents show."""
    inline, whole = r"`(snakemake [^`]*--configfile[^`]*)`", r"(?m)^(?:\t|run\(\) \{ )?(snakemake .*--configfile.*)$"
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8").replace("$(CORES)", "2").replace("--cores N", "--cores 2")
        for line in re.findall(inline, text) + re.findall(whole, text):
            yield path.name, " ".join(line.split("}")[0].split())


@pytest.mark.parametrize(("document", "call"), [pytest.param(*found, id=" ".join(found)) for found in calls()])
def test_no_documented_call_has_its_target_swallowed(document: str, call: str) -> None:
    """`--configfile F TARGET` takes the target for another file."""
    from snakemake.cli import get_argument_parser

    words = [word.rstrip(";") for word in shlex.split(call)[1:]]
    pairs = zip(words, ["", *words], strict=False)
    words = [word for word, before in pairs if "--workflow-profile" not in (word, before)]  # it is read at once
    given = get_argument_parser().parse_args([word for word in words if word not in ("$@", "")])
    assert [path.suffix for path in given.configfile] == [".yaml"]


def test_the_documents_show_where_a_target_stands_and_what_slurm_needs() -> None:
    found = list(calls())
    assert any(call.startswith("snakemake figures") for document, call in found if document == "README.md")
    assert any(call.startswith("snakemake tables") for document, call in found if document == "clusters.md")
    for name in ("README.md", "docs/clusters.md", "profiles/slurm/config.yaml"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "invalid choice: 'slurm'" in text
        assert "pip install -c constraints.txt -e '.[slurm]'" in text
