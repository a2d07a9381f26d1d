"""A file of checksums, a folder of fetched corpora: what is wrong with them is told by name, with the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from headprune.config import ConfigError, load
from headprune.data.cache import cache_folder
from headprune.data.splits import checksums
from headprune.data.standard import STANDARD, ensure, fetching
from tests.configurations import changed
from tests.found import Found, rows

DIGEST = "0f" * 32


@rows(
    Found("three words", "too many values to unpack", "line 2", "coreutils' sha256sum", f"{DIGEST}\n"),
    Found("a digest that is cut", "a wrong checksum", "line 2", "sha256: 64 digits", f"{DIGEST[1:]}  test.tsv\n"),
    Found("prose", "too many values to unpack", "line 2", "coreutils' sha256sum", "checksums of the files below\n"),
    Found("two digests of a file", "the last one counts", "line 3", "two cannot hold", f"{DIGEST}  a\n{'1' * 64}  a\n"),
)
def test_a_malformed_line_is_named(found: Found, tmp_path: Path) -> None:
    path = tmp_path / "SHA256SUMS"
    path.write_text(f"{DIGEST}  train.tsv\n{found.case}")
    with pytest.raises(ValueError) as error:
        checksums(tmp_path)
    assert str(error.value).startswith(f"{path}, {found.right}: ")


def test_what_sha256sum_writes_is_read(tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_text(f"{DIGEST}  a name.tsv\n\n{DIGEST.upper()} *b.tsv\n")
    assert checksums(tmp_path) == {"a name.tsv": DIGEST, "b.tsv": DIGEST}


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"SHA256SUMS must be UTF-8"):
        checksums(tmp_path)


def test_malformed_checksums_of_a_fetched_corpus_are_damage(tmp_path: Path) -> None:
    (tmp_path / fetching.RECORD).write_text("{}")
    assert fetching.damage(tmp_path) == "SHA256SUMS is missing"
    (tmp_path / "SHA256SUMS").write_text("cut\n")
    assert "line 1: must be 64 hexadecimal digits" in str(fetching.damage(tmp_path))


@pytest.mark.parametrize("blocked", ["/proc", "/dev/null"])
def test_a_cache_that_cannot_be_written_says_how_to_choose_another(
    blocked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HEADPRUNE_CACHE", "HEADPRUNE_MIRROR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", blocked)
    with pytest.raises(PermissionError) as error:
        ensure(next(iter(STANDARD)))
    assert f"{blocked}/.cache/headprune/corpora" in str(error.value)
    assert "name another folder in $HEADPRUNE_CACHE" in str(error.value)


def test_without_a_home_the_cache_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEADPRUNE_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])
    with pytest.raises(ValueError, match=r"name one in \$HEADPRUNE_CACHE"):
        cache_folder()
    with pytest.raises(ConfigError, match=r"name one in \$HEADPRUNE_CACHE"):
        load(changed("datasets/help/corpus", "multi30k"))
