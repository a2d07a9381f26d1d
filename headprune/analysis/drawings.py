"""The drawings of result tables: every script of a folder that declares a figure or a table.

A script says at its top `FIGURE = Drawing("What it shows.", needs=("trials",))` or `TABLE = Table(…)`. Declarations and
imports are read from the text of the scripts: nothing is imported or run, so a broken plotting library stops no plan.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from headprune.analysis.topics import Contents, check
from headprune.naming import unknown

TARGETS = ("tables", "claims", "figures")


@dataclass(frozen=True)
class Drawing:
    """The declaration of a figure, a script that writes figures/NAME.pdf, .png and .txt.

    :param shows: what a reader sees, one or two sentences, for Snakemake's report
    :param needs: what the results must have (`headprune.analysis.topics`); without one of these it is not drawn
    :param name: of the files written; the script's own where it is empty
    :raises ValueError: an unknown need, or nothing is shown
    """

    shows: str
    needs: tuple[str, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        if not self.shows.strip():
            raise ValueError("shows: say in a sentence what a reader sees")
        if isinstance(self.needs, str):
            raise ValueError(f"needs: {self.needs!r} is a text; write a tuple: ({self.needs!r},)")
        for need in self.needs:
            check(need)

    def fits(self, contents: Contents) -> bool:
        """Return whether results have all that the drawing needs."""
        return all(contents.meet(need) for need in self.needs)


@dataclass(frozen=True)
class Table(Drawing):
    """The declaration of a table, a script that writes tables/NAME.csv, .md and .tex.

    :param target: the target of the workflow that asks for it: `tables`; `claims`; `figures`, for the answer to a
        question that few results pose
    :raises ValueError: an unknown target
    """

    target: str = "tables"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target not in TARGETS:
            raise ValueError(unknown("target", self.target, TARGETS))


KINDS: dict[str, type[Drawing]] = {"FIGURE": Drawing, "TABLE": Table}


@dataclass(frozen=True)
class Script:
    """A script with its declaration.

    :param files: what it is drawn with beside itself: scripts that it imports, those that these import, and other
        files of the folder that any of them names
    """

    path: Path
    drawing: Drawing
    files: tuple[Path, ...]

    @property
    def is_table(self) -> bool:
        """True where the script writes a table, not a figure."""
        return isinstance(self.drawing, Table)

    @property
    def name(self) -> str:
        """The stem of the files that it writes."""
        return self.drawing.name or self.path.stem


def find(folder: Path) -> dict[str, Script]:
    """The scripts of a folder that declare a figure or a table, by the name of what they write, sorted.

    :raises ValueError: a script is no Python, a declaration is wrong, or two scripts write files of one name
    """
    trees = {path: _parsed(path) for path in sorted(folder.glob("*.py"))}
    used = {path: _used(tree, folder) for path, tree in trees.items()}
    found: dict[str, Script] = {}
    for path, tree in trees.items():
        for drawing in _declared(path, tree):
            script = Script(path, drawing, tuple(sorted(_reached(path, used))))
            first = found.setdefault(script.name, script)
            if first is not script:
                raise ValueError(f"{path}: {script.name!r} is drawn by {first.path.name}, too; give one another name")
    return dict(sorted(found.items()))


def _parsed(path: Path) -> ast.Module:
    """The syntax tree of a script."""
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise ValueError(f"{path}: line {error.lineno}: {error.msg}") from None


def _declared(path: Path, tree: ast.Module) -> Iterator[Drawing]:
    """The declarations among the statements of a script's top level."""
    for node in tree.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        variable = node.targets[0].id
        if variable not in KINDS:
            continue
        try:
            yield _evaluated(KINDS[variable], node.value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: line {node.lineno}: {variable}: {error}") from None


def _evaluated(kind: type[Drawing], node: ast.expr) -> Drawing:
    """A declaration from its syntax tree; its arguments are literals."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != kind.__name__:
        raise ValueError(f"must read {kind.__name__}(…)")
    values = [ast.literal_eval(value) for value in node.args]
    return kind(*values, **{str(word.arg): ast.literal_eval(word.value) for word in node.keywords})


def _used(tree: ast.Module, folder: Path) -> set[Path]:
    """The files of a folder that one of its scripts imports or names in a text."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {f"{alias.name}.py" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(f"{node.module}.py")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
    return {path for path in folder.iterdir() if path.is_file() and path.name in names}


def _reached(start: Path, used: dict[Path, set[Path]]) -> set[Path]:
    """All files that a script uses, directly or through others."""
    reached: set[Path] = set()
    waiting: Iterable[Path] = used[start]
    while new := set(waiting) - reached:
        reached |= new
        waiting = {path for script in new for path in used.get(script, ())}
    return reached - {start}
