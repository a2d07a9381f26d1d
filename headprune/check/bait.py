"""A specification and a corpus of no use, for the frames around a method under check: reading them is told of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

NOWHERE = "/nowhere/results"


class Specification(dict[str, Any]):
    """Looks like the specification of a job of the DAG, a dict; notes every look inside."""

    def __init__(self, looked: list[str]) -> None:
        super().__init__(results=NOWHERE, dataset="dataset", model="model", seed=1, kind="score", cells=[], methods=[])
        self._looked = looked

    def _note(self, what: str) -> None:
        self._looked.append(f"reads {what} of the specification of its job")

    def __getitem__(self, key: str) -> Any:
        self._note(repr(key))
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self._note(repr(key))
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        self._note(repr(key))
        return super().__contains__(key)

    def __iter__(self) -> Iterator[str]:
        self._note("the keys")
        return super().__iter__()

    def keys(self) -> Any:
        self._note("the keys")
        return super().keys()

    def values(self) -> Any:
        self._note("the values")
        return super().values()

    def items(self) -> Any:
        self._note("the items")
        return super().items()

    def __repr__(self) -> str:
        self._note("the text")
        return super().__repr__()


class BaitCorpus:
    """Notes every attribute that is asked for; has none."""

    def __init__(self, looked: list[str]) -> None:
        object.__setattr__(self, "_looked", looked)

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("__"):
            object.__getattribute__(self, "_looked").append(f"asks the corpus of its job for {name!r}")
        return object.__getattribute__(self, name)
