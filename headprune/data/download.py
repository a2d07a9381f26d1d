"""Verified downloads: retried, resumed, from the first address that gives the right file.

A file has its name only when its size and its checksums are right. Before that it is `.NAME.part`, with `.NAME.state`
beside it, from which a later attempt goes on. Of a file that nobody published a checksum of, the first one fetched
counts: its sha256 is kept in `NAME.pin`.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headprune.data.sources import Source, Tell, digests
from headprune.data.transfer import Policy, UnusableError, accept, download, partial, require_space
from headprune.system.files import alone, replacing


class DownloadError(OSError):
    """No address gave the right file; the message says what each of them did."""


@dataclass(frozen=True)
class Fetched:
    """A file that is there and right."""

    path: Path
    how: str  # kept, copied or downloaded
    origin: str  # address or path it came from; empty if it was kept
    size: int
    sha256: str


def fetch(
    source: Source, folder: Path, mirrors: Sequence[str] = (), policy: Policy | None = None, tell: Tell = print
) -> Fetched:
    """The file of a source in `folder`, fetched if it is not there; one process at a time does it.

    :param mirrors: folders or web addresses that have the file under its name; asked first
    :param tell: is told what happens, a line at a time
    :raises DownloadError: no address gave the right file, or the disk is full. Nothing has the file's name then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder / f".{source.name}.lock", f"{source.name} is being fetched by another process", tell):
        path, pinned = folder / source.name, _pinned(source, folder)
        if path.is_file():
            problem = pinned.problem(path)
            if problem is None:
                return Fetched(path, "kept", "", path.stat().st_size, digests(path, ("sha256",))["sha256"])
            tell(f"{path} {problem}: fetched again")
        try:
            how, origin = _first_right(pinned, path, mirrors, policy or Policy(), tell)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                partial(path).unlink(missing_ok=True)
                raise DownloadError(f"{path} cannot be fetched: no space left in {folder}") from error
            raise
        sha256 = digests(path, ("sha256",))["sha256"]
        if not source.checksums:
            _pin(path, {"sha256": sha256, "size": path.stat().st_size, "from": origin})
        return Fetched(path, how, origin, path.stat().st_size, sha256)


def _first_right(source: Source, path: Path, mirrors: Sequence[str], policy: Policy, tell: Tell) -> tuple[str, str]:
    """Tries mirrors and addresses in turn; `path` is right afterwards. Returns how it came and from where."""
    failures = []
    for how, origin in _places(source, mirrors):
        try:
            if how == "copied":
                require_space(Path(origin).stat().st_size, path.parent)
                shutil.copyfile(origin, partial(path))
                accept(source, path)
            else:
                download(origin, source, path, policy, tell)
            return how, origin
        except UnusableError as error:
            failures.append(f"{origin}: {error}")
            tell(failures[-1])
    if not failures:
        failures = ["it has no address, and no mirror has it"]
    remedy = f"put it there by hand, or name a mirror that has it (HEADPRUNE_MIRROR): {path}"
    raise DownloadError(f"{source.name} cannot be fetched:\n  " + "\n  ".join(failures) + f"\n{remedy}")


def _places(source: Source, mirrors: Sequence[str]) -> Iterator[tuple[str, str]]:
    for mirror in mirrors:
        if mirror.startswith(("https://", "http://")):
            yield "downloaded", f"{mirror.rstrip('/')}/{source.name}"
        elif (Path(mirror) / source.name).is_file():
            yield "copied", str(Path(mirror) / source.name)
    for address in source.addresses:
        yield "downloaded", address


def _pinned(source: Source, folder: Path) -> Source:
    """The source, with the checksum of the file that was fetched first where none is published."""
    pin = folder / f"{source.name}.pin"
    if source.checksums or not pin.is_file():
        return source
    try:
        known = json.loads(pin.read_text(encoding="utf-8"))
        return replace(source, size=known["size"], checksums={"sha256": known["sha256"]})
    except (ValueError, KeyError, TypeError) as error:
        remedy = f"remove it, and {source.name} counts as it is fetched next"
        raise ValueError(f"{pin} is not what was written there ({type(error).__name__}: {error}); {remedy}") from None


def _pin(path: Path, known: dict[str, Any]) -> None:
    with replacing(path.with_name(f"{path.name}.pin")) as temporary:
        temporary.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
