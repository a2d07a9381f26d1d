"""The printed tables: signs that LaTeX and Markdown read otherwise, and that LaTeX takes what is written."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from figure_runs import TABLES, Drawn

from headprune.analysis.tables import read
from headprune.results.schema import MEASURED
from tests.found import Found, rows

PRINTED = ["results" if name == "results_table" else name for name in (*TABLES, "estimators")]
PUBLISHED = Path(__file__).parents[2] / "results" / "published" / "quick"
DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs,longtable}
\usepackage[landscape,margin=2cm]{geometry}
\begin{document}
%s
\end{document}
"""


def compiled(folder: Path, names: list[str], work: Path) -> str:
    """The log of pdflatex over all tables of a folder in one document."""
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex on this machine (Debian: texlive-latex-recommended)")
    content = "\n\n".join((folder / f"{name}.tex").read_text(encoding="utf-8") for name in names)
    (work / "tables.tex").write_text(DOCUMENT % content, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, errors="replace", check=False, timeout=100)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (work / "tables.pdf").stat().st_size > 10_000
    return done.stdout


def test_latex_takes_every_table(everything: Drawn, tmp_path: Path) -> None:
    compiled(everything.folder, PRINTED, tmp_path)


def test_latex_takes_the_tables_of_the_published_results(script, tmp_path: Path) -> None:
    for name in TABLES:
        assert script(name).main([str(PUBLISHED), str(tmp_path)]) == 0
    log = compiled(tmp_path, PRINTED[:-1], tmp_path)
    assert "Overfull" not in log


def test_signs_of_latex(script) -> None:
    tabling = script("tabling")
    assert tabling.tex("50 % of a_b & c ≥ −2 {x}") == r"50 \% of a\_b \& c $\geq$ $-$2 \{x\}"
    columns, sections = (
        [tabling.Column("a|b", right=False), tabling.Column("n")],
        {"one": [["**x_1**", "<ins>2</ins>"]]},
    )
    latex = tabling.latex(columns, sections, "So\nit is.")
    assert r"\textbf{x\_1} & \underline{2} \\" in latex
    assert r"\caption{So it is.}" in latex
    markdown = tabling.markdown(columns, {"": [["a|b", "1"]]}, "So.")
    assert markdown.splitlines()[2] == r"| a\|b | 1 |"


def test_captions_say_test_n_correction_and_data(drawn: Path, results: Path, script) -> None:
    digest = script("common").read(results).digest
    for name, words in (
        ("comparisons", ("exact sign-flip test", "n seeds", "Holm within the families", "random at the same K (")),
        ("claims", ("over n seeds", "Student's t interval at 95 %", "Not corrected over claims")),
        ("summary", ("bootstrap intervals", "no ranks", "three seeds")),
        ("normalised", ("Fieller's interval at 95 %", "points are flagged", "n seeds")),
        ("frontiers", ("bootstrap band", "seeds drawn as blocks", "Hypervolume")),
    ):
        text = (drawn / f"{name}.txt").read_text(encoding="utf-8")
        assert digest in text
        assert "2 of 48 cells without a result" in text
        for word in words:
            assert word in text, (name, word)


def test_captions_tell_which_models_were_given(results: Path, script, tmp_path: Path) -> None:
    folder = shutil.copytree(results, tmp_path / "results")
    _, _, dataset, model = read(folder).groups()[0]
    sections = {"models": {model: {"checkpoint": "x.pt", "checkpoints": None}}, "datasets": {dataset: {}}}
    (folder / "manifest.json").write_text(json.dumps({"config": sections}), encoding="utf-8")
    text = script("captions").caption(read(folder), "Opening.")
    assert "The model was given: one checkpoint for every seed" in text
    assert "The model was given" not in script("captions").caption(read(results), "Opening.")


def test_undecidable_is_said_in_the_cell(drawn: Path) -> None:
    table = pd.read_csv(drawn / "comparisons.csv")
    assert set(table["verdict"]) <= {"undecidable with 2 seeds", "undecidable with 1 seed"}
    text = (drawn / "comparisons.md").read_text(encoding="utf-8")
    assert text.count("undecidable with 2 seeds") == (table["verdict"] == "undecidable with 2 seeds").sum()
    assert "not significant" not in text
    assert "1 without a result" in text


@rows(
    Found("results", "another sha256 in the caption", True, "no time stands in it", "results_table"),
    Found("normalised", "another sha256 in the caption", True, "no time stands in it", "normalised"),
    Found("frontiers", "another sha256 in the caption", False, "a front of latencies is in it", "frontiers"),
)
def test_tables_of_equal_values_are_equal_files(found: Found, script, tmp_path: Path) -> None:
    """Times differ in every run; a table that shows none of them knows nothing of it."""
    cells = pd.read_parquet(PUBLISHED / "cells.parquet")
    other = cells.copy()
    other.loc[other["metric"].isin(MEASURED), "value"] *= 1.5
    made = []
    for place, table in enumerate((cells, other)):
        folder, out = tmp_path / f"{place}", tmp_path / f"{place}-out"
        folder.mkdir()
        table.to_parquet(folder / "cells.parquet")
        assert script(found.case).main([str(folder), str(out)]) == 0
        made.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert (made[0] == made[1]) is found.right
