"""Unpacking archives that nobody vouches for: nothing leaves the folder, no link is made, nothing grows too large."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

BLOCK = 1 << 20  # bytes
FILES = 10_000  # most members of an archive
COMPRESSED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}  # by the bytes a file begins with


class ArchiveError(ValueError):
    """An archive that is damaged, or that wants more than to put files into its folder."""


def unpack(
    archive: Path, folder: Path, largest: int, files: int = FILES, only: Collection[str] | None = None
) -> list[Path]:
    """Unpacks a zip or tar archive (gzip, bzip2, xz or not) into a folder that is new or empty.

    The caller removes the folder where this fails: what came before the offending member lies in it.

    :param largest: bytes of all members together
    :param files: members
    :param only: names without folders; members of other names are passed over, whatever they are called; None: all
    :returns: the files that were written
    :raises ArchiveError: the archive is damaged or of another kind; a member has an absolute name, a name that leads
        out of the folder, or the name of another member; is a link, a device or encrypted; or there is too much
    :raises FileExistsError: the folder holds something
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty, nothing is unpacked into it")
    members = _zip_members if zipfile.is_zipfile(archive) else _tar_members
    written: list[Path] = []
    total = 0
    try:
        for name, size, content in members(archive, largest):
            if only is not None and PurePosixPath(name).name not in only:
                continue
            target = _target(archive, folder, name)
            total += size
            if total > largest or len(written) >= files:
                raise ArchiveError(f"{archive}: holds more than {largest:,} bytes or {files:,} files")
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                _copy(content, file, size, f"{archive}: {name!r}")
            written.append(target)
    except (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, NotImplementedError) as error:
        raise ArchiveError(f"{archive} is damaged, or no archive of a known kind ({error})") from error
    except (FileExistsError, NotADirectoryError) as error:
        raise ArchiveError(f"{archive}: two members have one name: {error.filename}") from error
    except gzip.BadGzipFile as error:
        raise ArchiveError(f"{archive} is damaged ({error})") from error
    return written


def _target(archive: Path, folder: Path, name: str) -> Path:
    """The path to which a member is unpacked."""
    parts = PurePosixPath(name).parts
    unsafe = not parts or name.startswith("/") or ".." in parts or re.search(r"[\x00-\x1f\x7f\\]|^[A-Za-z]:", name)
    if unsafe:
        raise ArchiveError(f"{archive}: {name!r} is a name that leads elsewhere; nothing of it is used")
    return folder.joinpath(*parts)


def _copy(content: IO[bytes], file: IO[bytes], size: int, what: str) -> None:
    copied = 0
    while block := content.read(BLOCK):
        copied += len(block)
        if copied > size:
            raise ArchiveError(f"{what} is larger than it says ({size:,} bytes)")
        file.write(block)
    if copied != size:
        raise ArchiveError(f"{what} ends after {copied:,} of {size:,} bytes")


def _zip_members(archive: Path, largest: int) -> Iterator[tuple[str, int, IO[bytes]]]:
    with zipfile.ZipFile(archive) as whole:
        for member in whole.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise ArchiveError(
                    f"{archive}: member {member.filename!r} is a link or a device; nothing of it is used"
                )
            if member.flag_bits & 1:
                raise ArchiveError(f"{archive}: {member.filename!r} is encrypted")
            if not member.is_dir():
                with whole.open(member) as content:
                    yield member.filename, member.file_size, content


def _tar_members(archive: Path, largest: int) -> Iterator[tuple[str, int, IO[bytes]]]:
    with archive.open("rb") as start:
        begin = start.read(8)
    opener: Any = next((opener for magic, opener in COMPRESSED.items() if begin.startswith(magic)), Path.open)
    # Headers, padding and long names count, too: a header of many gigabytes would otherwise be read into memory.
    with opener(archive, "rb") as stream, tarfile.open(fileobj=_Limited(stream, archive, 2 * largest)) as whole:  # type: ignore[call-overload]
        for member in whole:
            if not (member.isreg() or member.isdir()):
                raise ArchiveError(f"{archive}: {member.name!r} is a link or a device; nothing of it is used")
            if member.isreg():
                if member.size > largest:
                    raise ArchiveError(f"{archive}: holds more than {largest:,} bytes or {FILES:,} files")
                content = whole.extractfile(member)
                assert content is not None
                yield member.name, member.size, content


class _Limited:
    """A stream that may be read up to a position only."""

    def __init__(self, stream: Any, archive: Path, end: int) -> None:
        self.stream, self.archive, self.end = stream, archive, end + BLOCK

    def read(self, size: int = -1) -> bytes:
        if size < 0 or self.stream.tell() + size > self.end:
            raise ArchiveError(f"{self.archive}: holds more than the {self.end:,} bytes that are accepted")
        return bytes(self.stream.read(size))

    def seek(self, position: int, whence: int = 0) -> int:
        if whence == 0 and position > self.end:
            raise ArchiveError(f"{self.archive}: holds more than the {self.end:,} bytes that are accepted")
        return int(self.stream.seek(position, whence))

    def tell(self) -> int:
        return int(self.stream.tell())
