"""The folder of a standard corpus by its name: fetched, verified, built, counted, and then kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headprune.data.cache import cache_folder, make_folder, mirrors
from headprune.data.sources import Tell, digests
from headprune.data.splits import checksums
from headprune.data.staging import staged_folder
from headprune.data.standard.base import Route, Standard, count
from headprune.system.files import alone

if TYPE_CHECKING:
    from headprune.data.download import Fetched
    from headprune.data.transfer import Policy

SPLITS = ("train", "valid", "test")
RECORD = "corpus.json"  # written last: what a complete folder is known by
SUMS = "SHA256SUMS"


def folder_of(standard: Standard) -> Path:
    """The folder where the corpus is or will be."""
    return cache_folder() / "corpora" / standard.name


def obtain(standard: Standard, policy: Policy | None = None, tell: Tell = print) -> Path:
    """The folder of a standard corpus, with its splits; fetched and built if it is not there. One process does it.

    The folder holds {train,valid,test}.tsv (pairs) or .txt (text), SHA256SUMS of these, and corpus.json: where every
    file came from, its sha256, licence and counts.

    :param policy: how patient downloads are
    :param tell: is told what happens, a line at a time
    :raises DownloadError: some file cannot be had on any route
    :raises ValueError: an archive is damaged, or the counts are not those of the corpus
    :raises OSError: the cache cannot be written
    """
    folder = folder_of(standard)
    make_folder(folder.parent)
    with alone(folder.parent / f".{standard.name}.lock", f"{standard.name} is being built by another process", tell):
        problem = damage(folder)
        if problem is None:
            return folder
        if folder.exists():
            tell(f"{folder}: {problem}: built again")
        files, route = fetch_any(standard, policy, tell)
        with staged_folder(folder, marker=RECORD) as work:
            route.build({name: found.path for name, found in files.items()}, work)
            names = [f"{split}.{standard.suffix}" for split in SPLITS]
            sums = {name: digests(work / name, ("sha256",))["sha256"] for name in names}
            (work / SUMS).write_text("".join(f"{sums[name]}  {name}\n" for name in names), encoding="utf-8")
            record = describe(standard, files, work, tell)
            (work / RECORD).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return folder


def damage(folder: Path) -> str | None:
    """Why a folder cannot be used as it is; None if it can."""
    if not (folder / RECORD).is_file():
        return "not complete"
    try:
        sums = checksums(folder)
    except ValueError as error:
        return str(error)
    if not sums:
        return f"{SUMS} is missing"
    for name, expected in sums.items():
        if not (folder / name).is_file() or digests(folder / name, ("sha256",))["sha256"] != expected:
            return f"{name} is not what was built"
    return None


def fetch_any(standard: Standard, policy: Policy | None, tell: Tell) -> tuple[dict[str, Fetched], Route]:
    """The files of the first route all of whose files can be had.

    :returns: files by name, and the route
    :raises DownloadError: no route has all of its files
    """
    from headprune.data.download import DownloadError, fetch

    failures, downloads = [], cache_folder() / "downloads" / standard.shelf
    make_folder(downloads)
    places = [downloads, *(Path(mirror) for mirror in mirrors(standard.shelf) if "://" not in mirror)]

    def afar(route: Route) -> bool:
        return not all(any((place / source.name).is_file() for place in places) for source in route.sources)

    for route in sorted(standard.routes, key=afar):  # what lies on this machine first
        found = {}
        try:
            for source in route.sources:
                found[source.name] = fetch(source, downloads, mirrors(standard.shelf), policy, tell)
                tell(f"{source.name}: {_how(found[source.name])}")
        except DownloadError as error:
            failures.append(str(error))
            continue
        return found, route
    raise DownloadError("\n".join(failures))


def describe(standard: Standard, files: Mapping[str, Fetched], work: Path, tell: Tell) -> dict[str, Any]:
    """The content of corpus.json.

    :returns: a JSON-able dict: what the corpus declares, its counts by split, and where every file came from
    :raises ValueError: the counts are not those of the corpus
    """
    counts = {split: count(work / f"{split}.{standard.suffix}", standard.kind) for split in SPLITS}
    for split, expected in standard.counts.items():
        if counts[split] != expected:
            unit = "pairs" if standard.kind == "pairs" else "tokens"
            difference = f"{standard.name}: {split} has {counts[split]:,} {unit}, expected {expected:,}"
            if standard.exact:
                raise ValueError(difference)
            tell(difference)
    return {
        "name": standard.name,
        "kind": standard.kind,
        "languages": standard.languages,
        "licence": standard.licence,
        "home": standard.home,
        "counts": counts,
        "files": {
            name: {"from": found.origin, "sha256": found.sha256, "size": found.size} for name, found in files.items()
        },
    }


def _how(found: Fetched) -> str:
    whence = f" from {found.origin}" if found.origin else ""
    return f"{found.how}{whence}, {found.size:,} bytes, verified"
