"""Checks of what a file declares: imports, hyper-parameters, attributes of the class."""

from __future__ import annotations

import ast
import math
from dataclasses import MISSING, fields, is_dataclass

from headprune.check.base import CheckFailure, check, listed, require
from headprune.check.families import TRANSLATION
from headprune.check.subject import CheckSubject
from headprune.method.entry import MODES
from headprune.method.tuning import space_of, trials

LONG = 120
TRIALS = 64
BELOW_ONE = math.nextafter(1, 0)
LIBRARY = ("gates", "heads", "importance", "method", "relaxations", "scoring")
DATA = ("config", "data", "evaluation", "pipeline", "results", "search", "training")
# What reads files, starts programs or opens sockets, by itself or in code that `conduct.files` cannot see into.
READERS = {
    *(
        "builtins",
        "ctypes",
        "dbm",
        "fileinput",
        "ftplib",
        "glob",
        "gzip",
        "h5py",
        "http",
        "importlib",
        "io",
        "linecache",
    ),
    *("lmdb", "mmap", "multiprocessing", "os", "pandas", "pathlib", "pickle", "polars", "pyarrow", "requests", "runpy"),
    *("sacrebleu", "sentencepiece", "shelve", "shutil", "socket", "sqlite3", "subprocess", "tarfile", "tempfile"),
    *("urllib", "zipfile", "datasets", "fairseq_cli", "fairseq.data", "fairseq.tasks", "fairseq.checkpoint_utils"),
}


@check("the file imports only what a method may")
def imports(subject: CheckSubject) -> str | None:
    """A method may import gates, heads, the maths and the contracts; nothing that knows data, paths or settings."""
    source = subject.entry.file.read_text(encoding="utf-8")
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    parts = {name: name.split(".")[1] for name in sorted(names) if name.startswith("headprune.")}
    for name, part in parts.items():
        what = "asks for test data, paths or settings" if part in DATA else "reaches into the framework"
        if part not in LIBRARY:
            remedy = "use what the method is given; of headprune it may import " + ", ".join(LIBRARY)
            raise CheckFailure(f"imports {name}: {what}", remedy)
    for name in sorted(names):
        if name.split(".")[0] in READERS or ".".join(name.split(".")[:2]) in READERS:
            reason = f"imports {name}, which reaches files, programs or the network"
            raise CheckFailure(reason, "a method sees only the batches it is given; what it needs besides is an option")
    lines = len(source.splitlines())
    return f"note: {lines} lines; most methods fit into 100" if lines > LONG else None


@check("every option has a plain default and a help text")
def options(subject: CheckSubject) -> str | None:
    """Options are a frozen dataclass of numbers, words and flags, for profiles and the command line."""
    cls = subject.entry.method.Options  # type: ignore[attr-defined]
    frozen = is_dataclass(cls) and getattr(cls, "__dataclass_params__").frozen  # noqa: B009
    require(frozen, "Options is not a frozen dataclass", "decorate it with `@dataclass(frozen=True)`")
    for item in fields(cls):
        remedy = f"write `{item.name}: … = option(DEFAULT, HELP)`"
        plain = item.default is None or isinstance(item.default, (bool, int, float, str))
        require(plain and item.default is not MISSING, f"option {item.name!r} has no plain default value", remedy)
        require(item.metadata.get("help"), f"option {item.name!r} has no help text", remedy)
    return listed((f"{item.name}={item.default}" for item in fields(cls)), 12) or "no options"


@check("options take every value of their spaces")
def spaces(subject: CheckSubject) -> str | None:
    """A tuning runs the ends of the spaces, each with the other options at their defaults, and what lies between."""
    found = space_of(subject.entry.method)
    ends = [{name: space.at(share)} for name, space in found.items() for share in (0.0, BELOW_ONE)]
    for values in [*ends, *trials(subject.entry.method, TRIALS, seed=0)]:
        try:
            subject.entry.options(values)
        except ValueError as error:
            remedy = "narrow the spaces to values that Options takes, whatever the others are"
            raise CheckFailure(f"the trial {values} is refused: {error}", remedy) from error
    return listed((f"{name}: {space}" for name, space in found.items()), 12) or "nothing is tuned"


@check("the class says what it is")
def description(subject: CheckSubject) -> str | None:
    """The first line of the docstring is what `headprune methods` shows."""
    own = subject.entry.method.__dict__.get("__doc__")
    require(own and own.strip(), f"{subject.entry.method.__name__} has no docstring", "say in a line what it computes")
    return None if subject.entry.paper else "note: no paper is named; `@register(name, paper=…)` takes it"


@check("modes, budgets and learning rate are declared", "gate")
def training_attributes(subject: CheckSubject) -> str | None:
    """The attributes by which the framework plans trainings are of the right kind."""
    cls, names = subject.entry.method, {item.name: item for item in fields(subject.options)}
    modes, coefficient = cls.modes, cls.coefficient  # type: ignore[attr-defined]
    good = isinstance(modes, tuple) and modes and set(modes) <= set(MODES)
    require(good, f"modes is {modes!r}", f"name some of {', '.join(MODES)} in a tuple")
    if coefficient:
        number = isinstance(getattr(subject.options, coefficient, None), float)
        remedy = "name an option whose default is a float"
        require(coefficient in names and number, f"coefficient is {coefficient!r}, no number among the options", remedy)
    if not any(True for _ in subject.gate(TRANSLATION.space, 1).parameters()):
        return f"modes {', '.join(modes)}; no parameters"
    rate = getattr(subject.options, "learning_rate", None)
    remedy = 'declare `learning_rate: float = option(0.1, "of the gates, constant")`'
    require(isinstance(rate, float) and rate > 0, f"option learning_rate is {rate!r}; it is a positive number", remedy)
    return f"modes {', '.join(modes)}"
