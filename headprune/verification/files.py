"""The files of a run against the hashes in its manifests, and what is identified against its signature."""

from __future__ import annotations

from pathlib import Path

from headprune.results import outputs
from headprune.results.layout import MANIFEST
from headprune.results.provenance import digest, file_sha256, hardware
from headprune.verification.base import Report

RECORDS = ("pruned.json", "test.json", "speed.json", "identity.json")


def check_files(report: Report) -> None:
    """Every file that a manifest names is there and has its sha256; every record is named by a manifest."""
    folder = report.folder
    run = report.read(folder / MANIFEST)
    named = set(run.get("files", {}))  # tables, and in merged results what was copied
    for name, sha256 in run.get("files", {}).items():
        _check_file(report, folder / name, sha256)
    for path in sorted([*folder.glob(f"*/**/{MANIFEST}"), *_models(folder, MANIFEST)]):
        for step in report.read(path).get("steps", {}).values():
            for name, sha256 in step.get("files", {}).items():
                named.add(name)
                _check_file(report, folder / name, sha256)
    records = [path for name in RECORDS for path in sorted(folder.glob(f"cells/*/*/*/{name}"))]
    for path in [*records, *_models(folder, "pt"), *outputs.paths(folder)]:
        if report.name(path) not in named:
            report.compare("files", path, "its sha256", "in no manifest", "expected in one")


def _models(folder: Path, ending: str) -> list[Path]:
    """Files with this ending of unpruned models, and of what their trainings began with."""
    return [path for kind in ("pretrained", "dense") for path in sorted(folder.glob(f"{kind}/*/*.{ending}"))]


def _check_file(report: Report, path: Path, sha256: str) -> None:
    if not path.resolve().is_relative_to(report.folder.resolve()):
        report.compare("files", str(path), "the file", "outside the results", "inside")
    elif path.is_file():
        report.compare("files", path, "sha256", file_sha256(path), sha256)
    else:
        report.missing("files", path)


def check_machine(report: Report) -> None:
    """Says so where the run was made on other hardware, or where that is not told apart from this."""
    environment = report.read(report.folder / MANIFEST).get("environment")
    made = environment.get("hardware") if isinstance(environment, dict) else None
    if made and made != hardware():
        report.notes.append(
            f"made on {made}, this is {hardware()}: what is compared here are stored outputs, which give the same "
            "scores on both; trainings that are repeated here give other models"
        )


def check_signatures(report: Report) -> None:
    """A signature is the digest of what it stands for, in the manifest of the run and beside every cell."""
    folder = report.folder
    for signature, identity in report.read(folder / MANIFEST).get("signatures", {}).items():
        plain = {key: value for key, value in identity.items() if key != "cell"}
        report.compare("signatures", MANIFEST, f"signature of {identity.get('cell')}", signature, digest(plain))
    for path in sorted(folder.glob("cells/*/*/*/identity.json")):
        identity, pruned = report.read(path), report.read(path.with_name("pruned.json"))
        if pruned:
            report.compare("signatures", path, "signature", pruned.get("signature"), digest(identity))
        beside = report.read(path.with_name(MANIFEST)).get("identity")
        if beside is not None:
            report.compare("signatures", path.with_name(MANIFEST), "identity", beside, identity)
        _check_test_signature(report, path.parent, identity)


def _check_test_signature(report: Report, cell: Path, identity: dict[str, object]) -> None:
    test = report.read(cell / "test.json")
    statistics = report.read(report.folder / "data" / str(identity.get("dataset")) / "statistics.json")
    if test.get("signature") and statistics:
        signature = report.read(cell / "pruned.json").get("signature")
        made_of = [signature, statistics["sha256"]["test"], identity.get("evaluation")]
        report.compare("signatures", cell / "test.json", "signature", test["signature"], digest(made_of))
