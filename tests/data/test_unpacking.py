"""Archives that were made to do harm: nothing outside the folder, no link, nothing huge."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path

import pytest

from headprune.data.unpacking import ArchiveError, unpack

Member = tuple[str, bytes]
LARGEST = 1_000_000  # bytes, in all tests

HOSTILE_NAMES = [
    "../out.txt",
    "a/../../out.txt",
    "/tmp/headprune-out.txt",
    "..",
    "a/..",
    "..\\out.txt",
    "C:\\out.txt",
    "c:out.txt",
    "a\nb.txt",
    "\x1b[2J.txt",
]


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """A folder in a folder that must stay as it is."""
    (tmp_path / "outer").mkdir()
    return tmp_path / "outer" / "inner"


def zipped(path: Path, members: Iterable[Member]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def tarred(path: Path, members: Iterable[Member | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                entry = tarfile.TarInfo(member[0])
                entry.size = len(member[1])
                archive.addfile(entry, io.BytesIO(member[1]))
    return path


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


PACKERS = pytest.mark.parametrize("pack", [zipped, tarred])


def assert_contained(inside: Path) -> None:
    """Beside the folder there is nothing new."""
    assert {path.name for path in inside.parent.iterdir()} <= {"inner"}
    assert not Path("/tmp/headprune-out.txt").exists()
    assert not any(path.is_symlink() for path in inside.rglob("*"))


@PACKERS
def test_files_and_folders(pack: Callable[..., Path], tmp_path: Path, inside: Path) -> None:
    content = {"a.txt": b"one", "b/c/d.txt": b"two", "./e.txt": b"three", "empty": b"", "names with ü.txt": b"4"}
    written = unpack(pack(tmp_path / "x", content.items()), inside, LARGEST)
    assert {path.relative_to(inside).as_posix(): path.read_bytes() for path in written} == {
        name.removeprefix("./"): text for name, text in content.items()
    }


@PACKERS
def test_members_that_are_not_asked_for_are_passed_over(
    pack: Callable[..., Path], tmp_path: Path, inside: Path
) -> None:
    """Whatever they are called: the archive of SNLI has a member `Icon` with a carriage return."""
    content = {"a/Icon\r": b"", "a/one.txt": b"one", "two.txt": b"two", "../out.txt": b"three"}
    written = unpack(pack(tmp_path / "x", content.items()), inside, LARGEST, only={"one.txt"})
    assert [path.relative_to(inside).as_posix() for path in written] == ["a/one.txt"]
    assert_contained(inside)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_every_compression(mode: str, tmp_path: Path, inside: Path) -> None:
    with tarfile.open(tmp_path / "x", mode) as archive:
        entry = tarfile.TarInfo("a")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"one"))
    assert unpack(tmp_path / "x", inside, LARGEST)[0].read_bytes() == b"one"


@PACKERS
@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_that_lead_elsewhere(pack: Callable[..., Path], name: str, tmp_path: Path, inside: Path) -> None:
    with pytest.raises(ArchiveError, match="leads elsewhere"):
        unpack(pack(tmp_path / "x", [(name, b"harm")]), inside, LARGEST)
    assert_contained(inside)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_tar(kind: bytes, tmp_path: Path, inside: Path) -> None:
    members = [link("inner", str(tmp_path), kind), ("inner/out.txt", b"harm")]
    with pytest.raises(ArchiveError, match="link or a device"):
        unpack(tarred(tmp_path / "x", members), inside, LARGEST)
    assert_contained(inside)
    assert not (tmp_path / "out.txt").exists()


def test_links_in_zip(tmp_path: Path, inside: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x", "w") as archive:
        entry = zipfile.ZipInfo("inner")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, str(tmp_path))
        archive.writestr("inner/out.txt", b"harm")
    with pytest.raises(ArchiveError, match="link or a device"):
        unpack(tmp_path / "x", inside, LARGEST)
    assert_contained(inside)


def test_set_user_id_is_not_taken_over(tmp_path: Path, inside: Path) -> None:
    entry = tarfile.TarInfo("a")
    entry.mode, entry.uid = 0o6777, 0
    (path,) = unpack(tarred(tmp_path / "x", [entry]), inside, LARGEST)
    assert not path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IXUSR)


@PACKERS
def test_bombs(pack: Callable[..., Path], tmp_path: Path, inside: Path) -> None:
    """A few kibibytes that become many megabytes."""
    path = pack(tmp_path / "x", [("bomb", bytes(20_000_000))])
    assert path.stat().st_size < 50_000
    with pytest.raises(ArchiveError, match="more than"):
        unpack(path, inside, LARGEST)
    assert sum(p.stat().st_size for p in inside.rglob("*")) == 0


@PACKERS
def test_many_members_that_are_too_much_together(pack: Callable[..., Path], tmp_path: Path, inside: Path) -> None:
    with pytest.raises(ArchiveError, match="more than"):
        unpack(pack(tmp_path / "x", [(f"f{i}", bytes(400_000)) for i in range(3)]), inside, LARGEST)


@PACKERS
def test_too_many_files(pack: Callable[..., Path], tmp_path: Path, inside: Path) -> None:
    with pytest.raises(ArchiveError, match="more than .* or 5 files"):
        unpack(pack(tmp_path / "x", [(f"f{i}", b"") for i in range(6)]), inside, LARGEST, files=5)


def test_a_header_of_many_megabytes_is_not_read(tmp_path: Path, inside: Path) -> None:
    """An extended header is text that tarfile reads whole."""
    entry = tarfile.TarInfo("long")
    entry.type, entry.size = tarfile.XHDTYPE, 2**33
    with gzip.open(tmp_path / "x", "wb") as file:
        file.write(entry.tobuf(tarfile.USTAR_FORMAT if entry.size < 2**33 else tarfile.GNU_FORMAT) + bytes(10_000))
    with pytest.raises(ArchiveError, match="more than"):
        unpack(tmp_path / "x", inside, LARGEST)


def test_a_zip_member_that_says_too_little(tmp_path: Path, inside: Path) -> None:
    path = zipped(tmp_path / "x", [("a", bytes(5_000))])
    raw = path.read_bytes().replace((5_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(raw)
    with pytest.raises(ArchiveError):
        unpack(path, inside, LARGEST)


@PACKERS
@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("a/b", "a")])
def test_two_members_of_one_name(
    pack: Callable[..., Path], names: tuple[str, str], tmp_path: Path, inside: Path
) -> None:
    with pytest.warns(UserWarning, match="Duplicate") if pack is zipped and names == ("a", "a") else nullcontext():
        path = pack(tmp_path / "x", [(name, b"x") for name in names])
    with pytest.raises(ArchiveError, match="one name"):
        unpack(path, inside, LARGEST)


@PACKERS
def test_truncated(pack: Callable[..., Path], tmp_path: Path, inside: Path) -> None:
    path = pack(tmp_path / "x", [("a", bytes(range(256)) * 1000)])
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ArchiveError, match="damaged"):
        unpack(path, inside, LARGEST)


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b broken", b"PK\x03\x04 broken", b"BZh broken"])
def test_no_archive(content: bytes, tmp_path: Path, inside: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ArchiveError):
        unpack(tmp_path / "x", inside, LARGEST)
    assert_contained(inside)


def test_an_encrypted_member(tmp_path: Path, inside: Path) -> None:
    path = zipped(tmp_path / "x", [("a", b"x")])
    raw = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(magic) + offset] |= 1
    path.write_bytes(raw)
    with pytest.raises(ArchiveError, match="encrypted"):
        unpack(path, inside, LARGEST)


def test_nothing_is_unpacked_among_other_files(tmp_path: Path, inside: Path) -> None:
    inside.mkdir()
    (inside / "mine").write_text("x")
    with pytest.raises(FileExistsError):
        unpack(zipped(tmp_path / "x", [("a", b"x")]), inside, LARGEST)
    assert [path.name for path in inside.iterdir()] == ["mine"]
