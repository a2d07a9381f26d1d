"""The command line as it is called: its version, and jobs whose specification was made by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from configurations import VALID

from headprune import __version__
from headprune.config import load
from headprune.pipeline.plan import Plan
from headprune.pipeline.specification import needed, parsed, require_meaning, specification
from headprune.results.jobs import JOBS
from tests.found import Found, rows

ROOT = Path(__file__).resolve().parents[1]
TREATED = {
    **VALID,
    "methods": [*VALID["methods"], {"name": "l0", "mode": "joint"}],
    "tuning": {"trials": 2, "seeds": [3], "budgets": [4]},
    "treatments": [
        {"name": "fine_tune", "of": ["magnitude"], "updates": 3},
        {"name": "matched_random", "of": ["magnitude"]},
    ],
    "ablations": [{"kind": "drop_one"}],
}

BEGUN = {
    **VALID,
    "budgets": [4],
    "datasets": {"verses": {"track": "nli", "corpus": "versenli"}},
    "models": {
        "judge": {
            "track": "nli",
            "dataset": "verses",
            "architecture": {"width": 32, "layers": 2, "heads": 4},
            "training": {"updates": 2},
            "start": {"pretraining": {"updates": 2}},
        }
    },
    "methods": [{"name": "unpruned"}],
}


def headprune(*words: str, given: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headprune", *words]
    return subprocess.run(
        command, input=given, capture_output=True, encoding="utf-8", check=False, env={**os.environ, **environment}
    )


@pytest.fixture(scope="module")
def specifications() -> dict[str, dict[str, Any]]:
    """One specification that a plan made, by kind of job; plans that need every kind are two."""
    plans = [Plan(load(config)) for config in (BEGUN, TREATED)]
    return {job.kind: specification(plan, job) for plan in plans for job in plan.jobs}


def test_version() -> None:
    """It did not exist: `No such option: --version`."""
    done = headprune("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"headprune {__version__}\n", "")


def test_specifications_of_a_plan_pass(specifications: dict[str, dict[str, Any]]) -> None:
    assert set(specifications) == set(JOBS)
    for kind, spec in specifications.items():
        assert parsed(json.dumps(spec), kind) == spec
        require_meaning(spec)


@pytest.mark.parametrize("kind", JOBS)
def test_every_key_is_needed(specifications: dict[str, dict[str, Any]], kind: str) -> None:
    spec = specifications[kind]
    assert set(needed(kind)) == set(spec)
    for key in spec:
        lacking = json.dumps({name: value for name, value in spec.items() if name != key})
        with pytest.raises(ValueError, match=f"lacks '{key}'"):
            parsed(lacking, kind)
        for wrong in (None, True, 1.5):
            with pytest.raises(ValueError, match=f"{key} is {wrong}; it must be"):
                parsed(json.dumps({**spec, key: wrong}), kind)


def by_hand(what: str, wrong: str, right: str, spec: Any, kind: str = "data", *words: str) -> Found:
    text = spec if isinstance(spec, str) else json.dumps(spec)
    return Found(what, wrong=wrong, right=right, source="errors name key, value and rule", case=(text, kind, words))


DATA = {"kind": "data", "results": "r", "job": "data/x", "dataset": "x", "recipe": {"corpus": "austen", "track": "lm"}}
DENSE = {**DATA, "model": "m", "seed": 1, "settings": {}}
TEST = {**DENSE, "kind": "test", "evaluation": {}, "cells": [{"model": "m"}]}
LESS = {key: value for key, value in DATA.items() if key != "recipe"}
BROKEN = (
    by_hand("no JSON", "JSONDecodeError", "--spec is '{kind: data}', which is no JSON", "{kind: data}"),
    by_hand("nothing", "JSONDecodeError", "--spec is '', which is no JSON", ""),
    by_hand("an array", "TypeError", "--spec is [1, 2]; it takes a JSON object", [1, 2]),
    by_hand("a number", "TypeError", "--spec is 3; it takes a JSON object", 3),
    by_hand("nested without end", "RecursionError", "which is no JSON", "[" * 100_000),
    by_hand("no keys", "KeyError", "--spec lacks 'kind'; a data job needs kind, results, job", {}),
    by_hand("a key less", "KeyError", "--spec lacks 'recipe'", LESS),
    by_hand("a text for an object", "TypeError", "recipe is 'x'; it must be an object", {**DATA, "recipe": "x"}),
    by_hand("another kind", "KeyError", "--spec is of a 'data' job, not of a 'dense' job", DENSE, "dense"),
    by_hand("an unknown kind", "a traceback", "unknown job 'dat'; did you mean 'data'?", DATA, "dat"),
    by_hand("a cell without keys", "TypeError", "cells[0] is {'model': 'm'}: missing", TEST, "test"),
    by_hand("an attempt by name", "ValueError", "--attempt is 'x'; it must be", DATA, "data", "--attempt", "x"),
    by_hand("a time by name", "ValueError", "--minutes is 'x'; it must be", DATA, "data", "--minutes", "x"),
)


@rows(*BROKEN)
def test_a_specification_made_by_hand_ends_in_one_line(found: Found, tmp_path: Path) -> None:
    spec, kind, words = found.case
    receipt = tmp_path / "receipt.json"
    done = headprune("job", kind, "--spec", "-", "--receipt", str(receipt), *words, given=spec)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert found.right in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert not receipt.exists()


def test_a_section_that_breaks_a_rule_ends_in_one_line(tmp_path: Path) -> None:
    spec = json.dumps({**DATA, "recipe": {"corpus": "austen", "track": "lm", "vocabulary": 1}})
    done = headprune("job", "data", f"--spec={spec}", "--receipt", str(tmp_path / "receipt.json"))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "--spec: recipe.lm.vocabulary: 1: Input should be greater than or equal to 100" in done.stderr


@rows(
    Found(
        "options of check",
        wrong="Expecting value: line 1 column 1",
        right="--options is 'x', which is no JSON",
        source="errors name key, value and rule",
        case=("check", "methods/random.py", "--options", "x"),
    ),
    Found(
        "the configuration of a collection",
        wrong="Expecting value: line 1 column 1",
        right="--config is 'x', which is no JSON",
        source="errors name key, value and rule",
        case=("collect", "--config", "x"),
    ),
)
def test_other_json_of_the_command_line(found: Found) -> None:
    done = headprune(*found.case)
    assert done.returncode == 2
    assert found.right in done.stderr


@rows(
    Found(
        "--user-dir of fairseq's own commands, in another folder",
        wrong="FileNotFoundError: …/headprune, from every folder but the clone",
        right="'FOLDER/dict.txt'",
        source="fairseq's own command, which goes on to what only the task of this package reads",
        case='fairseq-eval-lm FOLDER --user-dir "$(headprune user-dir)" --task streaming_lm --path MODEL',
    )
)
def test_fairseq_finds_the_plug_in_from_any_folder(found: Found, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    shell = {"cwd": tmp_path, "env": {**os.environ, "PATH": path}, "capture_output": True, "encoding": "utf-8"}
    done = subprocess.run(["bash", "-c", found.case], check=False, **shell)
    assert found.right in done.stderr
    wrong = found.case.replace('"$(headprune user-dir)"', "headprune")
    done = subprocess.run(["bash", "-c", wrong], check=False, **shell)
    assert f"FileNotFoundError: {tmp_path}/headprune" in done.stderr


def test_no_text_says_a_path_that_works_in_the_clone_only() -> None:
    texts = [*ROOT.glob("docs/**/*.md"), ROOT / "README.md", *ROOT.glob("headprune/**/*.py")]
    assert [path for path in texts if "--user-dir headprune" in path.read_text(encoding="utf-8")] == []
