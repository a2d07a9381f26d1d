"""The errors of a configuration in words: key, value, rule, and what to write instead."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError

from headprune.config.schema import Config
from headprune.naming import unknown
from headprune.tasks import TASKS, track_of

MOST = 30  # errors that are told at once
SHORT = reprlib.Repr()  # of values that YAML's aliases may have made huge
SHORT.maxlevel, SHORT.maxlist, SHORT.maxdict, SHORT.maxstring, SHORT.maxother = 2, 8, 8, 100, 100
WHOLE = "must be a whole number"
RULES = {"int_type": WHOLE, "int_parsing": WHOLE, "int_from_float": WHOLE}  # where pydantic's words are no help


def explained(error: ValidationError, source: Any) -> str:
    """pydantic's findings, one a line: key, value, rule, nearest name.

    :param source: the configuration that it is about
    """
    lines = []
    for item in error.errors():
        keys = _walk(item["loc"])[0]
        where = f"{path_of(keys)}{_entry(source, keys)}"
        if item["type"] == "extra_forbidden":
            lines.append(f"{where}: " + unknown("key", str(item["loc"][-1]), _known_keys(item["loc"][:-1])))
        elif item["type"] == "missing":
            lines.append(f"{where}: this key is required")
        elif item["type"] == "union_tag_invalid":
            track = track_of(item["input"])
            lines.append(f"{path_of([*keys, 'track'])}: " + unknown("track", track, TASKS))
        else:
            lines.append(f"{where}: {SHORT.repr(item['input'])}: {_rule(item)}{_nearest(item)}")
    more = [f"and {len(lines) - MOST} more"] if len(lines) > MOST else []
    return "the configuration is not valid:\n  " + "\n  ".join([*lines[:MOST], *more])


def path_of(keys: Sequence[Any]) -> str:
    """The keys that lead to a place, `methods[3].name`."""
    return "".join(f"[{key}]" if isinstance(key, Position) else f".{key}" for key in keys).removeprefix(".")


class Position(int):
    """A place in a list, counted from 0; other whole numbers are keys, as seeds may be."""


def positions(values: Sequence[Any]) -> Iterator[tuple[Position, Any]]:
    """The values of a list with their places."""
    return ((Position(number), value) for number, value in enumerate(values))


def _entry(source: Any, keys: Sequence[Any]) -> str:
    """The label of the entry of a list that a place is in, where it has one: ` of 'dsp.joint'`."""
    if len(keys) < 3 or not isinstance(keys[1], Position):
        return ""
    entry = source[keys[0]][keys[1]]
    parts = [entry.get(key) for key in ("name", "arm")] if isinstance(entry, Mapping) else []
    label = ".".join(part for part in parts if part and isinstance(part, str))
    return f" of {SHORT.repr(label)}" if label and keys[2] not in ("name", "arm") else ""


def _rule(item: Any) -> str:
    """The rule that a value breaks, with what to write instead where it can be told."""
    kind, value = item["type"], item["input"]
    if kind == "list_type":
        inner = (get_args(_walk(item["loc"])[1]) or (None,))[-1]
        return f"must be a list{'' if isinstance(value, Mapping) else f'; write [{_example(inner, value)}]'}"
    if kind == "dict_type":
        return "must have keys with values below it, not a list or a single value"
    if kind == "model_type":
        example = _example(_walk(item["loc"])[1], value)
        return f"must have keys with values below it{f'; write {example}' if example.startswith('{') else ''}"
    rule = RULES.get(kind) or item["msg"].removeprefix("Value error, ").replace("Input should be", "must be", 1)
    if rule == WHOLE and isinstance(value, str) and "budgets" in item["loc"]:
        rule += " of heads, such as 12, not a share of them"
    return rule


def _example(kind: Any, value: Any) -> str:
    """A value as it stands in a section of this kind: the text `fisher` is the name of an entry, `{name: fisher}`."""
    first = next((key for key in ("name", "kind") if key in getattr(kind, "model_fields", {})), None)
    return f"{{{first}: {SHORT.repr(value).strip(chr(39))}}}" if first and isinstance(value, str) else SHORT.repr(value)


def _nearest(item: Any) -> str:
    """The value of a list of values that is nearest to the one given."""
    if item["type"] != "literal_error" or not isinstance(item["input"], str):
        return ""
    values = re.findall(r"'([^']*)'", item["ctx"]["expected"])
    near = difflib.get_close_matches(item["input"], values, n=1, cutoff=0.4)
    return f"; did you mean {near[0]!r}?" if near else ""


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    return list(_walk(location)[1].model_fields)


def _walk(location: tuple[int | str, ...]) -> tuple[list[int | str], Any]:
    """The keys of a location, without the names by which pydantic tells the kinds of a section apart, and the type of
    what is found there."""
    kind: Any = Config
    keys: list[int | str] = []
    for part in location:  # a field of a section, a key of a dict, a position in a list, or a kind of section
        kind, kinds = _given(kind), _kinds(kind)
        if part in kinds:
            kind = kinds[part]
            continue
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = kind.model_fields[str(part)].annotation if part in kind.model_fields else None
        else:
            kind = get_args(kind)[0] if get_origin(kind) is Annotated else kind
            part = Position(part) if get_origin(kind) in (list, tuple) else part
            kind = next((each for each in reversed(get_args(kind)) if each is not ...), None)
        keys.append(part)
    return keys, _given(kind)


def _given(kind: Any) -> Any:
    """A type that a key has if it is not null."""
    others = [option for option in get_args(kind) if option is not NoneType]
    return others[0] if len(others) == 1 and NoneType in get_args(kind) else kind


def _kinds(kind: Any) -> dict[int | str, Any]:
    """Every member of a union of sections, by its tag; nothing for any other type."""
    union = get_args(kind)[0] if get_origin(kind) is Annotated else None
    members = [get_args(option) for option in get_args(union)]
    return {member[1].tag: member[0] for member in members if len(member) == 2 and isinstance(member[1], Tag)}
