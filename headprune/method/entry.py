"""An entry of the registry: a method and its options. Imports no torch: profiles are checked by it before."""

from __future__ import annotations

import hashlib
import reprlib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from headprune.method.options import spaces_of
from headprune.naming import unknown
from headprune.system.bundled import bundled
from headprune.system.stopping import SelfEndedError, contained

BUILT_IN = bundled("methods")
LARGEST = 1e12  # of a hyper-parameter; no method means anything by more
MODES = ("joint", "continued", "pipelined")


def method_files(*directories: str | Path) -> list[Path]:
    """The `.py` files of the directories but tests (`test_…`) and helpers (`_…`), in alphabetical order of each.

    :param directories: none: the methods of this repository
    :raises FileNotFoundError: a directory does not exist.
    """
    files: list[Path] = []
    for directory in map(Path, directories or (BUILT_IN,)):
        if not directory.is_dir():
            raise FileNotFoundError(f"methods directory {directory} does not exist")
        names = directory.glob("*.py")
        files += sorted(path.resolve() for path in names if not path.name.startswith(("_", "test_")))
    return files


@dataclass(frozen=True)
class Entry:
    """One registered method.

    :raises ValueError: the default of an option lies outside of its search space.
    """

    name: str
    kind: str  # "score" or "gate"
    method: type
    paper: str
    file: Path

    def __post_init__(self) -> None:
        for item, space in spaces_of(self.method.Options):  # type: ignore[attr-defined]
            if item.default not in space:
                raise ValueError(
                    f"method {self.name!r}: option {item.name!r} is {item.default!r} unless given, "
                    f"which its space lacks: {space}"
                )

    @property
    def judges(self) -> bool:
        """True if it chooses among the heads of a trained model as it is."""
        return self.kind == "score" and self.method.prunes  # type: ignore[attr-defined, no-any-return]

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

        :raises ValueError: an unknown option, a value of another type than its default, a number beyond `LARGEST`.
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


def _serviceable(value: Any) -> bool:
    """Return whether every number in a value is finite and no larger than `LARGEST`."""
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
