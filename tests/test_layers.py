"""Imports go downward only, and the light parts of the library stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "headprune"

# A module imports from its own package and from those before it.
ORDER = (
    "system",
    "naming",
    "results",
    "statistics",
    "heads",
    "amounts",
    "gates",
    "relaxations",
    "importance",
    "method",
    "scoring",
    "models",
    "removal",
    "checkpoints",
    "timing",
    "cost",
    "pruning",
    "plain",
    "data",
    "settings",
    "training",
    "evaluation",
    "tasks",
    "treatments",
    "config",
    "analysis",
    "pipeline",
    "report",
    "verification",
    "check",
    "own",
    "cli",
    "__main__",
)
FOR_METHODS = {"gates", "heads", "importance", "method", "relaxations", "scoring"}
FOR_FIGURES = {"analysis", "naming", "report", "results", "statistics", "system", "tasks"}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imported(path: Path) -> set[str]:
    """Full names of all modules that a file imports, at its top or within functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def layers(names: set[str]) -> set[str]:
    """The parts of the library among these names: `headprune.data.corpora.Corpus` is of `data`."""
    return {name.split(".")[1] for name in names if name.startswith("headprune.")}


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=short)
def test_imports_go_downward_only(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert own in ORDER, f"{own} has no place among the layers"
    allowed = set(ORDER[: ORDER.index(own) + 1])
    assert layers(imported(path)) - {"__version__"} <= allowed


def test_the_package_itself_imports_nothing_until_it_is_asked_for_a_function() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    assert not [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imported(PACKAGE / "__init__.py") == {"importlib.import_module"}
    code = "import sys; before = set(sys.modules); import headprune; assert set(sys.modules) - before == {'headprune'}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_layer_exists() -> None:
    assert {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES} == set(ORDER)


@pytest.mark.parametrize("path", sorted((ROOT / "methods").glob("*.py")), ids=short)
def test_methods_import_the_contracts_torch_and_the_standard_library(path: Path) -> None:
    names = imported(path)
    assert layers(names) <= FOR_METHODS
    others = {name.split(".")[0] for name in names} - {"headprune", "torch"}
    assert others <= sys.stdlib_module_names


@pytest.mark.parametrize("path", sorted((ROOT / "paper_figures").glob("*.py")), ids=short)
def test_figures_never_see_a_model(path: Path) -> None:
    names = imported(path)
    assert not {name.split(".")[0] for name in names} & {"torch", "fairseq"}
    assert layers(names) <= FOR_FIGURES


def test_scripts_of_figures_import_each_other_in_no_circle() -> None:
    scripts = {path.stem: path for path in (ROOT / "paper_figures").glob("*.py")}
    graph = {name: {module.split(".")[0] for module in imported(path)} & set(scripts) for name, path in scripts.items()}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError
    assert set(order) == set(scripts)
    assert all(order.index(used) < order.index(name) for name, uses in graph.items() for used in uses)


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.relative_to(PACKAGE).parts[0] != "models"], ids=short
)
def test_fairseq_is_imported_after_the_remedies_for_it(path: Path) -> None:
    """Whoever imports fairseq at the top imports headprune.models, or something above it, before."""
    lines = path.read_text(encoding="utf-8").splitlines()
    first = {
        name: next((i for i, line in enumerate(lines) if line.startswith((f"import {name}", f"from {name}"))), None)
        for name in ("fairseq", "headprune.models")
    }
    if first["fairseq"] is not None:
        assert first["headprune.models"] is not None
        assert first["headprune.models"] < first["fairseq"]


def test_heads_and_results_need_no_torch() -> None:
    light = "headprune.heads, headprune.results.schema, headprune.statistics, headprune.results.merging, "
    light += "headprune.config, headprune.method, headprune.pipeline.planned, "
    light += "headprune.cli.commands, headprune.report, headprune.analysis.claims, "
    light += "headprune.analysis.display, headprune.analysis.summary, headprune.tasks"
    outputs = "[task.outputs for task in headprune.tasks.TASKS.values()]"
    code = f"import sys, {light}; {outputs}; assert not {{'torch', 'fairseq'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_profiles_and_tasks_need_no_tables() -> None:
    """The code that checks a profile loads in a quarter of a second."""
    heavy = "{'torch', 'fairseq', 'pandas', 'numpy', 'scipy', 'sacrebleu'}"
    code = f"import sys, headprune.config, headprune.tasks; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_module_asks_for_a_task_by_its_name() -> None:
    """All that differs from task to task is in their folders; elsewhere nothing is compared with the name of one."""
    found = []
    for path in (path for path in MODULES if path.relative_to(PACKAGE).parts[0] != "tasks"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare | ast.Dict):
                constants = {inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant)}
                found += [f"{short(path)}, line {node.lineno}"] if constants & {"mt", "lm", "nli"} else []
    assert found == []


def test_a_class_has_a_name_of_its_own() -> None:
    """No name stands for two things, so that a reader knows which one is meant without its import."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}
    classes = Counter(node.name for tree in trees.values() for node in tree.body if isinstance(node, ast.ClassDef))
    assert [name for name, count in classes.items() if count > 1] == []
