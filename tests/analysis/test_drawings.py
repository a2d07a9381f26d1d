"""Figures and tables declare themselves: a script is found by its file, with all that it is drawn with."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from headprune.analysis.drawings import Drawing, Script, Table, find
from headprune.analysis.topics import Contents

FOLDER = Path(__file__).parents[2] / "paper_figures"
SHARED = {
    "captions",
    "command",
    "common",
    "families",
    "looks",
    "mask_costs",
    "masks",
    "pages",
    "reported",
    "results_printing",
    "steps",
    "tabling",
    "verdict_lines",
}
TOY = '''"""A toy."""

from quality_vs_heads import draw_panel

FIGURE = Drawing("A toy.", needs=("methods:2",))
FILE = Path(__file__).with_name("claims.yaml")
'''


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A copy of the scripts, to add to."""
    return Path(shutil.copytree(FOLDER, tmp_path / "scripts"))


def files(script: Script) -> set[str]:
    return {path.name for path in script.files}


def test_every_script_that_can_be_run_declares_what_it_writes() -> None:
    """But for the page of the report, which is made of all of them."""
    runnable = {path for path in FOLDER.glob("*.py") if "__main__" in path.read_text(encoding="utf-8")}
    assert {script.path for script in find(FOLDER).values()} == runnable - {FOLDER / "report.py"}
    assert {path.stem for path in FOLDER.glob("*.py")} - {path.stem for path in runnable} == SHARED


def test_names_are_those_that_the_scripts_write() -> None:
    for name, script in find(FOLDER).items():
        values = {
            node.targets[0].id: node.value
            for node in ast.parse(script.path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        assert name == "results" if script.path.stem == "results_table" else ast.literal_eval(values["NAME"]) == name


def test_a_new_figure_is_one_file(scripts: Path) -> None:
    before = find(scripts)
    (scripts / "toy.py").write_text(TOY, encoding="utf-8")
    found = find(scripts)
    assert set(found) - set(before) == {"toy"}
    assert {name: found[name] for name in before} == before
    assert found["toy"].drawing == Drawing("A toy.", needs=("methods:2",))
    panels = {"quality_vs_heads.py", "claims.yaml", "captions.py", "command.py", "common.py"}
    assert files(found["toy"]) == panels | {"families.py", "looks.py", "reported.py", "style.mplstyle"}


def test_files_of_a_figure_are_those_that_it_imports_when_run() -> None:
    """Against what Python itself loads, of the figure with the most panels."""
    code = "import sys, one_page; print(*(m.__file__ for m in sys.modules.values() if getattr(m, '__file__', None)))"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(FOLDER)!r}); {code}"]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    own = {Path(path).name for path in loaded if Path(path).parent == FOLDER}
    assert files(find(FOLDER)["one_page"]) == own - {"one_page.py"} | {"claims.yaml", "style.mplstyle"}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("FIGURE = Drawing('', ())", "toy.py: line 1: FIGURE: shows: say in a sentence"),
        ("FIGURE = Drawing('A.', needs=('trails',))", "unknown need 'trails'; did you mean 'trials'"),
        ("FIGURE = Drawing('A.', needs='trials')", "needs: 'trials' is a text; write a tuple"),
        ("FIGURE = Drawing('A.', needs=('lines',))", "need 'lines': lines takes a number, as in 'lines:2'"),
        ("FIGURE = Drawing('A.', needs=('method',))", "need 'method': method takes a method"),
        ("FIGURE = Drawing('A.', needs=('trials:2',))", "need 'trials:2': trials takes nothing after it"),
        ("FIGURE = Drawing('A.', panels=())", "FIGURE: .*unexpected keyword argument 'panels'"),
        ("FIGURE = Drawing(NAME)", "toy.py: line 1: FIGURE: malformed node"),
        ("FIGURE = 3", r"FIGURE: must read Drawing\(…\)"),
        ("TABLE = Table('A.', target='figure')", "unknown target 'figure'; did you mean 'figures'"),
        ("TABLE = Table('A.', name='pareto')", "'pareto' is drawn by pareto.py, too; give one another name"),
        ("FIGURE = (", "toy.py: line 1: '.' was never closed"),
    ],
)
def test_wrong_declarations_are_named(text: str, error: str, scripts: Path) -> None:
    (scripts / "toy.py").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=error):
        find(scripts)


GRADIENTS = frozenset({("gradient_importance", "one_shot"), ("gradient_importance", "signed")})
SINGLE = frozenset({("dsp", "joint")})


@pytest.mark.parametrize(
    ("need", "contents", "met"),
    [
        ("treatments", Contents(), False),
        ("treatments", Contents(treatments=True), True),
        ("curves", Contents(trials=True), False),
        ("methods:2", Contents(GRADIENTS), False),
        ("methods:2", Contents(GRADIENTS | SINGLE), True),
        ("lines:2", Contents(GRADIENTS), True),
        ("lines:3", Contents(GRADIENTS), False),
        ("arms:gradient_importance", Contents(GRADIENTS), True),
        ("arms:dsp", Contents(SINGLE | GRADIENTS), False),
        ("method:dsp", Contents(SINGLE), True),
        ("method:random", Contents(SINGLE), False),
    ],
)
def test_needs(need: str, contents: Contents, met: bool) -> None:
    assert contents.meet(need) is met
    assert Table("A.", needs=("methods:1", need)).fits(contents) is (met and bool(contents.lines))
