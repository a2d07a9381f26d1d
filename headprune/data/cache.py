"""The places where fetched corpora are kept, and where they come from first."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

CACHE, MIRROR = "HEADPRUNE_CACHE", "HEADPRUNE_MIRROR"


def cache_folder() -> Path:
    """`$HEADPRUNE_CACHE`, else `headprune` in the user's cache folder.

    :raises ValueError: the user has no home.
    """
    chosen = os.environ.get(CACHE)
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(chosen or f"{base}/headprune").expanduser().absolute()
    except RuntimeError as error:
        raise ValueError(f"no folder for corpora: {error}; name one in ${CACHE}") from None


def make_folder(folder: Path) -> None:
    """Makes a folder of the cache, if there is none.

    :raises PermissionError: it cannot be made or written; says how to choose another.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PermissionError(
            f"the cache of corpora cannot be written: {folder}: {error.strerror}; name another folder in ${CACHE}"
        ) from None


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
