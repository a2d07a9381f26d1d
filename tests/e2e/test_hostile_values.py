"""Values of a configuration that are commands to a shell reach the programs of every rule as they are, and run nothing.

Snakemake and its shell are the real ones; `headprune` and `python` are a stand-in that notes its arguments and writes
the outputs. Names of profiles, models, datasets and arms cannot hold such characters; folders and texts can.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from smoke_run import ROOT, SMOKE

from headprune.config import load
from headprune.pipeline.plan import Plan
from headprune.pipeline.specification import specification
from headprune.results.layout import MANIFEST
from headprune.results.schema import TABLES

pytestmark = pytest.mark.slow

HARM = '\'; touch HARM1; $(touch HARM2) `touch HARM3` "$(touch HARM4)" & touch HARM5 | &amp;\\ *'
STAND_IN = f"""#!{sys.executable} -S
import json, os, pathlib, sys
words = [sys.stdin.read() if word == "-" else word for word in sys.argv]
with open(os.environ["NOTES"], "a") as file:
    file.write(json.dumps(words) + "\\n")
outputs = []
if words[1] == "job":
    outputs = [words[words.index("--receipt") + 1]]
elif words[1] == "collect":
    config = json.loads(words[words.index("--config") + 1])
    outputs = [os.path.join(config["results"], config["profile"], name) for name in {[*TABLES, MANIFEST]!r}]
elif words[1] == "draw":
    stem = os.path.join(words[4], pathlib.Path(words[2]).stem)
    outputs = [stem + suffix for suffix in (".pdf", ".png", ".txt", ".csv", ".md", ".tex")]
for output in outputs:
    pathlib.Path(output).write_text("{{}}")
"""


def stand_in(folder: Path) -> dict[str, str]:
    """An environment in which it comes first."""
    (folder / "bin").mkdir()
    for name in ("headprune", "python"):
        path = folder / "bin" / name
        path.write_text(STAND_IN)
        path.chmod(0o755)
    search = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {
        **os.environ,
        "PATH": search,
        "NOTES": str(folder / "notes.jsonl"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }


def hostile(folder: Path) -> dict[str, Any]:
    """The smoke profile with a job of every kind; wherever a text may stand in it, it is a command."""
    corpus, methods = folder / f"corpus {HARM}-de-en", folder / f"methods {HARM}"
    corpus.mkdir()
    for split in ("train", "valid", "test"):
        (corpus / f"{split}.tsv").write_text("ein Satz\ta sentence\n")
    methods.mkdir()
    (methods / "own.py").write_text((ROOT / "methods/magnitude.py").read_text().replace('"magnitude"', '"own"'))
    return SMOKE | {
        "seeds": [1],
        "results": f"results {HARM}",
        "mirror": str(folder),
        "datasets": {"lohelp-de-en": {"corpus": str(corpus), "vocabulary": 500}},
        "methods_directories": [str(methods)],
        "methods": [{"name": "own"}, {"name": "dsp", "arm": "pipelined", "updates": 10}, {"name": "l0"}],
        "treatments": [{"name": "fine_tune", "of": ["own"]}, {"name": "bias_compensation", "of": ["own"]}],
        "ablations": [{"kind": "drop_one"}],
    }


def run(folder: Path, config: dict[str, Any], *targets: str) -> tuple[subprocess.CompletedProcess[str], list[Any]]:
    """The end of Snakemake in `folder`/working, and the arguments of every program that it called."""
    working, file = folder / "working", folder / "profile.yaml"
    working.mkdir()
    file.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--configfile", str(file)]
    command += ["--directory", str(working), "--cores", "2", "--workflow-profile", str(ROOT / "profiles/default")]
    command += ["--latency-wait", "0", *targets]
    done = subprocess.run(command, env=stand_in(folder), cwd=working, capture_output=True, text=True, check=False)
    return done, [json.loads(line)[1:] for line in (folder / "notes.jsonl").read_text().splitlines()]


def test_a_specification_may_be_longer_than_an_argument(tmp_path: Path) -> None:
    entries = [{"name": "unpruned"}, {"name": "random", "draws": 1500}]
    config = SMOKE | {"seeds": [1], "budgets": [6], "methods": entries, "results": "results"}
    done, calls = run(tmp_path, config, "results/smoke/jobs/score/tiny/all-score/s1.json")
    assert done.returncode == 0, done.stderr[-4000:]
    (spec,) = [call[call.index("--spec") + 1] for call in calls if call[:2] == ["job", "score"]]
    assert len(spec) > 131_072  # bytes of one argument, Linux
    assert len(json.loads(spec)["cells"]) == 1501


def test_no_rule_hands_a_value_to_its_shell(tmp_path: Path) -> None:
    config = hostile(tmp_path)
    # A picture whose files the stand-in does not know by name fails, and the others are drawn.
    done, calls = run(tmp_path, config)
    assert "rule collect" in done.stderr, done.stderr[-4000:]
    assert not list(tmp_path.rglob("HARM*"))
    assert {path.name for path in (tmp_path / "working").iterdir()} == {".snakemake", f"results {HARM}"}

    plan = Plan(load(config))
    options = {tuple(call[i : i + 2]) for call in calls for i in range(0, len(call), 2) if call[0] == "job"}
    specs = [json.loads(value) for name, value in options if name == "--spec"]
    specs = [{key: value for key, value in spec.items() if key != "planned"} for spec in specs]  # what a receipt keeps
    assert sorted(specs, key=lambda spec: str(spec["job"])) == sorted(
        (json.loads(json.dumps(specification(plan, job))) for job in plan.jobs), key=lambda spec: str(spec["job"])
    )
    assert {value for name, value in options if name == "--receipt"} == {
        str(plan.folder / job.receipt) for job in plan.jobs
    }
    (collected,) = [json.loads(call[2]) for call in calls if call[0] == "collect"]
    assert collected["results"] == config["results"]
    drawn = [call for call in calls if call[0] == "draw"]
    assert len([call for call in drawn if call[2] == str(plan.folder)]) > 5
