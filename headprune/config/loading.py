"""Reading a configuration: everything that is wrong with it is found here, before anything is written or run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import yaml
from pydantic import BaseModel, Tag, ValidationError

from headprune.config.models import TRACKS, track_of
from headprune.config.rules import check
from headprune.config.schema import Config
from headprune.method import unknown


class ConfigError(ValueError):
    """A configuration that breaks a rule; the message names key, value, rule and the nearest valid name."""


def load(source: Mapping[str, Any] | str | Path) -> Config:
    """Reads and checks a configuration: a mapping, or the path of a YAML file.

    :raises ConfigError: whatever is wrong with it; nothing has been written then.
    """
    if not isinstance(source, Mapping):
        path = Path(source)
        if not path.is_file():
            names = [p.stem for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
            raise ConfigError(f"profile {str(source)!r} does not exist; " + unknown("profile", path.stem, names))
        try:
            source = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not YAML: {error}") from error
    try:
        config = Config.model_validate(source)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from None
    try:
        check(config)
    except (ValueError, FileNotFoundError, ImportError) as error:
        raise ConfigError(str(error)) from error
    return config


def _explain(error: ValidationError) -> str:
    """pydantic's findings, one a line: key, value, rule, nearest name."""
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in _walk(item["loc"])[0])
        if item["type"] == "extra_forbidden":
            lines.append(f"{key}: " + unknown("key", str(item["loc"][-1]), _known_keys(item["loc"][:-1])))
        elif item["type"] == "missing":
            lines.append(f"{key}: this key is required")
        elif item["type"] == "union_tag_invalid":
            track = track_of(item["input"])
            lines.append(f"{key}.track: " + unknown("track", track, TRACKS))
        else:
            lines.append(f"{key}: {item['input']!r}: {item['msg'].removeprefix('Value error, ')}")
    return "the configuration is not valid:\n  " + "\n  ".join(lines)


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    return list(_walk(location)[1].model_fields)


def _walk(location: tuple[int | str, ...]) -> tuple[list[int | str], Any]:
    """The keys of a location, without the names by which pydantic tells the kinds of a section apart, and the type of
    what is found there."""
    kind: Any = Config
    keys: list[int | str] = []
    for part in location:  # a field of a section, a key of a dict, a position in a list, or a kind of section
        kinds = _kinds(kind)
        if part in kinds:
            kind = kinds[part]
            continue
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = kind.model_fields[str(part)].annotation if part in kind.model_fields else None
        else:
            kind = (get_args(kind) or (None,))[-1]
        keys.append(part)
    return keys, kind


def _kinds(kind: Any) -> dict[int | str, Any]:
    """By its tag, every member of a union of sections; nothing for any other type."""
    union = get_args(kind)[0] if get_origin(kind) is Annotated else None
    members = [get_args(option) for option in get_args(union)]
    return {member[1].tag: member[0] for member in members if len(member) == 2 and isinstance(member[1], Tag)}
