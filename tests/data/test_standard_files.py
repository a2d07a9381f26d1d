"""Standard corpora: only whole and right files are kept, wherever they come from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from headprune.cli.commands import app
from headprune.data import corpus, ensure, read_pairs, text_corpus
from headprune.data.download import DownloadError
from headprune.data.sources import Source
from headprune.data.standard import (
    RECORD,
    STANDARD,
    folder_of,
    obtain,
)
from headprune.data.standard.base import Route, Standard
from tests.data import loopback

pytestmark = pytest.mark.usefixtures("cache")


def quiet(line: str) -> None:
    pass


# A corpus of two files on the loopback server.
TEXT = {split: f"{split} ein\t{split} one\n" for split in ("train", "valid", "test")}


def build(files: Mapping[str, Path], folder: Path) -> None:
    for split, text in json.loads(files["all.json"].read_text()).items():
        (folder / f"{split}.tsv").write_text(text)


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Standard]:
    """`make(address)`: a registered standard corpus from one address."""

    def make(*addresses: str, **changes: object) -> Standard:
        content = json.dumps(TEXT).encode()
        source = Source("all.json", addresses, len(content), {"sha256": hashlib.sha256(content).hexdigest()})
        routes = tuple(Route((replace(source, addresses=(address,)),), build) for address in addresses)
        counts = {"train": 1, "valid": 1, "test": 1}
        made = Standard("tiny", "pairs", routes, "none", "https://x", ("de", "en"), counts)
        made = replace(made, **changes)  # type: ignore[arg-type]
        monkeypatch.setitem(STANDARD, "tiny", made)
        return made

    return make


def test_a_corpus_is_fetched_built_and_kept(make: Callable[..., Standard]) -> None:
    with loopback.running() as site:
        standard = make(site.serve("a", json.dumps(TEXT).encode()))
        folder = obtain(standard, tell=quiet)
        assert obtain(standard, tell=quiet) == folder
        assert len(site.requests) == 1
    assert {path.name for path in folder.iterdir()} == {"train.tsv", "valid.tsv", "test.tsv", "SHA256SUMS", RECORD}
    record = json.loads((folder / RECORD).read_text())
    assert record["counts"] == {"train": 1, "valid": 1, "test": 1}
    assert record["files"]["all.json"]["from"].startswith("http://127.0.0.1")
    found = corpus("tiny")
    assert (found.source, found.target) == ("de", "en")
    assert read_pairs(found, "test") == [("test ein", "test one")]


def test_the_next_route_is_tried(make: Callable[..., Standard]) -> None:
    with loopback.running() as site:
        obtain(make(site.serve("gone", loopback.status(404)), site.serve("a", json.dumps(TEXT).encode())), tell=quiet)


def test_files_that_lie_here_are_preferred(
    make: Callable[..., Standard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a mirror, in a folder of the corpus' name."""
    (tmp_path / "mirror" / "tiny").mkdir(parents=True)
    (tmp_path / "mirror" / "tiny" / "all.json").write_text(json.dumps(TEXT))
    monkeypatch.setenv("HEADPRUNE_MIRROR", str(tmp_path / "mirror"))
    assert obtain(make("http://127.0.0.1:1/gone"), tell=quiet).is_dir()


def test_a_mirror_that_is_not_there_is_an_error(make: Callable[..., Standard], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADPRUNE_MIRROR", "/no/such/folder")
    with pytest.raises(ValueError, match="HEADPRUNE_MIRROR is '/no/such/folder'"):
        obtain(make("http://127.0.0.1:1/gone"), tell=quiet)


def test_wrong_counts_are_refused_and_nothing_is_kept(make: Callable[..., Standard]) -> None:
    with loopback.running() as site:
        standard = make(site.serve("a", json.dumps(TEXT).encode()), counts={"train": 2})
        with pytest.raises(ValueError, match="tiny: train has 1 pairs, expected 2"):
            obtain(standard, tell=quiet)
        assert not folder_of(standard).exists()
        told: list[str] = []
        assert obtain(replace(standard, exact=False), tell=told.append).exists()
        assert "tiny: train has 1 pairs, expected 2" in told


def test_a_corpus_that_was_damaged_since_is_built_again(make: Callable[..., Standard]) -> None:
    with loopback.running() as site:
        standard = make(site.serve("a", json.dumps(TEXT).encode()))
        folder = obtain(standard, tell=quiet)
        (folder / "test.tsv").write_text("other\tother\n")
        with pytest.raises(ValueError, match="checksum differs"):
            read_pairs(corpus("tiny"), "test")
        obtain(standard, tell=quiet)
        assert len(site.requests) == 1, "the file it is built from was kept"
    assert read_pairs(corpus("tiny"), "test") == [("test ein", "test one")]


def test_a_build_that_fails_leaves_nothing(make: Callable[..., Standard], cache: Path) -> None:
    def fail(files: Mapping[str, Path], folder: Path) -> None:
        (folder / "train.tsv").write_text("half")
        raise ValueError("broken")

    with loopback.running() as site:
        standard = make(site.serve("a", json.dumps(TEXT).encode()))
        standard = replace(standard, routes=(replace(standard.routes[0], build=fail),))
        with pytest.raises(ValueError, match="broken"):
            obtain(standard, tell=quiet)
    assert {path.name for path in (cache / "corpora").iterdir()} == {".tiny.lock"}


def test_ensure_fetches_and_corpus_does_not(make: Callable[..., Standard]) -> None:
    with loopback.running() as site:
        make(site.serve("a", json.dumps(TEXT).encode()))
        with pytest.raises(FileNotFoundError, match="not fetched yet; fetch it with: headprune data tiny"):
            read_pairs(corpus("tiny"), "train")
        ensure("lohelp-de-en")  # is not its business
        ensure("tiny")
        assert len(read_pairs(corpus("tiny"), "train")) == 1


def test_without_any_address_the_error_names_the_mirror(make: Callable[..., Standard]) -> None:
    with loopback.running() as site, pytest.raises(DownloadError, match="HEADPRUNE_MIRROR"):
        obtain(make(site.serve("a", loopback.status(404))), tell=quiet)


def test_the_command_line_tells_what_it_did(
    make: Callable[..., Standard], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with loopback.running() as site:
        make(site.serve("a", json.dumps(TEXT).encode()))
        for arguments in (["data", "tiny"], ["data"]):
            app(arguments, standalone_mode=False)
    out = capsys.readouterr().out
    assert "all.json: downloaded from http://127.0.0.1" in out
    assert "tiny test: 1 pairs, verified" in out
    assert "licence: none" in out
    assert "lohelp-de-en" in out and "iwslt14-de-en" in out


def test_the_command_line_shows_what_was_cleaned_away(
    make: Callable[..., Standard], capsys: pytest.CaptureFixture[str]
) -> None:
    def cleaned(files: Mapping[str, Path], folder: Path) -> None:
        build(files, folder)
        (folder / "cleaning.tsv").write_text("corpus\tpairs\tuneven\nproceedings\t1234\t56\n", encoding="utf-8")

    with loopback.running() as site:
        standard = make(site.serve("a", json.dumps(TEXT).encode()))
        STANDARD["tiny"] = replace(standard, routes=(replace(standard.routes[0], build=cleaned),))
        app(["data", "tiny"], standalone_mode=False)
    assert [line.split() for line in capsys.readouterr().out.splitlines() if "proceedings" in line] == [
        ["proceedings", "1234", "56"]
    ]


def test_text_corpora_are_found_like_pairs(cache: Path) -> None:
    assert text_corpus("wikitext2").folder == cache / "corpora" / "wikitext2"
    with pytest.raises(ValueError, match="did you mean 'wikitext2'"):
        text_corpus("wikitext-2")
    with pytest.raises(ValueError, match="did you mean 'multi30k'"):
        corpus("multi30")
    with pytest.raises(ValueError, match="unknown dataset 'wikitext2'"):
        corpus("wikitext2")
