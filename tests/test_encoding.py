"""Text is UTF-8 whatever the locale says: how the code opens files, and what a run does in another locale."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from headprune.config import load, read
from headprune.pipeline.plan import Plan
from headprune.pipeline.specification import specification
from headprune.pipeline.store import read_json
from headprune.results import provenance
from tests.found import Found, rows

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ("headprune", "methods", "paper_figures", "benchmarks", "tools")
SOURCES = sorted(path for folder in SHIPPED for path in (ROOT / folder).rglob("*.py"))
RULES = [ROOT / "Snakefile", *sorted((ROOT / "workflows" / "rules").glob("*.smk"))]
# What Python takes for ASCII: neither its UTF-8 mode nor its change of such a locale to C.UTF-8.
ASCII = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
MODE = re.compile(r"[rwax]\+?t?\+?")


def in_ascii(*command: str, given: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **ASCII}
    return subprocess.run(command, env=environment, input=given, capture_output=True, encoding="utf-8", check=False)


def by_locale(tree: ast.AST) -> list[str]:
    """Calls that read or write text in the encoding of the locale."""
    return [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call) and _by_locale(node)]


def _by_locale(call: ast.Call) -> bool:
    method = isinstance(call.func, ast.Attribute)
    name = call.func.attr if method else getattr(call.func, "id", "")
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if "encoding" in given or None in given:
        return False
    if name in ("read_text", "write_text"):
        return method
    if name in ("open", "fdopen", "TemporaryFile", "NamedTemporaryFile"):
        words = [value.value for value in (*call.args, *given.values()) if isinstance(value, ast.Constant)]
        by_default = name == "open" and not ({"mode", "fileobj"} & set(given)) and len(call.args) == (not method)
        return by_default or any(isinstance(word, str) and MODE.fullmatch(word) for word in words)
    return name in ("run", "Popen", "check_output") and bool({"text", "universal_newlines"} & set(given))


def test_every_text_file_is_opened_with_its_encoding() -> None:
    found = {path.relative_to(ROOT): by_locale(ast.parse(path.read_text(encoding="utf-8"))) for path in SOURCES}
    assert len(found) > 100
    assert {path: calls for path, calls in found.items() if calls} == {}


def test_rules_of_snakemake_do_the_same() -> None:
    lines = [line for path in RULES for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line for line in lines if re.search(r"(read_text|write_text|\bopen)\((?!.*encoding)", line)] == []


@pytest.mark.parametrize(
    "code",
    [
        "path.read_text()",
        "path.write_text('x')",
        "open(path)",
        "open(path, 'w')",
        "path.open()",
        "path.open('a')",
        "gzip.open(path, 'rt')",
        "tempfile.NamedTemporaryFile('w')",
        "os.fdopen(number, mode='w')",
        "subprocess.run(command, text=True)",
    ],
)
def test_the_rule_sees_what_it_is_for(code: str) -> None:
    assert by_locale(ast.parse(code)) == [code]
    mended = f"{code.removesuffix(')')}, encoding='utf-8')".replace("(, ", "(")
    assert by_locale(ast.parse(mended)) == []


@rows(
    Found(
        "the hash of the code",
        wrong="UnicodeDecodeError, or another hash under ISO-8859-1: cells are computed again",
        right=provenance.code_sha256(),
        source="sha256 of the files' bytes",
        case="from headprune.results import provenance; print(provenance.code_sha256())",
    ),
    Found(
        "the processor and the commit",
        wrong="what the locale makes of them",
        right=f"{provenance.hardware()} {dict(provenance.git_commit())}",
        source="the same call under UTF-8",
        case="from headprune.results import provenance as p; print(p.hardware(), dict(p.git_commit()))",
    ),
)
def test_signatures_do_not_know_the_locale(found: Found) -> None:
    done = in_ascii(sys.executable, "-c", found.case)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == found.right


def test_a_command_prints_what_ascii_does_not_have() -> None:
    done = in_ascii(sys.executable, "-m", "headprune", "methods", "gradient_importance")
    assert done.returncode == 0, done.stderr
    assert "∂L" in done.stdout


def test_the_data_step_in_a_locale_of_ascii(tmp_path: Path) -> None:
    """fairseq, SentencePiece and the suite read and write German; it ended with "'ascii' codec can't decode byte"."""
    profile = {**read(ROOT / "workflows" / "config" / "smoke.yaml"), "results": str(tmp_path / "Ergebnisse für später")}
    plan = Plan(load(profile))
    spec = json.dumps(specification(plan, plan.jobs[0]))
    receipt = plan.folder / plan.jobs[0].receipt
    command = (sys.executable, "-m", "headprune", "job", "data", "--spec", "-", "--receipt", str(receipt))
    done = in_ascii(*command, given=spec)
    assert done.returncode == 0, done.stderr
    assert read_json(receipt)["status"] == "ok"
    pieces = (plan.folder / "data" / "lohelp-de-en" / "bin" / "dict.de.txt").read_text(encoding="utf-8")
    assert "ü" in pieces
