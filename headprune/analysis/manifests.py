"""The manifest of results, as far as it tells: to tables and figures an unreadable one is as good as none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def told(folder: Path, *keys: str) -> Mapping[str, Any]:
    """The part of the manifest of results under these keys, one inside the other; the whole without keys.

    :returns: empty where there is no such part, or no readable manifest
    """
    try:
        found = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        for key in keys:
            found = found[key]
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
