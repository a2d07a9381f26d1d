"""The registry of methods: a dict and a decorator, filled by importing the files of `methods/` directories."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import reprlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from headprune.method.base import GateMethod, ScoreMethod
from headprune.method.rehearsal import rehearse
from headprune.naming import unknown
from headprune.stopping import SelfEndedError, contained

MethodType = TypeVar("MethodType", bound=type)
LARGEST = 1e12  # of a hyper-parameter; no method means anything by more
BUILT_IN = Path(__file__).resolve().parents[2] / "methods"


@dataclass(frozen=True)
class Entry:
    """One registered method."""

    name: str
    kind: str  # "score" or "gate"
    method: type
    paper: str
    file: Path

    @property
    def sha256(self) -> str:
        """Hash of the file that defines the method: part of every signature of its results."""
        return hashlib.sha256(self.file.read_bytes()).hexdigest()

    @property
    def summary(self) -> str:
        """First line of the method's docstring."""
        return next(iter((self.method.__doc__ or "").strip().splitlines()), "")

    def options(self, values: Mapping[str, Any]) -> Any:
        """The method's hyper-parameters with these values; the others keep their defaults.

        :raises ValueError: an unknown option, a value of another type than its default, or a number beyond `LARGEST`.
        """
        known = {f.name: f for f in fields(self.method.Options)}  # type: ignore[attr-defined]
        for key, value in values.items():
            if key not in known:
                raise ValueError(f"method {self.name!r}: " + unknown("option", key, known))
            default = known[key].default
            if default is not MISSING and not _same_type(value, default):
                raise ValueError(
                    f"method {self.name!r}: option {key!r} is {reprlib.repr(value)}; "
                    f"it must be {type(default).__name__} like its default {default!r}"
                )
            if not _serviceable(value):
                raise ValueError(
                    f"method {self.name!r}: option {key!r} is {reprlib.repr(value)}; "
                    f"it must be finite and at most {LARGEST:g} in size"
                )
            choices = known[key].metadata.get("choices", ())
            if choices and value not in choices:
                raise ValueError(
                    f"method {self.name!r}: option {key!r} is {value!r}; available: {', '.join(map(str, choices))}"
                )
        try:
            with contained():
                return self.method.Options(**values)  # type: ignore[attr-defined]
        except (ValueError, SelfEndedError) as error:
            raise ValueError(f"method {self.name!r}: {error}") from error

    def training_options(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The hyper-parameters that a training depends on: all but those that only say how masks are read off it, and
        but the coefficient that is searched over."""
        searched = getattr(self.method, "coefficient", "")
        options = self.options(values)
        kept = [f.name for f in fields(options) if f.metadata.get("trains", True) and f.name != searched]
        return {name: getattr(options, name) for name in kept}


class DuplicateError(ValueError):
    """A name that two files register."""


class MethodFileError(ImportError, ValueError):
    """A file of methods that cannot be imported; names it."""


NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

_REGISTRY: dict[str, Entry] = {}


def register(name: str, paper: str = "") -> Callable[[MethodType], MethodType]:
    """Class decorator: makes a `ScoreMethod` or `GateMethod` known under `name`.

    :raises DuplicateError: the name is taken by another file.
    :raises ValueError: it cannot be part of a file name.
    :raises TypeError: the class follows neither contract.
    """

    if not NAME.fullmatch(name):
        raise ValueError(f"method name {name!r} may hold letters, digits, `_` and `-` only")

    def decorate(cls: MethodType) -> MethodType:
        kinds = [kind for kind, base in (("score", ScoreMethod), ("gate", GateMethod)) if issubclass(cls, base)]
        if len(kinds) != 1:
            raise TypeError(f"method {name!r}: {cls.__name__} must derive from ScoreMethod or GateMethod")
        file = Path(sys.modules[cls.__module__].__file__ or "").resolve()
        if name in _REGISTRY and _REGISTRY[name].file != file:
            raise DuplicateError(f"method {name!r} is defined twice: in {_REGISTRY[name].file} and in {file}")
        cls.name = name  # type: ignore[attr-defined]
        _REGISTRY[name] = Entry(name, kinds[0], cls, paper, file)
        return cls

    return decorate


def load_methods(*directories: str | Path) -> dict[str, Entry]:
    """Imports every `.py` file of the directories but tests (`test_…`) and helpers (`_…`); returns the methods they
    register, by name.

    Without arguments: the methods of this repository. Files are imported once, in alphabetical order; a directory may
    be given again.

    :raises FileNotFoundError: a directory does not exist.
    :raises DuplicateError: a name is registered by two files.
    :raises MethodFileError: a file cannot be imported, ends the process, or takes too long; names the file.
    """
    files = []
    for directory in map(Path, directories or (BUILT_IN,)):
        if not directory.is_dir():
            raise FileNotFoundError(f"methods directory {directory} does not exist")
        names = directory.glob("*.py")
        files += sorted(path.resolve() for path in names if not path.name.startswith(("_", "test_")))
    return load_files(*files)


def load_files(*files: Path) -> dict[str, Entry]:
    """As `load_methods`, of single files."""
    files = tuple(file.resolve() for file in files)
    new = [file for file in files if _module_name(file) not in sys.modules]
    if (found := rehearse(new, _execute)) is not None:
        raise MethodFileError(f"methods file {found[0]}: {found[1]} when it is imported")
    for file in new:
        _import(file)
    return {name: entry for name, entry in sorted(_REGISTRY.items()) if entry.file in files}


def _module_name(file: Path) -> str:
    digest = hashlib.sha256(str(file).encode()).hexdigest()[:8]
    return f"headprune_methods_{file.stem}_{digest}"


def _import(file: Path) -> None:
    try:
        with contained():
            _execute(file)
    except DuplicateError:
        raise
    except SelfEndedError as error:
        raise MethodFileError(f"methods file {file}: {error} when it is imported") from error
    except Exception as error:
        raise MethodFileError(f"methods file {file}: {type(error).__name__}: {error}") from error


def _execute(file: Path) -> None:
    """Imports a file as a module of its own name, or not at all."""
    module_name = _module_name(file)
    if module_name in sys.modules:  # the file was given twice
        return
    spec = importlib.util.spec_from_file_location(module_name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise


def _serviceable(value: Any) -> bool:
    """Whether every number in a value is finite and no larger than `LARGEST`."""
    if isinstance(value, Mapping):
        return all(map(_serviceable, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_serviceable, value))
    return not isinstance(value, int | float) or (abs(value) <= LARGEST)


def _same_type(value: Any, default: Any) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, (int, float))
    return default is None or isinstance(value, type(default))
