"""docs/profile-keys.md is what the schema says."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest

from headprune.config.schema import Config
from headprune.method import load_methods

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "profile-keys.md"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    specification = importlib.util.spec_from_file_location("profile_keys", ROOT / "tools" / "profile_keys.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_page_is_what_the_schema_says(tool: ModuleType) -> None:
    wanted = "python tools/profile_keys.py > docs/profile-keys.md"
    assert PAGE.read_text(encoding="utf-8") == tool.page(), f"write it again: {wanted}"


def test_every_key_and_every_option_stands_on_it() -> None:
    text = PAGE.read_text(encoding="utf-8")
    sections = [Config.model_json_schema(), *Config.model_json_schema()["$defs"].values()]
    for key in {key for section in sections for key in section["properties"]}:
        assert f"| `{key}` |" in text
    for entry in load_methods().values():
        for option in fields(entry.method.Options):  # type: ignore[attr-defined]
            assert f"| `{option.name}` |" in text.split(f"### {entry.name}\n")[1].split("### ")[0]


def test_its_links_lead_somewhere() -> None:
    text = PAGE.read_text(encoding="utf-8")
    anchors = {heading.lower().replace(":", "").replace(" ", "-") for heading in re.findall(r"^##+ (.*)$", text, re.M)}
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert len(targets) > 30
    for target in targets:
        assert target[1:] in anchors if target.startswith("#") else (PAGE.parent / target).is_file(), target


@pytest.mark.parametrize(
    ("field", "kind", "limits"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 1000}, "whole number", ["≥ 1", "≤ 1,000"]),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1e6}, "number", ["> 0", "≤ 1,000,000"]),
        ({"anyOf": [{"type": "integer", "minimum": 2}, {"type": "null"}]}, "whole number, or `null`", ["≥ 2"]),
        ({"enum": ["a", "b"], "type": "string"}, "`a`, `b`", []),
        (
            {"type": "array", "items": {"type": "string", "maxLength": 9}, "maxItems": 3},
            "list of texts",
            ["at most 3 of them", "at most 9 characters"],
        ),
    ],
)
def test_fields_in_words(field: dict[str, object], kind: str, limits: list[str], tool: ModuleType) -> None:
    assert tool.kind(field) == kind
    assert list(tool.limits(field)) == limits
