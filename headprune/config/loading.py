"""Reading a configuration: everything that is wrong with it is found here, before anything is written or run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from headprune.config import parts, tuned
from headprune.config.explaining import SHORT, explained, path_of, positions
from headprune.config.rules import check
from headprune.config.schema import Config
from headprune.method import unknown
from headprune.method.declared import declared
from headprune.method.entry import BUILT_IN
from headprune.settings import FOLDER
from headprune.system.bundled import bundled

LONGEST = 1000  # characters of a text
LARGEST = 2**18  # bytes of a profile; YAML of more takes seconds to read


class ConfigError(ValueError):
    """A configuration that breaks a rule; the message names key, value, rule and the nearest valid name."""


def load(source: Mapping[str, Any] | str | Path, folder: str | Path | None = None) -> Config:
    """Reads and checks a configuration: a mapping, or the path of a YAML file. If it names a `part`, the rest goes.

    :param folder: where relative paths begin, but that of the results; None: that of the file, of a mapping the current
        one
    :raises ConfigError: whatever is wrong with it; nothing has been written then.
    """
    if not isinstance(source, Mapping):
        folder = folder or Path(source).absolute().parent
        source = read(source)
    try:
        check_texts(source)
        config = Config.model_validate(source, context={FOLDER: folder})
        said = declared(BUILT_IN, *config.methods_directories)
        if said is not None:  # most errors show in what the files of methods say, without the seconds of torch
            check(config, said)
            parts.check(config, said)
        registry = config.registry()
        check(config, registry)
        parts.check(config, registry)
        config = parts.narrowed(config, registry)
        tuned.check_chosen(config, registry)
    except ValidationError as error:
        raise ConfigError(explained(error, source)) from None
    except (ValueError, OSError, ImportError) as error:
        raise ConfigError(str(error)) from error
    except RecursionError:
        raise ConfigError("the configuration is nested without end: an alias of YAML leads back to itself") from None
    return config


def profile_file(given: str | Path) -> Path:
    """The file of a profile that a command is given: a path, or the bare name of a profile that comes along.

    :raises ConfigError: a bare name of nothing here and of no such profile.
    """
    path = Path(given)
    if path.suffix or path.name != str(given) or path.is_file():
        return path
    known = {file.stem: file for file in sorted(bundled("workflows/config").glob("*.yaml"))}
    if path.name not in known:
        raise ConfigError(unknown("profile", path.name[:LONGEST], known) + "; or the path of a file")
    return known[path.name]


def read(source: str | Path) -> Mapping[str, Any]:
    """The content of a YAML file, of which nothing is known but that it is a mapping and no key stands in it twice.

    :raises ConfigError: there is no such file, or it is something else.
    """
    path = Path(source)
    try:
        if not path.is_file():
            names = [p.stem for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
            raise ConfigError(
                f"profile {_shown(path)} does not exist; " + unknown("profile", path.stem[:LONGEST], names)
            )
        if (size := path.stat().st_size) > LARGEST:
            raise ConfigError(f"{_shown(path)} has {size:,} bytes; a profile has at most {LARGEST:,}")
        found = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        why = getattr(error, "strerror", None) or error  # without the name, which may be the trouble
        raise ConfigError(f"{_shown(path)} cannot be read: {why}") from error
    if not isinstance(found, Mapping):
        raise ConfigError(f"{path} holds {type(found).__name__}, not the keys of a profile")
    return found


def check_texts(source: Any) -> None:
    """Every text, a key's too, can be written and is no longer than any key takes; so messages may show it.

    :raises ValueError: one is not. It is named by the keys that lead to it.
    """
    seen, waiting = set[int](), [(tuple[Any, ...](), source)]
    while waiting:  # no recursion: an alias of YAML may lead back to itself, or to the same place a million times
        where, value = waiting.pop()
        if isinstance(value, str):
            _check_text(where, value)
        elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            for key, inner in value.items() if isinstance(value, Mapping) else positions(value):
                if isinstance(key, str):
                    _check_text(where, key, "the key ")
                if isinstance(inner, str | Mapping | list | tuple):
                    waiting.append(((*where, key), inner))


def _check_text(where: Sequence[Any], text: str, what: str = "") -> None:
    rule = f"has {len(text):,} characters; at most {LONGEST:,} are accepted" if len(text) > LONGEST else ""
    if re.search("[\ud800-\udfff]", text):
        rule = "holds half a character (a lone surrogate), which no file can hold"
    if rule:
        raise ValueError(f"{path_of(where) or 'the configuration'}: {what}{SHORT.repr(text)} {rule}")


def _shown(path: Path) -> str:
    """A path as messages name it: one of thousands of characters in short."""
    return repr(str(path)) if len(str(path)) <= LONGEST else SHORT.repr(str(path))


class _Loader(yaml.SafeLoader):
    """Plain data only, and no key twice: YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key)
            if name in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)
