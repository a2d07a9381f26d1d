"""Files on the net: where they are, and how the right one is known."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

Tell = Callable[[str], None]  # is told what happens, a line at a time

GIT = "git"  # the id that git gives a file's content: sha1 over `blob <size>\0` and the content


@dataclass(frozen=True)
class Source:
    """One file, its addresses in the order in which they are tried, and what is known of its content.

    Raises ValueError on a name that is more than a name, an address that is not of the web, an unknown checksum.
    """

    name: str  # in the cache, and in a mirror
    addresses: tuple[str, ...]
    size: int | None = None  # bytes
    checksums: Mapping[str, str] = field(default_factory=dict, hash=False)  # algorithm of hashlib, or GIT -> hex digest
    largest: int = 2**32  # bytes that are accepted where the size is not known

    def __post_init__(self) -> None:
        if not self.name or self.name in (".", "..") or PurePosixPath(self.name).name != self.name:
            raise ValueError(f"name {self.name!r} is not the plain name of a file")
        for address in self.addresses:
            if not address.startswith(("https://", "http://")):
                raise ValueError(f"address {address!r} of {self.name} starts with neither https:// nor http://")
        unknown = set(self.checksums) - hashlib.algorithms_available - {GIT}
        if unknown:
            raise ValueError(f"checksums of {self.name}: unknown {sorted(unknown)}")

    @property
    def limit(self) -> int:
        """Bytes beyond which a file cannot be the right one."""
        return self.size if self.size is not None else self.largest

    def problem(self, path: Path) -> str | None:
        """The fault of a file, in words; None if it is the right one as far as that is known."""
        found = path.stat().st_size
        if self.size is not None and found != self.size:
            return f"has {found:,} bytes, expected {self.size:,}"
        if found > self.limit:
            return f"has {found:,} bytes, more than the {self.limit:,} that are accepted"
        for algorithm, digest in digests(path, self.checksums).items():
            if digest != self.checksums[algorithm].lower():
                return f"has {algorithm} {digest}, expected {self.checksums[algorithm].lower()}"
        return None


def digests(path: Path, algorithms: Iterable[str]) -> dict[str, str]:
    """Hex digests of a file by algorithm; it is read once."""
    hashes = {name: hashlib.sha1() if name == GIT else hashlib.new(name) for name in algorithms}
    if GIT in hashes:
        hashes[GIT].update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as file:
        while hashes and (block := file.read(1 << 20)):
            for each in hashes.values():
                each.update(block)
    return {name: each.hexdigest() for name, each in hashes.items()}
