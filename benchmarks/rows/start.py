"""The time that commands which read no model take to start, against Python itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from rows.base import Line, Settings, lines, take_turns

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (("--help",), ("methods",), ("plan", "workflows/config/quick.yaml"))


def command(*words: str) -> Callable[[], None]:
    """A process of its own, in which this library is the one beside this file."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.getenv("PYTHONPATH")]))}

    def run() -> None:
        subprocess.run([sys.executable, *words], cwd=ROOT, env=environment, check=True, capture_output=True)

    return run


def measure(settings: Settings) -> list[Line]:
    calls = {"python": command("-c", "pass")}
    calls |= {f"headprune {words[0]}": command("-m", "headprune", *words) for words in COMMANDS}
    notes = {f"headprune {words[0]}": "target 1 s" for words in COMMANDS}
    return lines("start", take_turns(calls, max(3, settings.rounds // 5), warmup=1), "python", notes=notes)
