"""Paired bootstrap: sacrebleu's own numbers, and the case it gets wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from headprune.tasks.translation.metrics import bleu, bleu_against_first

REFERENCES = [f"the house number {i} stands near the old river and the bridge" for i in range(30)]
GOOD = [line.replace("near", "by") if i % 3 == 0 else line for i, line in enumerate(REFERENCES)]
BAD = [" ".join([*line.split()[:5], "is", "there"]) for line in REFERENCES]


def test_p_values_are_those_of_sacrebleus_command_line(tmp_path: Path) -> None:
    for name, lines in (("ref", REFERENCES), ("base", REFERENCES[:20] + BAD[20:]), ("good", GOOD)):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "sacrebleu", "ref", "-i", "base", "good", "--paired-bs", "--paired-bs-n", "200"]
    done = subprocess.run(
        [*command, "--format", "json"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    found = bleu_against_first({"": REFERENCES[:20] + BAD[20:], "good": GOOD}, REFERENCES, 200)
    assert f'"p_value": {found["good"].p_value}' in done.stdout
    assert found["good"].score == pytest.approx(bleu(GOOD, REFERENCES).value)


def test_identical_outputs_are_never_significant() -> None:
    found = bleu_against_first({"": GOOD, "same": list(GOOD), "other": BAD}, REFERENCES, 200)
    assert found[""].p_value is None
    assert found["same"].p_value == 1
    assert found["other"].p_value == pytest.approx(1 / 201)
