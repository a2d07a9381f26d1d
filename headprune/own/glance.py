"""A first look at a checkpoint, in no time: nothing is imported for it, and nothing in the file is run."""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

NAMES = ("arch", "task", "source_lang", "target_lang")
OLD_PICKLES = 4  # of a file that is no archive, those up to the one with its content
PICKLED = b"\x80"  # the first byte of such a file


def glance(path: Path) -> dict[str, str]:
    """The architecture, the task and the languages of a checkpoint, as far as its texts tell them.

    :returns: by the names in `NAMES`; one that is not told is left out
    :raises FileNotFoundError: there is no such file.
    :raises ValueError: a folder, or a file that `torch.save` did not write.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name the checkpoint in it, such as {path / 'checkpoint_best.pt'}")
    if not path.exists():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            if file.read(1) != PICKLED:
                raise ValueError(f"{path} is damaged, or no checkpoint at all: torch.save writes no such file")
    found: dict[str, str] = {}
    with suppress(ValueError, zipfile.BadZipFile, UnicodeDecodeError):
        for stream in _pickles(path):
            found = _named(_texts(stream)) | found
    return found


def _named(texts: Iterable[str | None]) -> dict[str, str]:
    """The texts that follow one of `NAMES`, the first of each; the task of a configuration has its name within."""
    found: dict[str, str] = {}
    before, within_task = None, False
    for text in texts:
        if text is not None and (before in NAMES or (before == "_name" and within_task)):
            found.setdefault("task" if before == "_name" else str(before), text)
            within_task = False
        within_task = within_task or (before == "task" and text is None)
        before = text
    return found


def _pickles(path: Path) -> Iterator[IO[bytes]]:
    """Streams, each at the beginning of a pickle."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith("/data.pkl"):
                    yield io.BytesIO(archive.read(name))
    else:
        with path.open("rb") as file:
            for _ in range(OLD_PICKLES):
                yield file


def _texts(stream: IO[bytes]) -> Iterator[str | None]:
    """The values of a pickle in their order, those that are texts; None stands for any other."""
    memo: dict[Any, str | None] = {}  # by its number
    last: str | None = None
    for operation, argument, _ in pickletools.genops(stream):
        if operation.name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = last
        elif operation.name == "MEMOIZE":
            memo[len(memo)] = last
        else:
            if operation.name in ("BINGET", "LONG_BINGET"):
                last = memo.get(argument)
            else:
                last = argument if isinstance(argument, str) and "UNICODE" in operation.name else None
            yield last
