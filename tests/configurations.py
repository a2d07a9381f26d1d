"""A valid configuration, and what is made of it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from headprune.config import ConfigError, load

# N = 2 · (2 + 2 · 3) = 16 heads
VALID: dict[str, Any] = {
    "profile": "unit",
    "seeds": [1, 2],
    "budgets": [16, 4, 0],
    "datasets": {"help": {"corpus": "lohelp-de-en", "vocabulary": 500}},
    "models": {
        "tiny": {
            "dataset": "help",
            "architecture": {
                "width": 32,
                "feed_forward": 32,
                "encoder_layers": 2,
                "decoder_layers": 3,
                "heads": 2,
            },
            "training": {"updates": 30},
        }
    },
    "methods": [
        {"name": "magnitude"},
        {"name": "random", "draws": 2},
        {"name": "gradient_importance", "arm": "iterative", "options": {"iterative": True}},
        {"name": "dsp", "arm": "joint", "mode": "joint"},
    ],
    "evaluation": {"beam": 2},
}


def changed(path: str, value: Any, base: dict[str, Any] = VALID) -> dict[str, Any]:
    """A copy of the valid configuration with the key at `path` (parts separated by `/`) set to `value`."""
    config = copy.deepcopy(base)
    section: Any = config
    *parents, last = path.split("/")
    for part in parents:
        section = section[int(part) if isinstance(section, list) else part]
    section[int(last) if isinstance(section, list) else last] = value
    return config


def refused(source: Any) -> str:
    with pytest.raises(ConfigError) as error:
        load(source)
    return str(error.value)
