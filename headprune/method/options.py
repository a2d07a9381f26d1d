"""Options of methods: hyper-parameters with their defaults, help texts and search spaces. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import Field, field, fields, is_dataclass
from typing import Any

from headprune.method.spaces import Choices, Space


def option(
    default: Any,
    help: str,
    trains: bool = True,
    choices: Sequence[Any] = (),
    space: Space | None = None,
    tuned: bool = True,
) -> Any:
    """A hyper-parameter of a method: its default value with the text that explains it.

    :param choices: all values that it may take; empty: any of the type of the default
    :param trains: False for one that only says how masks are read off a finished training of a gate method; trainings
        that differ in nothing else are shared
    :param space: values that a tuning may try; unless given: the choices, or both values of a flag, or none
    :param tuned: False for a flag or choices that no tuning may change
    :returns: a field of a dataclass
    """
    choices = tuple(choices)
    if space is None and tuned and (choices or isinstance(default, bool)):
        space = Choices(choices or (False, True))
    return field(default=default, metadata={"help": help, "trains": trains, "choices": choices, "space": space})


def spaces_of(options: type) -> Iterator[tuple[Field[Any], Space]]:
    """The options that have a space, each with it; none where `options` is not the dataclass that it should be."""
    for item in fields(options) if is_dataclass(options) else ():
        if (space := item.metadata.get("space")) is not None:
            yield item, space
