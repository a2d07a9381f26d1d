"""Writes docs/papers.md, the papers' figures and tables beside ours, from paper_figures/papers.yaml and the numbers.

python tools/papers_page.py > docs/papers.md
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from headprune.analysis.drawings import Script, find
from headprune.results.papers import MARKS, read_papers

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "paper_figures"
INTRODUCTION = """\
# The papers' figures and tables beside ours

What the four papers show, with a table of a fifth that two claims rest on, and the command that makes the same of
results of this suite. The sets of the papers were not run here: *run here* names results on others of which ours can
be drawn now, with `--config published=NAME` in the place of `--configfile …` ([findings.md](findings.md) says what
they show). Numbers of papers stand in `results/published/papers.csv`, one a row with its source, and hollow in the
figures of quality and of penalties against heads where the set is the same ([figures.md](figures.md)).
Profiles: [standard-sets.md](standard-sets.md).

Written by `python tools/papers_page.py > docs/papers.md` from `paper_figures/papers.yaml`; change that file.
"""
NUMBERS = """\
## Numbers of papers

Rows of `results/published/papers.csv` by paper, and by how they were read. What is not there could not be read: the
tables of Li et al. 2021 and of Shim et al. 2021 above all ([theory/published-numbers](theory/published-numbers.md)).
Columns: `paper`, `set`, `model`, `method`, `quantity`, `x` (heads, a share, λ, parameters, …) with `x_unit`, `value`,
`spread` where one is printed, `source`, `mark`, `note`; sets, methods and metrics have the names that they have here.
`headprune.results.papers.read_papers()` reads and checks it.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *sections(), NUMBERS, *marks(), "", *counts()]) + "\n"


def sections() -> Iterator[str]:
    """A section for every paper, a table each."""
    scripts = {script.path.name: script for script in find(FOLDER).values()}
    for paper, items in groupby(read_items(), key=lambda item: item["paper"]):
        yield f"## {paper}\n\n| theirs | ours | run here | the same | not the same |\n| --- | --- | --- | --- | --- |"
        for item in items:
            theirs = f"{item['item']}: {item['shows']}"
            run = ", ".join(f"[{name}](../results/published/{name}/results.md)" for name in item.get("run", [])) or "–"
            yield f"| {theirs} | {ours(item, scripts)} | {run} | {item.get('same', '–')} | {item['differs']} |"
        yield ""


def read_items() -> list[dict[str, Any]]:
    """The entries of papers.yaml."""
    return list(yaml.safe_load((FOLDER / "papers.yaml").read_text(encoding="utf-8")))


def ours(item: dict[str, Any], scripts: dict[str, Script]) -> str:
    """The name of our figure or table, and the commands that make it; a dash where there is none."""
    if "script" not in item:
        return "–"
    return f"`{scripts[item['script']].name}`: {'; '.join(f'`{line}`' for line in commands(item, scripts))}"


def commands(item: dict[str, Any], scripts: dict[str, Script]) -> list[str]:
    """The run of the profile, and the script on its results for the arms that are compared."""
    script = scripts[item["script"]]
    profile = item.get("profile", "PROFILE")
    target = script.drawing.target if script.is_table else "figures"  # type: ignore[attr-defined]
    run = f"snakemake {target} --cores 2 --configfile workflows/config/{profile}.yaml"
    draw = f"python paper_figures/{item['script']} results/{profile} OUT"
    return [run, f"{draw} --arms {' '.join(item['arms'])}"] if "arms" in item else [run]


def marks() -> Iterator[str]:
    """A list of the marks, each with its meaning."""
    return (f"- **{mark}**: {meaning}." for mark, meaning in MARKS.items())


def counts() -> Iterator[str]:
    """A table of the rows of every paper by mark."""
    papers = read_papers()
    yield f"| paper | {' | '.join(MARKS)} | sets |"
    yield f"| --- |{' ---: |' * len(MARKS)} --- |"
    for paper, rows in papers.groupby("paper", sort=False):
        numbers = [str((rows["mark"] == mark).sum() or "") for mark in MARKS]
        yield f"| {paper} | {' | '.join(numbers)} | {', '.join(dict.fromkeys(rows['set']))} |"


if __name__ == "__main__":
    print(page(), end="")
