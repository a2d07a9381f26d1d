"""Downloads from a server that misbehaves: the right file, or an error and nothing."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headprune.data.download import DownloadError, Fetched, fetch
from headprune.data.sources import Source
from headprune.data.transfer import USER_AGENT, Policy
from tests.data import loopback
from tests.data.loopback import Site

CONTENT = random.Random(1).randbytes(50_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HASTY = Policy(attempts=3, pause=0.01, longest_pause=0.05, connect=5, silence=0.4, slowest=50_000)

Get = Callable[..., Fetched]


@pytest.fixture
def site() -> Iterator[Site]:
    with loopback.running() as site:
        yield site


@pytest.fixture
def get(tmp_path: Path) -> Get:
    """Fetches `corpus.bin` from some addresses into tmp_path; lines that were told are in `get.told`."""
    told: list[str] = []

    def get(*addresses: str, mirrors: tuple[str, ...] = (), known: bool = True, **more: object) -> Fetched:
        if known:
            more = {"size": len(CONTENT), "checksums": {"sha256": SHA256}} | more
        source = Source("corpus.bin", addresses, **more)  # type: ignore[arg-type]
        return fetch(source, tmp_path, mirrors, HASTY, told.append)

    get.told = told  # type: ignore[attr-defined]
    return get


def assert_nothing(folder: Path) -> None:
    """Nothing has the name of the file, and nothing is left of it but what the next attempt can use."""
    assert {path.name for path in folder.iterdir()} <= {".corpus.bin.lock", ".corpus.bin.part", ".corpus.bin.state"}


def test_a_good_file(site: Site, get: Get, tmp_path: Path) -> None:
    found = get(site.serve("a", CONTENT))
    assert found.path.read_bytes() == CONTENT
    assert (found.how, found.size, found.sha256) == ("downloaded", len(CONTENT), SHA256)
    assert {path.name for path in tmp_path.iterdir()} == {".corpus.bin.lock", "corpus.bin"}


def test_a_file_that_is_there_is_verified_and_kept(site: Site, get: Get) -> None:
    address = site.serve("a", CONTENT)
    assert get(address).how == "downloaded"
    assert get(address).how == "kept"
    assert len(site.requests) == 1


def test_a_file_that_was_damaged_since_is_fetched_again(site: Site, get: Get) -> None:
    address = site.serve("a", CONTENT)
    path = get(address).path
    path.write_bytes(CONTENT[:-1] + b"x")
    assert get(address).how == "downloaded"
    assert path.read_bytes() == CONTENT


def test_the_request_says_who_asks_and_wants_the_bytes_as_they_are(site: Site, get: Get) -> None:
    get(site.serve("a", CONTENT))
    headers = site.asked("a")[0]
    assert headers["User-Agent"] == USER_AGENT
    assert "urllib" not in USER_AGENT
    assert headers["Accept-Encoding"] == "identity"


def test_a_compressed_file_is_not_unpacked_on_the_way(site: Site, get: Get) -> None:
    packed = gzip.compress(CONTENT)
    address = site.serve(
        "a", lambda h: (h.start(200, Content_Length=len(packed), Content_Encoding="gzip"), h.wfile.write(packed))[0]
    )
    found = get(address, known=False, checksums={"md5": hashlib.md5(packed).hexdigest()})
    assert found.path.read_bytes() == packed


@pytest.mark.parametrize("algorithm", ["sha256", "sha1", "md5", "git"])
def test_every_kind_of_checksum(site: Site, get: Get, algorithm: str) -> None:
    if algorithm == "git":
        expected = hashlib.sha1(b"blob 50000\0" + CONTENT).hexdigest()
    else:
        expected = hashlib.new(algorithm, CONTENT).hexdigest()
    assert get(site.serve("a", CONTENT), known=False, checksums={algorithm: expected.upper()}).path.exists()
    wrong = "0" * len(expected)
    with pytest.raises(DownloadError, match=f"{algorithm} {expected}, expected {wrong}"):
        get(site.serve("a", CONTENT), known=False, checksums={algorithm: wrong})


def test_git_ids_are_those_of_git(tmp_path: Path) -> None:
    """The id of a file with `hello\\n`, as `git hash-object` gives it."""
    (tmp_path / "f").write_bytes(b"hello\n")
    source = Source("f", (), checksums={"git": "ce013625030ba8dba906f756967f9e9ca394464a"})
    assert source.problem(tmp_path / "f") is None


def test_a_wrong_file_is_refused_and_the_next_address_is_asked(site: Site, get: Get, tmp_path: Path) -> None:
    wrong = site.serve("wrong", b"x" * len(CONTENT))
    with pytest.raises(DownloadError, match=r"wrong: the file has sha256 \w+, expected"):
        get(wrong)
    assert_nothing(tmp_path)
    assert get(wrong, site.serve("right", CONTENT)).origin.endswith("/right")


def test_a_wrong_size_is_refused_before_anything_is_sent(site: Site, get: Get, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="announces 60,000 bytes, expected 50,000"):
        get(site.serve("a", CONTENT + CONTENT[:10_000]))
    assert_nothing(tmp_path)
    assert not (tmp_path / ".corpus.bin.part").exists()


def test_a_truncated_file_is_continued_where_it_ended(site: Site, get: Get) -> None:
    found = get(site.serve("a", loopback.whole(CONTENT, stop=[20_000, 1_000])))
    assert found.path.read_bytes() == CONTENT
    assert [headers.get("Range") for headers in site.asked("a")] == [None, "bytes=20000-", "bytes=21000-"]
    assert site.asked("a")[1]["If-Range"] == '"1"'


def test_a_server_that_cannot_continue_starts_again(site: Site, get: Get) -> None:
    found = get(site.serve("a", loopback.without_ranges(CONTENT, stop=[20_000])))
    assert found.path.read_bytes() == CONTENT
    assert len(site.requests) == 2


def test_a_file_that_changed_meanwhile_is_not_pieced_together(site: Site, get: Get) -> None:
    older = loopback.whole(CONTENT[::-1], tag='"old"', stop=[20_000])
    found = get(site.serve("a", loopback.in_turn(older, loopback.whole(CONTENT, tag='"new"'))), known=False)
    assert found.path.read_bytes() == CONTENT


def test_a_patchwork_of_two_servers_is_found_out_and_fetched_whole(site: Site, get: Get) -> None:
    """The first server has another file of the same size, breaks off, and is gone then."""
    other = loopback.whole(CONTENT[::-1], stop=[20_000, 0, 0, 0, 0])
    found = get(site.serve("wrong", other), site.serve("right", CONTENT))
    assert found.path.read_bytes() == CONTENT
    assert [headers.get("Range") for headers in site.asked("right")] == ["bytes=20000-", None]


def test_always_truncated(site: Site, get: Get, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="given up after 3 attempts without progress"):
        get(site.serve("a", loopback.without_ranges(CONTENT, stop=[20_000] * 20)))
    assert_nothing(tmp_path)


def test_truncated_with_the_shorter_length_announced(site: Site, get: Get, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="announces 20,000 bytes, expected 50,000"):
        get(site.serve("a", CONTENT[:20_000]))
    assert_nothing(tmp_path)


def test_a_server_that_refuses_the_rest_is_asked_from_the_beginning(site: Site, get: Get) -> None:
    answers = loopback.in_turn(
        loopback.whole(CONTENT, stop=[20_000]), loopback.status(416), loopback.without_ranges(CONTENT)
    )
    assert get(site.serve("a", answers)).path.read_bytes() == CONTENT
    assert [headers.get("Range") for headers in site.asked("a")] == [None, "bytes=20000-", None]


@pytest.mark.parametrize("code", [403, 404, 410])
def test_not_there(site: Site, get: Get, tmp_path: Path, code: int) -> None:
    with pytest.raises(DownloadError, match=f"HTTP {code}"):
        get(site.serve("a", loopback.status(code)))
    assert len(site.requests) == 1, "asking again would not help"
    assert_nothing(tmp_path)


@pytest.mark.parametrize("code", [429, 500, 503])
def test_busy_servers_are_asked_again(site: Site, get: Get, code: int) -> None:
    get(site.serve("a", loopback.in_turn(loopback.status(code, Retry_After="0"), loopback.whole(CONTENT))))
    assert len(site.requests) == 2


def test_nobody_listens(site: Site, get: Get, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="given up after 3 attempts"):
        get("http://127.0.0.1:1/a")
    assert_nothing(tmp_path)


def test_redirects_are_followed(site: Site, get: Get) -> None:
    there = site.serve("there", CONTENT)
    assert get(site.serve("here", loopback.status(302, Location=there))).path.read_bytes() == CONTENT


@pytest.mark.parametrize("target", ["/a", "file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x"])
def test_redirects_that_lead_nowhere(site: Site, get: Get, tmp_path: Path, target: str) -> None:
    with pytest.raises(DownloadError, match=r"corpus.bin cannot be fetched"):
        get(site.serve("a", loopback.status(302, Location=target)))
    assert_nothing(tmp_path)


def test_a_trickle_is_given_up_but_what_came_is_kept(site: Site, get: Get) -> None:
    """The slow server sends a kibibyte every 50 ms; the other one gets asked for the rest."""
    slow = site.serve("slow", loopback.whole(CONTENT[:30_000] + CONTENT[30_000:], pause=0.05))
    broken = loopback.status(404)
    site.answers["/slow"] = loopback.in_turn(site.answers["/slow"], broken)
    found = get(slow, site.serve("fast", CONTENT))
    assert found.path.read_bytes() == CONTENT
    assert site.asked("fast")[0]["Range"].startswith("bytes=")
    assert any("too slow" in line for line in get.told)  # type: ignore[attr-defined]


def test_silence_is_given_up(site: Site, get: Get, tmp_path: Path) -> None:
    def silent(handler: loopback.Handler) -> None:
        handler.start(200, Content_Length=len(CONTENT))
        time.sleep(2)

    started = time.monotonic()
    with pytest.raises(DownloadError, match="given up"):
        get(site.serve("a", silent))
    assert time.monotonic() - started < 10
    assert_nothing(tmp_path)


@pytest.mark.parametrize("answer", [loopback.whole, loopback.chunked])
def test_what_never_ends_is_cut_off(site: Site, get: Get, tmp_path: Path, answer: Callable[..., object]) -> None:
    with pytest.raises(DownloadError, match="more than"):
        get(site.serve("a", answer(b"x" * 5_000_000)), known=False, largest=100_000)
    assert_nothing(tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1_000


def test_a_file_of_unannounced_size(site: Site, get: Get) -> None:
    assert get(site.serve("a", loopback.chunked(CONTENT))).path.read_bytes() == CONTENT


def test_the_first_file_of_unknown_checksum_is_the_one_that_counts(site: Site, get: Get, tmp_path: Path) -> None:
    address = site.serve("a", CONTENT)
    path = get(address, known=False).path
    path.unlink()
    site.serve("a", CONTENT[::-1])
    with pytest.raises(DownloadError, match=f"expected {SHA256}"):
        get(address, known=False)
    assert not path.exists()
    (tmp_path / "corpus.bin.pin").unlink()
    assert get(address, known=False).path.read_bytes() == CONTENT[::-1]


def test_a_mirror_folder_comes_first_if_it_has_the_right_file(site: Site, get: Get, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "corpus.bin").write_bytes(b"old")
    address = site.serve("a", CONTENT)
    assert get(address, mirrors=(str(mirror),)).how == "downloaded"
    (tmp_path / "corpus.bin").unlink()
    (mirror / "corpus.bin").write_bytes(CONTENT)
    assert get(address, mirrors=(str(mirror),)).how == "copied"
    assert len(site.requests) == 1


def test_a_mirror_on_the_web_comes_first(site: Site, get: Get) -> None:
    site.serve("mirror/corpus.bin", CONTENT)
    found = get(site.serve("a", CONTENT), mirrors=(f"http://127.0.0.1:{site.port}/mirror/",))
    assert found.origin.endswith("/mirror/corpus.bin")


def test_every_address_is_named_in_the_error_and_what_can_be_done(get: Get, site: Site, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="HEADPRUNE_MIRROR") as error:
        get(site.serve("a", loopback.status(404)), site.serve("b", loopback.status(403)))
    assert "/a: HTTP 404" in str(error.value) and "/b: HTTP 403" in str(error.value)
    assert str(tmp_path / "corpus.bin") in str(error.value)


Usage = namedtuple("Usage", "total used free")


def test_a_full_disk(site: Site, get: Get, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**6, 10**6, 0))
    with pytest.raises(DownloadError, match="no space left"):
        get(site.serve("a", CONTENT))
    assert {path.name for path in tmp_path.iterdir()} == {".corpus.bin.lock"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_disk_that_fills_up_while_the_file_comes(site: Site, get: Get, tmp_path: Path) -> None:
    (tmp_path / ".corpus.bin.part").symlink_to("/dev/full")
    with pytest.raises(DownloadError, match="no space left"):
        get(site.serve("a", CONTENT))
    assert {path.name for path in tmp_path.iterdir()} <= {".corpus.bin.lock", ".corpus.bin.state"}


@pytest.mark.parametrize("name", ["", "..", "a/b", "/etc/passwd"])
def test_names_are_plain(name: str) -> None:
    with pytest.raises(ValueError, match="plain name"):
        Source(name, ())


def test_addresses_are_of_the_web_and_checksums_known() -> None:
    with pytest.raises(ValueError, match="neither https"):
        Source("a", ("file:///etc/passwd",))
    with pytest.raises(ValueError, match="crc"):
        Source("a", (), checksums={"crc": "1"})


FETCH = """
import sys
from pathlib import Path
from headprune.data.download import fetch
from headprune.data.sources import Source
source = Source("corpus.bin", (sys.argv[1],), int(sys.argv[3]), {"sha256": sys.argv[4]})
print(fetch(source, Path(sys.argv[2])).how)
"""


def start(address: str, folder: Path) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", FETCH, address, str(folder), str(len(CONTENT)), SHA256]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, start_new_session=True)


def test_a_killed_process_is_continued_by_the_next(site: Site, get: Get, tmp_path: Path) -> None:
    address = site.serve("a", loopback.whole(CONTENT, pause=0.02))
    process = start(address, tmp_path)
    part = tmp_path / ".corpus.bin.part"
    while not (part.exists() and part.stat().st_size > 5_000):
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "corpus.bin").exists()
    site.serve("a", CONTENT)
    assert get(address).path.read_bytes() == CONTENT
    assert int(site.asked("a")[-1]["Range"].removeprefix("bytes=").removesuffix("-")) > 5_000


def test_two_processes_at_once_fetch_once(site: Site, tmp_path: Path) -> None:
    address = site.serve("a", loopback.whole(CONTENT, pause=0.02))
    processes = [start(address, tmp_path) for _ in range(2)]
    outcomes = sorted(process.communicate(timeout=60)[0].split()[-1] for process in processes)
    assert outcomes == ["downloaded", "kept"]
    assert len(site.requests) == 1
    assert (tmp_path / "corpus.bin").read_bytes() == CONTENT
