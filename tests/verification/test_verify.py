"""Whatever is changed in a results folder is found, and nothing else is."""

from __future__ import annotations

import gzip
import importlib.metadata
import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from found import Found, rows

from headprune.cli.commands import app
from headprune.pipeline.collect import TABLES
from headprune.pipeline.plan import Plan
from headprune.results import schema
from headprune.results.merging import merge
from headprune.results.provenance import digest, file_sha256, hardware
from headprune.verification import verify
from headprune.verification.base import Report
from headprune.verification.files import check_machine

TRANSLATED = ("bleu", "chrf", "bleu_tokenized_lower", "length_ratio", "repetition_rate")
MT, LM = "cells/tiny/magnitude/k3-s1", "cells/text/magnitude/k2-s1"
Copied = Callable[[], Path]


def edit(path: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def found(folder: Path, models: bool = False) -> set[str]:
    """`where: what` of every difference."""
    return {f"{each.where}: {each.what}" for each in verify(folder, models).differences}


def rehash(folder: Path, *names: str) -> None:
    """A careful forger brings the hashes in the manifests up to date."""
    for manifest in folder.rglob("*manifest.json"):
        content = json.loads(manifest.read_text())
        lists = [step["files"] for step in content.get("steps", {}).values()] + [content.get("files", {})]
        for files in lists:
            files.update({name: file_sha256(folder / name) for name in names if name in files})
        manifest.write_text(json.dumps(content))


def test_a_run_that_nobody_touched_is_right(finished: Plan) -> None:
    report = verify(finished.folder)
    assert report.differences == []
    assert report.notes == []
    assert set(report.checked) == {"files", "signatures", "scores", "masks", "checkpoints", "tables"}
    assert report.checked["scores"] >= 2 * (1 + 5 + 5) + 3
    assert report.checked["checkpoints"] == 3 * len(finished.cells)


def test_a_folder_that_was_moved_and_renamed_is_right(copied: Copied) -> None:
    folder = copied()
    assert found(folder.rename(folder.with_name("other")), models=True) == set()


def test_a_changed_hypothesis(copied: Copied) -> None:
    folder, name = copied(), "segments/tiny/magnitude/k3-s1/hypotheses.test.txt.gz"
    references = (folder / "data/help/raw/test.tgt").read_bytes()
    (folder / name).write_bytes(gzip.compress(references.replace(b"\n", b" so so so so so\n")))
    expected = {f"{MT}/test.json: {metric} on test" for metric in TRANSLATED}
    assert found(folder) == expected | {f"{name}: sha256"}
    rehash(folder, name)
    assert found(folder) == expected


def test_a_hypothesis_too_few(copied: Copied) -> None:
    folder, name = copied(), "segments/tiny/magnitude/k3-s1/hypotheses.test.txt.gz"
    lines = gzip.decompress((folder / name).read_bytes()).splitlines(keepends=True)
    (folder / name).write_bytes(gzip.compress(b"".join(lines[:-1])))
    assert found(folder) == {f"{name}: lines", f"{name}: sha256"}


def test_a_changed_reference(copied: Copied) -> None:
    folder, name = copied(), "data/help/raw/test.tgt"
    (folder / name).write_text("".join("nothing\n" for _ in (folder / name).read_text().splitlines()))
    differences = found(folder)
    assert f"{name}: sha256" in differences
    assert f"{MT}/test.json: chrf on test" in differences


def test_changed_likelihoods(copied: Copied) -> None:
    folder, name = copied(), "segments/text/magnitude/k2-s1/likelihoods.test.parquet"
    table = pd.read_parquet(folder / name)
    table.loc[0, "log_likelihood"] += 1.0
    table.to_parquet(folder / name)
    expected = {f"{LM}/test.json: {metric} on test" for metric in ("perplexity", "bits_per_byte")}
    assert found(folder) == expected | {f"{name}: sha256"}


def test_the_perplexity_is_that_of_the_definition(finished: Plan) -> None:
    table = pd.read_parquet(finished.folder / "segments/text/magnitude/k2-s1/likelihoods.test.parquet")
    value = json.loads((finished.folder / LM / "test.json").read_text())["perplexity"][0]
    assert value == pytest.approx(math.exp(-table["log_likelihood"].sum() / table["tokens"].sum()), rel=1e-9)


def test_segments_that_are_gone(copied: Copied) -> None:
    folder, name = copied(), "segments/tiny/magnitude/k3-s1/hypotheses.test.txt.gz"
    (folder / name).unlink()
    assert found(folder) == {f"{name}: the file", "segments/tiny/magnitude/k3-s1: segments of test"}


def test_a_flattered_score(copied: Copied) -> None:
    folder = copied()
    edit(folder / MT / "test.json", lambda record: record["bleu"].__setitem__(0, 99.0))
    rehash(folder, f"{MT}/test.json")
    differences = found(folder)
    assert f"{MT}/test.json: bleu on test" in differences
    assert any(
        each.startswith("cells.parquet: value of whole/mt/help/tiny/magnitude/3/1/test/bleu") for each in differences
    )
    assert len(differences) == 2


def test_a_changed_mask(copied: Copied) -> None:
    folder = copied()
    removed = lambda r: next(head for head in r["heads"] if head not in r["mask"])  # noqa: E731
    edit(folder / MT / "pruned.json", lambda record: record.update(mask=[*record["mask"], removed(record)]))
    rehash(folder, f"{MT}/pruned.json")
    differences = found(folder, models=True)
    assert f"{MT}/model.pt: heads" in differences
    assert any("heads_kept" in each for each in differences)
    assert any(each.startswith("masks.parquet: kept") for each in differences)


def test_heads_that_the_model_does_not_have(copied: Copied) -> None:
    folder = copied()
    edit(folder / MT / "pruned.json", lambda record: record.update(mask=["encoder.9.0", *record["mask"]]))
    assert f"{MT}/pruned.json: mask" in found(folder)


def test_a_changed_count(copied: Copied) -> None:
    folder = copied()
    edit(folder / MT / "pruned.json", lambda record: record.update(parameters=1))
    assert f"{MT}/pruned.json: parameters" in found(folder, models=True)


def test_another_checkpoint(copied: Copied) -> None:
    folder = copied()
    (folder / MT / "model.pt").write_bytes((folder / "dense/tiny/s1.pt").read_bytes())
    rehash(folder, f"{MT}/model.pt")
    assert found(folder, models=True) == {
        f"{MT}/model.pt: heads",
        f"{MT}/pruned.json: parameters",
        f"{MT}/pruned.json: parameters_non_embedding",
    }


def test_a_checkpoint_with_other_weights(copied: Copied) -> None:
    folder = copied()
    state = torch.load(folder / MT / "model.pt", weights_only=True)
    state["model"][next(iter(state["model"]))] += 1
    torch.save(state, folder / MT / "model.pt")
    assert found(folder) == {f"{MT}/model.pt: sha256"}


def test_a_checkpoint_that_is_no_model(copied: Copied) -> None:
    folder = copied()
    (folder / MT / "model.pt").write_bytes(b"not a model")
    assert found(folder, models=True) == {f"{MT}/model.pt: sha256", f"{MT}/model.pt: the checkpoint"}


def test_a_dense_model_that_is_gone(copied: Copied) -> None:
    folder = copied()
    (folder / "dense/tiny/s1.pt").unlink()
    assert found(folder) == {"dense/tiny/s1.pt: the file"}


def test_a_changed_identity(copied: Copied) -> None:
    folder = copied()
    edit(folder / MT / "identity.json", lambda identity: identity.update(seed=2))
    assert found(folder) == {
        f"{MT}/identity.json: sha256",
        f"{MT}/identity.json: signature",
        f"{MT}/manifest.json: identity",
    }


def test_a_changed_identity_in_the_manifest_of_the_run(copied: Copied) -> None:
    folder = copied()
    signature = json.loads((folder / MT / "pruned.json").read_text())["signature"]
    edit(folder / "manifest.json", lambda manifest: manifest["signatures"][signature].update(hardware="a dream"))
    assert found(folder) == {"manifest.json: signature of tiny/magnitude/k3-s1"}


def test_a_cell_in_the_place_of_another(copied: Copied) -> None:
    """Its records and its manifest are consistent; its signature and its hashes are another cell's."""
    folder = copied()
    for name in ("pruned.json", "test.json", "identity.json", "model.pt"):
        (folder / MT / name).write_bytes((folder / "cells/tiny/dsp.pipelined/k3-s1" / name).read_bytes())
    rehash(folder, *(f"{MT}/{name}" for name in ("pruned.json", "test.json", "identity.json", "model.pt")))
    differences = found(folder)
    assert f"{MT}/manifest.json: identity" in differences
    assert any(each.startswith("cells.parquet: signature of") for each in differences)


@pytest.mark.parametrize("name", ["cells.parquet", "cells.csv", "masks.parquet", "trials.csv", "ablations.csv"])
def test_a_changed_table(copied: Copied, name: str) -> None:
    folder = copied()
    path = folder / name
    if name == "cells.csv":
        path.write_text(path.read_text().replace(",BLEU,", ",chrF2,", 1))
    elif path.suffix == ".csv":
        path.write_text(path.read_text() + path.read_text().splitlines()[-1] + "\n")
    else:
        table = pd.read_parquet(path)
        table = table.iloc[1:] if name == "masks.parquet" else table.assign(value=table["value"] * 2)
        path.write_bytes(schema.to_parquet(table))
    rehash(folder, name)
    differences = found(folder)
    assert differences
    assert all(each.startswith(("cells", name)) for each in differences)


def test_rows_that_were_left_out(copied: Copied) -> None:
    """They are those of a method that does not look good."""
    folder = copied()
    table = schema.read_cells(folder)
    table = table[table["method"] != "dsp"]
    (folder / "cells.parquet").write_bytes(schema.to_parquet(table))
    (folder / "cells.csv").write_bytes(schema.to_csv(table))
    rehash(folder, "cells.parquet", "cells.csv")
    differences = found(folder)
    assert any("dsp/pipelined" in each for each in differences)
    assert not any("magnitude" in each for each in differences)


def test_published_tables_without_cells_are_checked_against_each_other(copied: Copied, tmp_path: Path) -> None:
    folder, published = copied(), tmp_path / "published"
    published.mkdir()
    for name in ("manifest.json", *TABLES):
        (published / name).write_bytes((folder / name).read_bytes())
    assert found(published) == set()
    table = schema.read_cells(published)
    (published / "cells.parquet").write_bytes(schema.to_parquet(table.assign(heads_kept=2)))
    differences = found(published)
    assert "cells.parquet: sha256" in differences
    assert "cells.parquet: heads_kept of whole/mt/help/tiny/magnitude/3/1" in differences
    assert any(each.startswith("cells.csv: heads_kept") for each in differences)


@pytest.fixture
def packed(finished: Plan, tmp_path: Path) -> Path:
    """The results as they are published, with one table of outputs per model."""
    merge(tmp_path / "packed", [finished.folder])
    return tmp_path / "packed"


def test_published_scores_are_those_of_the_outputs(packed: Path) -> None:
    report = verify(packed)
    assert (report.differences, report.notes) == ([], [])
    assert report.checked["scores"] == 2 * (1 + 5) + 2  # lines and five metrics of translations; two of language
    table = schema.read_cells(packed)
    flattered = table["value"].where(table["metric"] != "bits_per_byte", 0.5)
    flattered = flattered.where((table["metric"] != "chrf") | (table["method"] != "magnitude"), 99.0)
    (packed / "cells.parquet").write_bytes(schema.to_parquet(table.assign(value=flattered)))
    rehash(packed, "cells.parquet")
    assert found(packed) == {
        "cells.parquet: tiny/magnitude/k3-s1: chrf on test",
        "cells.parquet: text/magnitude/k2-s1: bits_per_byte on test",
    }


@pytest.mark.parametrize("column", ["text", "log_likelihood"])
def test_changed_outputs_of_published_results(column: str, packed: Path) -> None:
    model, cell = ("tiny", "tiny/magnitude/k3-s1") if column == "text" else ("text", "text/magnitude/k2-s1")
    name = f"outputs/{model}.parquet"
    table = pd.read_parquet(packed / name)
    changed = (table["cell"] == cell) & (table["split"] == "test") & (table["kind"] != "sample")
    references = (packed / "data/help/raw/test.tgt").read_text().splitlines()
    references = [f"{line} so so so so so" for line in references]
    table.loc[changed, column] = references if column == "text" else table.loc[changed, column] - 1.0
    (packed / name).write_bytes(schema.to_parquet(table))
    metrics = TRANSLATED if column == "text" else ["perplexity", "bits_per_byte"]
    expected = {f"cells.parquet: {cell}: {metric} on test" for metric in metrics}
    assert found(packed) == expected | {f"{name}: sha256"}
    rehash(packed, name)
    assert found(packed) == expected


def test_a_table_of_outputs_that_no_manifest_names_or_nobody_can_read(packed: Path) -> None:
    (packed / "outputs/stranger.parquet").write_bytes((packed / "outputs/tiny.parquet").read_bytes())
    assert found(packed) == {"outputs/stranger.parquet: its sha256"}
    (packed / "outputs/stranger.parquet").unlink()
    (packed / "outputs/tiny.parquet").write_bytes(b"no table")
    rehash(packed, "outputs/tiny.parquet")
    assert "cells.parquet: tiny/magnitude/k3-s1: scores on test" in found(packed)


def test_outputs_that_were_not_published_are_told_of(finished: Plan, tmp_path: Path) -> None:
    merge(tmp_path / "tables", [finished.folder], outputs=False)
    report = verify(tmp_path / "tables")
    assert report.differences == []
    assert report.notes == ["test scores of 3 cells were not recomputed: their outputs are not here"]


@pytest.mark.parametrize(
    "name", [f"{MT}/pruned.json", f"{MT}/test.json", f"{MT}/manifest.json", "manifest.json", "cells.csv"]
)
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"null"])
def test_damaged_files_are_differences_not_accidents(copied: Copied, name: str, content: bytes) -> None:
    folder = copied()
    (folder / name).write_bytes(content)
    assert found(folder)


def test_a_manifest_cannot_make_it_read_elsewhere(copied: Copied) -> None:
    folder = copied()
    step = {"files": {"../../../etc/hostname": "0"}}
    edit(folder / MT / "manifest.json", lambda manifest: manifest["steps"].update(evil=step))
    assert any("etc/hostname: the file" in each for each in found(folder))


def test_records_without_a_manifest(copied: Copied) -> None:
    folder = copied()
    (folder / MT / "manifest.json").unlink()
    assert f"{MT}/test.json: its sha256" in found(folder)


def test_the_command_line(finished: Plan, copied: Copied, capsys: pytest.CaptureFixture[str]) -> None:
    app(["verify", str(finished.folder)], standalone_mode=False)
    assert "no difference" in capsys.readouterr().out
    folder = copied()
    edit(folder / MT / "test.json", lambda record: record["bleu"].__setitem__(0, 99.0))
    assert app(["verify", str(folder), "--no-models"], standalone_mode=False) == 1
    out = capsys.readouterr().out
    assert "bleu on test is 99.0, recomputed" in out
    assert "differences" in out


def test_no_results(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no results folder"):
        verify(tmp_path)


def test_every_cell_says_how_it_came_about(finished: Plan) -> None:
    """Commit, configuration, data, libraries, hardware, seed, time and command."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    for cell in finished.cells:
        manifest = json.loads((finished.folder / "cells" / cell.id / "manifest.json").read_text())
        assert set(manifest["steps"]) == {"pruned", "test", "speed"}
        assert (
            digest(manifest["identity"])
            == json.loads((finished.folder / "cells" / cell.id / "pruned.json").read_text())["signature"]
        )
        assert len(manifest["identity"]["data"]["sha256"]) == 64
        for step in manifest["steps"].values():
            assert step["git"] == {} or step["git"]["commit"] == commit
            assert step["libraries"]["torch"] == importlib.metadata.version("torch")
            assert step["seed"] == 1 and step["seconds"] >= 0 and step["hardware"]
            assert step["command"].startswith(f"headprune job {step['job'].split('/')[0]} --spec {step['spec']} ")


def test_the_run_says_how_it_came_about(finished: Plan) -> None:
    manifest = json.loads((finished.folder / "manifest.json").read_text())
    assert manifest["config"]["methods"][0]["name"] == "magnitude"
    assert manifest["packages"]["torch"] and len(manifest["packages"]) > 50
    assert manifest["job_seconds"] > 0
    assert set(manifest["files"]) == set(TABLES)


@rows(
    Found("a run of another processor", "no word", True, "its manifest", "AMD EPYC x2"),
    Found("a run of this one", "no word", False, "its manifest", hardware()),
    Found("a run that does not say", "no word", False, "its manifest", None),
)
def test_another_processor_is_named(found: Found, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"environment": {"hardware": found.case}}))
    report = Report(tmp_path)
    check_machine(report)
    assert bool(report.notes) == found.right
    assert not report.differences
    assert all("AMD EPYC x2, this is" in note and "give other models" in note for note in report.notes)
