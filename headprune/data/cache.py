"""Where fetched corpora are kept, and where they come from first."""

from __future__ import annotations

import os
from pathlib import Path

CACHE, MIRROR = "HEADPRUNE_CACHE", "HEADPRUNE_MIRROR"


def cache_folder() -> Path:
    """`$HEADPRUNE_CACHE`, else `headprune` in the user's cache folder."""
    chosen = os.environ.get(CACHE)
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(chosen or f"{base}/headprune").expanduser().absolute()


def mirrors(name: str) -> list[str]:
    """Folders or web addresses of `$HEADPRUNE_MIRROR` that may have files of a corpus: a folder of its name, or none.

    :raises ValueError: the mirror is neither a web address nor a folder.
    """
    mirror = os.environ.get(MIRROR, "")
    if not mirror:
        return []
    if mirror.startswith(("https://", "http://")):
        return [f"{mirror.rstrip('/')}/{name}"]
    folder = Path(mirror).expanduser()
    if not folder.is_dir():
        raise ValueError(f"{MIRROR} is {mirror!r}: neither a folder nor a web address")
    return [str(folder / name), str(folder)]
