"""The registry of methods: a dict and a decorator, filled by importing the files of `methods/` directories."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from headprune.method.base import GateMethod, ScoreMethod
from headprune.method.entry import BUILT_IN as BUILT_IN
from headprune.method.entry import Entry, method_files
from headprune.method.rehearsal import rehearse
from headprune.system.stopping import SelfEndedError, contained

MethodType = TypeVar("MethodType", bound=type)


class DuplicateError(ValueError):
    """A name that two files register."""


class MethodFileError(ImportError, ValueError):
    """A file of methods that cannot be imported; names it."""


NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

_REGISTRY: dict[str, Entry] = {}


def register(name: str, paper: str = "") -> Callable[[MethodType], MethodType]:
    """Class decorator: makes a `ScoreMethod` or `GateMethod` known under `name`.

    :returns: the decorator, which returns the class as it is
    :raises DuplicateError: the name is taken by another file.
    :raises ValueError: it cannot be part of a file name.
    :raises TypeError: the class follows neither contract, or has a title or a family that is no text.
    """

    if not NAME.fullmatch(name):
        raise ValueError(f"method name {name!r} may hold letters, digits, `_` and `-` only")

    def decorate(cls: MethodType) -> MethodType:
        kinds = [kind for kind, base in (("score", ScoreMethod), ("gate", GateMethod)) if issubclass(cls, base)]
        if len(kinds) != 1:
            raise TypeError(f"method {name!r}: {cls.__name__} must derive from ScoreMethod or GateMethod")
        for word in ("title", "family"):
            if not isinstance(text := getattr(cls, word), str):
                raise TypeError(f"method {name!r}: {word} is {text!r}; it must be a text")
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
    return load_files(*method_files(*directories))


def load_files(*files: Path) -> dict[str, Entry]:
    """Load the methods of single files, as `load_methods` does those of folders.

    :returns: the entries of these files by name, sorted
    """
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
