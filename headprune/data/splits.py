"""The base of all corpora: a folder with a file for each split, verified by checksum when it is read."""

from __future__ import annotations

import difflib
import gzip
import hashlib
import os
import re
import reprlib
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from headprune.data.cache import cache_folder

SPLITS = ("train", "valid", "test")
# A line read back must be one line for every reader: str.splitlines, fairseq, sacrebleu and shell tools.
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
EMBEDDED = Path(__file__).resolve().parent / "embedded"


class SplitFiles:
    """A corpus on disk, base of the kinds of corpora.

    `sha256` holds hex digests by file name; a file that is not named there is not verified.
    """

    name: str
    folder: Path
    sha256: Mapping[str, str]
    licence: str

    def candidates(self, split: str) -> tuple[str, ...]:
        """Names that the file of a split may have."""
        raise NotImplementedError

    def path(self, split: str) -> Path:
        """The file of one split.

        :raises ValueError: the split is not one of SPLITS, or more than one candidate exists
        :raises FileNotFoundError: none exists
        """
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}; available: {', '.join(SPLITS)}")
        names = self.candidates(split)
        found = [name for name in names if (self.folder / name).is_file()]
        if not found:
            fetched = self.folder.parent == cache_folder() / "corpora"
            remedy = f": not fetched yet; fetch it with: headprune data {self.name}" if fetched else ""
            raise FileNotFoundError(f"{self.name}: neither {' nor '.join(names)} in {self.folder}{remedy}")
        if len(found) > 1:
            both = "both " if len(found) == 2 else ""
            raise ValueError(f"{self.name}: {both}{' and '.join(found)} in {self.folder}: remove one")
        return self.folder / found[0]

    def files(self, split: str) -> tuple[Path, ...]:
        """All files of one split; raises what `path` raises."""
        return (self.path(split),)

    def require_every_split(self) -> None:
        """Raises ValueError where a split has no file, or several."""
        try:
            for split in SPLITS:
                self.files(split)
        except FileNotFoundError as error:
            raise ValueError(f"not a corpus: {error}") from None


def read_verified(corpus: SplitFiles, path: Path, unit: str = "line") -> list[bytes]:
    """The lines of a file of a corpus, decompressed, after its checksum was found right.

    :param unit: what stands on a line, for the error message
    :raises ValueError: checksum mismatch, a damaged gzip file, no lines
    """
    content = path.read_bytes()
    expected, actual = corpus.sha256.get(path.name), hashlib.sha256(content).hexdigest()
    if expected is not None and actual != expected:
        raise ValueError(f"{path}: checksum differs: expected sha256 {expected}, actual {actual}")
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: not a complete gzip file ({error})") from None
    if not content:
        raise ValueError(f"{path}: empty; expected one {unit} a line")
    return content.removesuffix(b"\n").split(b"\n")


def broken(path: Path, number: int, rule: str) -> ValueError:
    """The error of a line of a corpus that breaks a rule.

    :param number: of the line, from 1
    """
    return ValueError(f"{path}, line {number}: {rule}")


def check_characters(text: str, path: Path, number: int) -> None:
    """Raises ValueError where a line holds what another reader may take for its end, or nobody can see."""
    if found := CONTROL.search(text):
        rule = "must not contain control characters or line separators"
        raise broken(path, number, f"{rule}, has U+{ord(found[0]):04X}")


def decoded(line: bytes, path: Path, number: int) -> str:
    """The text of a line.

    :raises ValueError: it is no UTF-8; names file, line and byte.
    """
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise broken(path, number, f"must be UTF-8 ({error.reason} at byte {error.start})") from None


def checksums(folder: Path) -> dict[str, str]:
    """Digests by file name from the folder's SHA256SUMS; {} where there is none.

    :raises ValueError: a line that `sha256sum` would not write, or another digest for the same file; names the line.
    """
    path = folder / "SHA256SUMS"
    if not path.is_file():
        return {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8 ({error.reason} at byte {error.start})") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        match = re.fullmatch(r"([0-9A-Fa-f]{64})[ \t]+[*]?(\S.*?)\s*", line)
        if match is None and line.strip():
            rule = "must be 64 hexadecimal digits, two spaces and a file name, as sha256sum writes it"
            raise broken(path, number, f"{rule}, has {reprlib.repr(line)}")
        if match and found.setdefault(match[2], match[1].lower()) != match[1].lower():
            raise broken(path, number, f"another checksum of {match[2]!r} stands above")
    return found


def unknown_dataset(name: str, known: Iterable[str], place: str | Path | None = None) -> str:
    """The message for a name that is neither known nor a folder.

    :param place: the absolute path that was looked for; None: the name in the current folder
    """
    known = list(known)
    place = place or Path(os.path.expanduser(name)).absolute()
    if os.sep in name:
        return f"unknown dataset {name!r}: there is no folder {place}; known ones: {', '.join(known)}"
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    guess = f" did you mean {nearest[0]!r}?" if nearest else ""
    listed = ", ".join(known)
    return f"unknown dataset {name!r};{guess} available: {listed}; or a folder of your own, but there is no {place}"
