"""One address of a file: requests with retries, pauses and resumption, until the file is whole and right.

What has come so far is `.NAME.part`; `.NAME.state` beside it says of which version on which server.
"""

from __future__ import annotations

import errno
import json
import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import urllib3

from headprune import __version__
from headprune.data.sources import Source, Tell
from headprune.system.files import replacing

USER_AGENT = f"headprune/{__version__} (research software; python-requests)"  # some servers refuse Python's own
TEMPORARY = {408, 425, 429, 500, 502, 503, 504}  # HTTP answers that another attempt may not get
BLOCK = 1 << 16  # bytes


@dataclass(frozen=True)
class Policy:
    """The patience of a download."""

    attempts: int = 5  # in a row without a single new byte, before the next address
    pause: float = 1.0  # seconds before the second attempt; doubled each time
    longest_pause: float = 60.0
    connect: float = 20.0  # seconds for a connection
    silence: float = 60.0  # seconds without a byte, and the window in which `slowest` is judged
    slowest: float = 1024.0  # bytes a second; a connection below it is given up and continued
    redirects: int = 10


class UnusableError(Exception):
    """This address does not have the right file."""


class _AgainError(Exception):
    """Another attempt at the same address may succeed."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


def download(address: str, source: Source, path: Path, policy: Policy, tell: Tell) -> None:
    """Completes the partial file from one address, however often that must be tried, and accepts it."""
    part, idle, furthest = partial(path), 0, _size(partial(path))
    while True:
        resumed = _size(part) > 0
        try:
            _transfer(address, source, part, policy)
        except _AgainError as error:
            idle = 0 if _size(part) > furthest else idle + 1
            furthest = max(furthest, _size(part))
            if idle >= policy.attempts:
                raise UnusableError(f"{error}; given up after {idle} attempts without progress") from error
            pause = min(policy.longest_pause, policy.pause * 2**idle) * random.uniform(0.5, 1)
            pause = min(policy.longest_pause, max(pause, error.pause or 0))
            tell(f"{address}: {error}; again in {pause:.1f} s from byte {_size(part):,}")
            time.sleep(pause)
            continue
        try:
            return accept(source, path)
        except UnusableError:
            if not resumed:
                raise
            tell(f"{address}: the file that was pieced together is not right; once more from the beginning")


def _transfer(address: str, source: Source, part: Path, policy: Policy) -> None:
    """One request: the bytes from where `part` ends to the end of the file."""
    have, headers = _resumable(address, source, part), {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if validator := _state(part).get("validator"):
            headers["If-Range"] = validator
    if source.size is not None and have == source.size:
        return
    try:
        with requests.Session() as session:
            session.max_redirects = policy.redirects
            timeout = (policy.connect, policy.silence)
            with session.get(address, headers=headers, stream=True, timeout=timeout) as response:
                start = _start(response, have, part, source)
                _write_state(part, {"address": address, "validator": _validator(response)})
                with part.open("r+b" if start else "wb") as file:
                    file.seek(start)
                    _receive(response, file, start, source, policy)
    except requests.exceptions.SSLError as error:
        raise UnusableError(f"the connection is not secure: {error}") from error
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise _AgainError(_short(error)) from error
    except urllib3.exceptions.HTTPError as error:
        raise _AgainError(f"the connection broke off: {_short(error)}") from error
    except requests.RequestException as error:
        raise UnusableError(_short(error)) from error


def _start(response: requests.Response, have: int, part: Path, source: Source) -> int:
    """The position in the file at which the answer begins; what it announces must fit."""
    status = response.status_code
    if status in TEMPORARY:
        seconds = response.headers.get("Retry-After", "")
        raise _AgainError(f"HTTP {status} {response.reason}", float(seconds) if seconds.isdigit() else None)
    if status == 416 or (status == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-")):
        part.unlink(missing_ok=True)
        raise _AgainError("it does not go on from where the file ends; from the beginning")
    if status not in (200, 206):
        raise UnusableError(f"HTTP {status} {response.reason}")
    start = have if status == 206 else 0
    length = response.headers.get("Content-Length", "")
    if length.isdigit():
        total = start + int(length)
        if source.size is not None and total != source.size:
            raise UnusableError(f"announces {total:,} bytes, expected {source.size:,}")
        if total > source.limit:
            raise UnusableError(f"announces {total:,} bytes, more than the {source.limit:,} that are accepted")
        require_space(int(length), part.parent)
    return start


def _receive(response: requests.Response, file: Any, start: int, source: Source, policy: Policy) -> None:
    """Writes the body as it comes; too much, too slow and too short are found here."""
    position, length = start, response.headers.get("Content-Length", "")
    window, received = time.monotonic(), 0
    while block := response.raw.read1(BLOCK, decode_content=False):
        file.write(block)
        position, received = position + len(block), received + len(block)
        if position > source.limit:
            file.truncate(0)
            raise UnusableError(f"sends more than {source.limit:,} bytes")
        passed = time.monotonic() - window
        if passed > policy.silence:
            if received < policy.slowest * passed:
                raise _AgainError(f"{received / passed:.0f} bytes a second are too slow")
            window, received = time.monotonic(), 0
    expected = start + int(length) if length.isdigit() else source.size
    if expected is not None and position < expected:
        raise _AgainError(f"ended after {position:,} of {expected:,} bytes")


def accept(source: Source, path: Path) -> None:
    """Moves the partial file to its name if it is right, else removes it."""
    part = partial(path)
    problem = source.problem(part)
    if problem is not None:
        part.unlink()
        raise UnusableError(f"the file {problem}")
    with replacing(path) as temporary:
        part.replace(temporary)
    _state_path(part).unlink(missing_ok=True)


def _resumable(address: str, source: Source, part: Path) -> int:
    """Bytes of the partial file that can be kept; without a checksum, only those of the same version of the same file.

    Nothing but its size tells a whole file of unknown checksum from a patchwork.
    """
    have, state = _size(part), _state(part)
    if have and not source.checksums and (state.get("address") != address or not state.get("validator")):
        part.unlink()
        return 0
    if have > source.limit:
        part.unlink()
        return 0
    if state.get("address") != address:
        _state_path(part).unlink(missing_ok=True)  # its validator is another server's
    return have


def _validator(response: requests.Response) -> str:
    """The tag or date that tells the server whether its file is still the same; weak tags do not."""
    tag = str(response.headers.get("ETag", ""))
    return tag if tag and not tag.startswith("W/") else str(response.headers.get("Last-Modified", ""))


def require_space(size: int, folder: Path) -> None:
    """:raises OSError: the disk of a folder has fewer than `size` bytes left."""
    if shutil.disk_usage(folder).free < size:
        raise OSError(errno.ENOSPC, "no space left", str(folder))


def partial(path: Path) -> Path:
    """The file beside `path` that holds what has come of it so far."""
    return path.with_name(f".{path.name}.part")


def _state_path(part: Path) -> Path:
    return part.with_suffix(".state")


def _state(part: Path) -> dict[str, str]:
    try:
        return dict(json.loads(_state_path(part).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _write_state(part: Path, state: dict[str, str]) -> None:
    _state_path(part).write_text(json.dumps(state), encoding="utf-8")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _short(error: BaseException) -> str:
    """The innermost reason, in one line: requests and urllib3 wrap each other's errors several times."""
    while (inner := getattr(error, "reason", None) or next(iter(error.args), None)) and isinstance(
        inner, BaseException
    ):
        error = inner
    return " ".join(str(error).split())[:300] or type(error).__name__
