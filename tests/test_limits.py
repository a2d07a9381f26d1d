"""Every number of a profile has bounds, every text and list a length; what no machine can serve is refused at once."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from configurations import VALID, changed, refused
from pydantic import ValidationError

from headprune.config import ConfigError, load
from headprune.config.schema import Config
from headprune.method import Entry, load_methods
from headprune.method.entry import LARGEST
from headprune.pipeline import limits
from headprune.pipeline.plan import Plan
from headprune.settings import Section
from tests.found import Found, rows

SCHEMA = Config.model_json_schema()
FREE = {"Method.options"}  # what a method's options may be, its own dataclass says: `Entry.options`


def leaves(schema: dict[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every type within a field, by name."""
    yield where, schema
    for key in ("anyOf", "oneOf", "prefixItems"):
        for option in schema.get(key, []):
            yield from leaves(option, where)
    for key, suffix in (("items", "[]"), ("additionalProperties", ".*"), ("propertyNames", " keys")):
        if isinstance(schema.get(key), dict):
            yield from leaves(schema[key], where + suffix)


def sections() -> dict[str, dict[str, Any]]:
    return {"Config": SCHEMA, **SCHEMA["$defs"]}


FIELDS = [
    (f"{name}.{key}", field) for name, section in sections().items() for key, field in section["properties"].items()
]


def test_the_walk_sees_the_schema() -> None:
    assert len(sections()) >= 15
    assert len(FIELDS) >= 100


@pytest.mark.parametrize(("where", "field"), FIELDS, ids=[where for where, _ in FIELDS])
def test_every_field_has_a_meaning_and_limits(where: str, field: dict[str, Any]) -> None:
    assert field.get("description"), f"{where} has no description"
    for name, leaf in leaves(field, where):
        kind = leaf.get("type")
        if kind in ("integer", "number"):
            assert {"minimum", "exclusiveMinimum"} & set(leaf), f"{name}: no least value"
            assert {"maximum", "exclusiveMaximum"} & set(leaf), f"{name}: no largest value"
        if kind == "string" and not {"enum", "const"} & set(leaf):
            assert "maxLength" in leaf, f"{name}: no length"
        if kind == "array":
            assert "maxItems" in leaf, f"{name}: no length"
        if kind == "object" and "additionalProperties" in leaf:
            assert "maxProperties" in leaf, f"{name}: no number of entries"


def classes(base: type[Section] = Section) -> Iterator[type[Section]]:
    for each in base.__subclasses__():
        yield each
        yield from classes(each)


HUGE = [10**400, -(10**400), 1e300, math.inf, math.nan, "x" * 5000, [10**400], ["x" * 5000], {"data": 10**400}]


@pytest.mark.parametrize("cls", list(classes()), ids=lambda cls: cls.__name__)
def test_no_field_takes_what_is_huge(cls: type[Section]) -> None:
    """Every field and value give an error at this field, whatever else is missing."""
    for name in cls.model_fields:
        for value in HUGE if f"{cls.__name__}.{name}" not in FREE else []:
            with pytest.raises(ValidationError) as error:
                cls.model_validate({name: value})
            assert any(item["loc"][0] == name for item in error.value.errors()), (name, value)


@pytest.mark.parametrize("entry", list(load_methods().values()), ids=lambda entry: entry.name)
def test_no_option_takes_what_is_huge(entry: Entry) -> None:
    for option in fields(entry.method.Options):  # type: ignore[attr-defined]
        for value in (math.inf, -math.inf, math.nan, 10**400, 10**30, 1e30):
            with pytest.raises(ValueError, match=repr(option.name)):
                entry.options({option.name: value})


def test_options_up_to_the_limit_are_taken() -> None:
    assert load_methods()["fisher"].options({"limit": LARGEST}).limit == LARGEST


SOURCE = "the bound beside the field"
LAYERS = dict.fromkeys(("width", "heads", "encoder_layers", "decoder_layers"), 1000)
ARM, CORPUS = "methods/0/arm", "datasets/help/corpus"


@rows(
    Found("a million seeds", "no end within 60 s", "at most 1000", SOURCE, ("seeds", list(range(10**6)))),
    Found("vocabulary 10^400", "OverflowError", "10000000", SOURCE, ("datasets/help/vocabulary", 10**400)),
    Found("vocabulary 1e9", "accepted", "1000000", SOURCE, ("datasets/help/vocabulary", 1e9)),
    Found("width 1e9", "accepted", "131072", SOURCE, ("models/tiny/architecture/width", 1e9)),
    Found("updates 1e30", "no limit named", "100000000", SOURCE, ("models/tiny/training/updates", 1e30)),
    Found("3,000,000 heads", "50 s", "100,000", SOURCE, ("models/tiny/architecture", LAYERS)),
    Found("60,000 draws", "60,000 cells", "25,000", "limits.MOST_CELLS", ("methods/1/draws", 10_000)),
    Found("an arm of 260 characters", "OSError 36, late", "100 characters", SOURCE, (ARM, "a" * 260)),
    Found("a profile name of 300", "PeriodicWildcardError", "100 characters", SOURCE, ("profile", "p" * 300)),
    Found("a profile name that repeats", "PeriodicWildcardError", "20 times", "Snakemake", ("profile", "p" * 20)),
    Found("an arm that repeats", "PeriodicWildcardError", "20 times", "Snakemake", (ARM, "ab" * 20)),
    Found("a corpus of 5,000 characters", "prints itself", "at most 1,000", SOURCE, (CORPUS, "x" * 5000)),
    Found("results of 5,000 characters", "OSError 36", "at most 1,000", SOURCE, ("results", "x/" * 2500)),
    Found("a key of 5,000 characters", "prints itself", "at most 1,000", SOURCE, ("x" * 5000, 1)),
    Found("a method of 5,000 characters", "prints itself", "at most 1,000", SOURCE, ("methods/0/name", "x" * 5000)),
    Found("a lone surrogate", "a codec error", "lone surrogate", "Unicode", ("results", "\ud800")),
    Found("a key with a lone surrogate", "a codec error", "lone surrogate", "Unicode", ("a\ud800", 1)),
    Found("an infinite option", "accepted", "'start' is inf", SOURCE, ("methods/3/options", {"start": math.inf})),
    Found("an option of 10^400", "accepted", "'step' is 1000", SOURCE, ("methods/2/options", {"step": 10**400})),
    Found("an unknown home", "taken literally", "no home folder", "os.path.expanduser", ("results", "~nobody-here/x")),
)  # fmt: skip
def test_what_no_machine_serves_is_refused_at_once(found: Found) -> None:
    key, value = found.case
    started = time.process_time()
    with pytest.raises(ConfigError) as error:
        Plan(load(changed(key, value)))
    assert time.process_time() - started < 5
    message = str(error.value)
    assert found.right in message
    assert any(word in message for word in (key.split("/")[-1][:40], "option", "cells", "the key"))
    assert len(message) < 700


def test_a_profile_of_megabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    path.write_text("seeds: [" + ", ".join(map(str, range(10**6))) + "]\n")
    started = time.process_time()
    assert "7,888,898" in (message := refused(path))
    assert "262,144" in message
    assert time.process_time() - started < 2


def test_a_profile_with_a_name_of_thousands_of_characters() -> None:
    assert len(refused("x" * 5000)) < 500
    assert len(refused("x/" * 2500 + "y.yaml")) < 500


def test_a_surrogate_in_a_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "surrogate.yaml"
    path.write_text(yaml.safe_dump(VALID) + 'mirror: "\\ud800"\n')
    assert refused(path) == "mirror: '\\ud800' holds half a character (a lone surrogate), which no file can hold"


def test_a_tilde_is_the_users_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "own").mkdir()
    config = load(VALID | {"results": "~/x", "methods_directories": ["~/own"]})
    assert config.folder == tmp_path / "x" / "unit"
    assert config.methods_directories == [str(tmp_path / "own")]
    assert load(config.model_dump(exclude_defaults=True)) == config


def test_the_longest_names_that_are_taken_fit_on_disk(tmp_path: Path) -> None:
    """Each name that is made of arms and models together is one that a file system takes."""
    words = "abcdefghijklmnopqrstuvwxyz0123456789" * 3
    taken, refusals = 0, []
    for length in range(10, 101, 3):
        config = changed("models", {words[:100]: VALID["models"]["tiny"]}, changed("methods/3/arm", words[:length]))
        config |= {"treatments": [{"name": "from_scratch", "arm": words[:length]}], "results": str(tmp_path)}
        plan = Plan(load(config))
        try:
            limits.check_writable(plan)
        except ConfigError as error:
            refusals.append(str(error))
            continue
        taken += 1
        longest = max((job.name for job in plan.jobs), key=len).replace("/", "-")
        for name in (f".{longest}.json.{'0' * 8}", f".{longest}-{'0' * 12}.old-{'0' * 8}", f"{longest}.lock"):
            (tmp_path / name).touch()
            (tmp_path / name).unlink()
    assert taken > 10
    assert refusals
    assert all("file systems take 255" in message and "arm" in message for message in refusals)


def test_a_path_that_is_too_deep_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    deep = "/".join(["d" * 19] * 49)
    home = tmp_path / "/".join(["e" * 200] * 15)
    config = load(VALID | {"results": deep})
    plan = Plan(config, home / config.folder)
    with pytest.raises(ConfigError, match=r"paths of the run have up to 4\d\d\d bytes; Linux takes 4095"):
        limits.check_names(plan)
    part = Plan(load(VALID | {"results": "ä" * 128}))  # 256 bytes, 128 characters
    with pytest.raises(ConfigError, match="results: .* has 256 bytes, file systems take 255"):
        limits.check_writable(part)


def test_counted_cells_are_the_cells() -> None:
    plan = Plan(load(VALID | {"ablations": [{"kind": "drop_one"}]}))
    assert sum(count for _, count in limits._counts(plan.grid)) == len(plan.cells) + 2
