"""Merging results folders: what goes in comes out once, and what does not belong together is named."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

import headprune.tasks  # noqa: F401, whose metrics are in the tables
from headprune.cli.commands import app
from headprune.naming import cell_id
from headprune.results import schema
from headprune.results.merging import merge
from headprune.results.merging.parts import MergeError
from headprune.results.outputs import paths
from headprune.results.provenance import file_sha256

GROUP = {"profile": "unit", "track": "mt", "dataset": "help", "model": "tiny"}
CONFIG: dict[str, Any] = {
    "profile": "unit",
    "budgets": [4, 2],
    "datasets": {"help": {"vocabulary": 100}},
    "models": {"tiny": {"training": {"updates": 10}}},
    "methods": [{"name": "dsp", "arm": "joint", "options": {}}],
    "evaluation": {"beam": 5},
}


def rows(seed: int, status: str = "ok", value: float = 12.5) -> list[dict[str, Any]]:
    cell = GROUP | {"method": "dsp", "arm": "joint", "budget": 4, "n_heads": 4, "seed": seed}
    if status != "ok":
        return [cell | {"split": "test", "metric": "bleu", "status": status, "reason": "why", "signature": ""}]
    common = cell | {"heads_kept": 4, "status": "ok", "signature": f"{seed:012d}"}
    return [
        common | {"split": "test", "metric": "bleu", "value": value + seed, "unit": "BLEU"},
        common | {"split": "", "metric": "train_seconds", "value": 3.0, "unit": "s"},
    ]


def masks(seed: int) -> list[dict[str, Any]]:
    head = GROUP | {"method": "dsp", "arm": "joint", "budget": 4, "seed": seed, "signature": f"{seed:012d}"}
    return [head | {"head": f"cross.0.{i}", "type": "cross", "layer": 0, "index": i, "kept": True} for i in range(4)]


@pytest.fixture
def part(tmp_path: Path) -> Callable[..., Path]:
    """Writes a results folder with one seed that is ok and those that are not, and returns it."""

    def written(name: str, seed: int, others: dict[int, str] | None = None, **config: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        cells = rows(seed) + [row for other, status in (others or {}).items() for row in rows(other, status)]
        (folder / "cells.parquet").write_bytes(schema.to_parquet(schema.cells_table(cells)))
        (folder / "masks.parquet").write_bytes(schema.to_parquet(schema.masks_table(masks(seed))))
        trial = {"profile": "unit", "model": "tiny", "method": "l0", "label": "l0.joint", "seed": 1, "signature": "ab"}
        trial |= {"coefficient": 0.1, "heads_kept": 3, "status": "ok", "seconds": float(seed)}
        (folder / "trials.csv").write_bytes(schema.to_csv(schema.trials_table([trial])))
        ablation = {"profile": "unit", "model": "tiny", "kind": "drop_one", "seed": seed, "head": "cross.0.0"}
        ablation |= {"metric": "bleu", "value": 9.0, "status": "ok"}
        (folder / "ablations.csv").write_bytes(schema.to_csv(schema.ablations_table([ablation])))
        for budget, text in ((4, "one"), (2, "not a cell of the tables")):
            outputs = folder / "segments" / cell_id("tiny", "dsp", "joint", budget, seed)
            outputs.mkdir(parents=True)
            (outputs / "hypotheses.test.txt.gz").write_bytes(gzip.compress(f"{text} {seed}\n".encode(), mtime=0))
        (folder / "data/help/raw").mkdir(parents=True)
        (folder / "data/help/raw/test.tgt").write_text("a reference\n")
        manifest = {
            "profile": "unit",
            "config": CONFIG | {"seeds": [seed]} | config,
            "data": {"help": {"sha256": "aa"}},
        }
        manifest |= {"signatures": {f"{seed:012d}": {"cell": f"s{seed}"}}, "environment": {"hardware": f"box {seed}"}}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder

    return written


@pytest.mark.parametrize("content", ["", "{", "[1, 2]"])
def test_a_damaged_manifest_is_told_by_name(content: str, part: Callable[..., Path], tmp_path: Path) -> None:
    folder = part("one", 1)
    (folder / "manifest.json").write_text(content)
    with pytest.raises(MergeError, match=r"one cannot be merged: manifest\.json (cannot be read|holds a JSON list)"):
        merge(tmp_path / "whole", [folder, part("two", 2)])


def test_parts_of_one_profile(part: Callable[..., Path], tmp_path: Path) -> None:
    one, two = part("one", 1, {2: "missing"}), part("two", 2, {1: "missing", 3: "failed"})
    merged = merge(tmp_path / "whole", [one, two])
    assert merged.cells == {"ok": 2, "failed": 1}
    folder = tmp_path / "whole"
    cells = schema.read_cells(folder)
    expected = schema.cells_table(rows(1) + rows(2) + rows(3, "failed"))
    pd.testing.assert_frame_equal(cells, expected)
    assert not (folder / "cells.csv").exists()  # it would say the same
    found = schema.read_table(folder / "masks.parquet", schema.MASK_COLUMNS)
    pd.testing.assert_frame_equal(found, schema.masks_table(masks(1) + masks(2)))
    assert len(schema.read_table(folder / "trials.csv", schema.TRIAL_COLUMNS)) == 1  # one training, in both parts
    assert schema.read_table(folder / "ablations.csv", schema.ABLATION_COLUMNS)["seed"].tolist() == [1, 2]
    assert [path.relative_to(folder).as_posix() for path in paths(folder)] == ["outputs/tiny.parquet"]
    outputs = pd.read_parquet(folder / "outputs/tiny.parquet")
    columns = ["cell", "kind", "split", "segment", "text"]
    expected_outputs = [(f"tiny/dsp.joint/k4-s{seed}", "hypotheses", "test", 0, f"one {seed}") for seed in (1, 2)]
    assert list(outputs[columns].itertuples(index=False, name=None)) == expected_outputs
    assert (folder / "data/help/raw/test.tgt").read_text() == "a reference\n"
    assert not list(tmp_path.glob(".whole*"))


def test_speed_of_another_round_is_left_out(part: Callable[..., Path], tmp_path: Path) -> None:
    """Both parts measured the unpruned model of seed 1, which counts once; a seed in one part alone keeps its speed."""
    folders = [part("one", 1), part("two", 2)]
    methods = {
        "one": [("unpruned", 1), ("dsp", 1)],
        "two": [("unpruned", 1), ("magnitude", 1), ("unpruned", 2), ("dsp", 2)],
    }
    for folder in folders:
        table = []
        for method, seed in methods[folder.name]:
            arm, signature = ("joint" if method == "dsp" else ""), f"{method}{seed}"
            cell = rows(seed)[0] | {"method": method, "arm": arm, "signature": signature}
            speed = {
                "split": "",
                "metric": "latency_ms",
                "unit": "ms",
                "value": (1.0 if folder.name == "one" else 10.0) + len(table),
            }
            table += [cell, cell | speed]
        (folder / "cells.parquet").write_bytes(schema.to_parquet(schema.cells_table(table)))
    merged = merge(tmp_path / "whole", folders, shared=True)
    cells = schema.read_cells(tmp_path / "whole")
    timed = cells[cells["metric"] == "latency_ms"]
    assert set(zip(timed["method"], timed["seed"], timed["value"], strict=True)) == {
        ("unpruned", 1, 1.0),
        ("dsp", 1, 3.0),
        ("unpruned", 2, 14.0),
        ("dsp", 2, 16.0),
    }
    assert len(cells[cells["metric"] == "bleu"]) == 5
    assert [note for note in merged.notes if "speed of 1 cells is left out" in note]


def test_manifest_names_the_parts_and_explains_every_signature(part: Callable[..., Path], tmp_path: Path) -> None:
    folders = [part("one", 1), part("two", 2)]
    merged = merge(tmp_path / "whole", folders)
    manifest = json.loads((tmp_path / "whole/manifest.json").read_text())
    assert set(manifest["signatures"]) == {f"{seed:012d}" for seed in (1, 2)}
    assert [own["folder"] for own in manifest["merged"]] == [str(folder) for folder in folders]
    assert manifest["config"]["seeds"] == [1, 2]
    for name, sha256 in manifest["files"].items():
        assert file_sha256(tmp_path / "whole" / name) == sha256
    assert merged.notes == (f"{folders[0]} and {folders[1]} have different hardware: 'box 1' and 'box 2'",)


def refused(out: Path, folders: list[Path], *messages: str) -> None:
    before = sorted(out.parent.iterdir())
    with pytest.raises(MergeError) as error:
        merge(out, folders)
    for message in messages:
        assert message in str(error.value)
    assert sorted(out.parent.iterdir()) == before  # nothing was written


def test_printed_names_of_methods_are_those_of_all_parts(part: Callable[..., Path], tmp_path: Path) -> None:
    folders = [part("one", 1), part("two", 2), part("three", 3)]
    for folder, printed in zip(folders, ({"dsp": {"title": "DSP"}}, {"mine": {"title": "Mine"}}), strict=False):
        manifest = json.loads((folder / "manifest.json").read_text()) | {"printed": printed}
        (folder / "manifest.json").write_text(json.dumps(manifest))
    merge(tmp_path / "whole", folders)
    merged = json.loads((tmp_path / "whole" / "manifest.json").read_text())
    assert merged["printed"] == {"dsp": {"title": "DSP"}, "mine": {"title": "Mine"}}


def test_duplicate_cells_are_named(part: Callable[..., Path], tmp_path: Path) -> None:
    one, two = part("one", 1), part("two", 1)
    text = f"{one} and {two} both have 1 cells, 1 of them under one signature: mt/help/tiny/dsp/joint/k4/s1"
    refused(tmp_path / "whole", [one, two], text)


def test_an_ablation_that_failed_in_one_counts_where_it_did_not(part: Callable[..., Path], tmp_path: Path) -> None:
    one, two = part("one", 1), part("two", 2)
    failed = {"profile": "unit", "model": "tiny", "kind": "drop_one", "seed": 1, "status": "failed", "reason": "killed"}
    table = schema.read_table(two / "ablations.csv", schema.ABLATION_COLUMNS)
    table = pd.concat([table, schema.ablations_table([failed, failed | {"seed": 3}])])
    (two / "ablations.csv").write_bytes(schema.to_csv(table))
    merge(tmp_path / "whole", [one, two])
    merged = schema.read_table(tmp_path / "whole/ablations.csv", schema.ABLATION_COLUMNS)
    assert dict(zip(merged["seed"], merged["status"], strict=True)) == {1: "ok", 2: "ok", 3: "failed"}


def test_another_schema_is_named(part: Callable[..., Path], tmp_path: Path) -> None:
    one, two = part("one", 1), part("two", 2)
    table = pd.read_parquet(two / "cells.parquet").rename(columns={"value": "score"})
    table.to_parquet(two / "cells.parquet")
    refused(
        tmp_path / "whole", [one, two], "two/cells.parquet has another schema: missing ['value'], unknown ['score']"
    )


CONTRADICTIONS = {
    "model": ({"models": {"tiny": {"training": {"updates": 20}}}}, "models: tiny: training.updates: 10 and 20"),
    "dataset": ({"datasets": {"help": {"vocabulary": 7}}}, "datasets: help: vocabulary: 100 and 7"),
    "evaluation": ({"evaluation": {"beam": 1}}, "evaluation: beam: 5 and 1"),
}


@pytest.mark.parametrize(("config", "message"), list(CONTRADICTIONS.values()), ids=list(CONTRADICTIONS))
def test_configurations_that_differ(config: dict, message: str, part: Callable[..., Path], tmp_path: Path) -> None:
    one, two = part("one", 1), part("two", 2, **config)
    refused(tmp_path / "whole", [one, two], f"{one} and {two} have different configurations: {message}")


def test_the_same_data_may_lie_elsewhere(part: Callable[..., Path], tmp_path: Path) -> None:
    """Folders of one's own on two machines; what is in them is compared by its digests."""
    sections = ({"corpus": f"/{home}/talks-de-en", "references": {"valid": f"/{home}/valid"}} for home in ("a", "b"))
    one, two = (
        part(name, i, datasets={"help": each}) for i, (name, each) in enumerate(zip("xy", sections, strict=True))
    )
    assert merge(tmp_path / "whole", [one, two]).cells == {"ok": 2}


def test_parts_that_were_tuned_in_other_ways(part: Callable[..., Path], tmp_path: Path) -> None:
    """One of them tried more; beside results without any tuning, as older ones are, both may stand."""
    tuning = {"trials": 2, "seeds": [101], "budgets": [4]}
    one, two = part("one", 1, tuning=tuning), part("two", 2, tuning=tuning | {"trials": 3})
    message = f"{one} and {two} have different configurations: tuning: trials: 2 and 3"
    refused(tmp_path / "whole", [one, two], message)
    merge(tmp_path / "both", [one, part("untuned", 2)])


def test_an_option_more_is_no_difference(part: Callable[..., Path], tmp_path: Path) -> None:
    """Newer code has more keys, with defaults; and parts may have different seeds, budgets and methods."""
    methods = [{"name": "dsp", "arm": "joint", "options": {"new": 1}, "seeds": [2]}, {"name": "obs", "options": {}}]
    folders = [part("one", 1), part("two", 2, methods=methods, budgets=[3])]
    assert merge(tmp_path / "whole", folders).cells == {"ok": 2}


def test_options_that_differ(part: Callable[..., Path], tmp_path: Path) -> None:
    methods = [[{"name": "dsp", "arm": "joint", "options": {"cooldown": x}, "seeds": [x]}] for x in (0.5, 0.9)]
    one, two = (part(name, seed, methods=m) for name, seed, m in zip(("one", "two"), (1, 2), methods, strict=True))
    refused(tmp_path / "whole", [one, two], "methods: dsp.joint: options.cooldown: 0.5 and 0.9")


def test_data_that_differ(part: Callable[..., Path], tmp_path: Path) -> None:
    one, two = part("one", 1), part("two", 2)
    manifest = json.loads((two / "manifest.json").read_text())
    manifest["data"]["help"]["sha256"] = "bb"
    (two / "manifest.json").write_text(json.dumps(manifest))
    refused(tmp_path / "whole", [one, two], "different data: help: sha256: 'aa' and 'bb'")
    (two / "manifest.json").unlink()
    (two / "data/help/raw/test.tgt").write_text("another\n")
    refused(tmp_path / "whole", [one, two], "two/data/help/raw/test.tgt is another text")


def test_damaged_outputs_are_named(part: Callable[..., Path], tmp_path: Path) -> None:
    one, two = part("one", 1), part("two", 2)
    place = "segments/tiny/dsp.joint/k4-s2/hypotheses.test.txt.gz"
    (two / place).write_bytes(b"not gzip")
    refused(tmp_path / "whole", [one, two], f"outputs in {one}, {two}: {place} cannot be read")
    assert merge(tmp_path / "tables", [one, two], outputs=False).cells == {"ok": 2}


def test_packed_results_merge_like_those_of_runs(part: Callable[..., Path], tmp_path: Path) -> None:
    folders = [part("one", 1), part("two", 2)]
    merge(tmp_path / "whole", folders)
    for folder in folders:
        merge(tmp_path / "packed" / folder.name, [folder])
    merge(tmp_path / "again", [tmp_path / "packed/one", folders[1]])
    merge(tmp_path / "once more", [tmp_path / "packed/one", tmp_path / "packed/two"])
    for name in ("cells.parquet", "outputs/tiny.parquet", "data/help/raw/test.tgt"):
        for other in ("again", "once more"):
            assert (tmp_path / other / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_one_training_with_two_results(part: Callable[..., Path], tmp_path: Path) -> None:
    one, two = part("one", 1), part("two", 2)
    path = two / "trials.csv"
    path.write_text(path.read_text().replace(",3,", ",2,"))
    refused(tmp_path / "whole", [one, two], "trials.csv of two of them differs for model=tiny method=l0 seed=1")


def test_what_is_no_results_folder(part: Callable[..., Path], tmp_path: Path) -> None:
    one = part("one", 1)
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "whole", [one, tmp_path / "empty"], "empty is no results folder")
    refused(tmp_path / "whole", [one, tmp_path / "nowhere"], "nowhere is not a folder")
    refused(tmp_path / "whole", [one, one], "give results folders, each once")
    refused(tmp_path / "empty", [one, part("two", 2)], "empty exists")


def test_command_line(part: Callable[..., Path], tmp_path: Path) -> None:
    one, two = part("one", 1), part("two", 2)
    done = CliRunner().invoke(app, ["merge", str(tmp_path / "whole"), str(one), str(two)])
    assert done.exit_code == 0, done.output
    text = re.sub(r"\s+", " ", done.output)
    assert "2 cells: 2 ok" in text
    assert f"published={tmp_path / 'whole'}" in text
    assert CliRunner().invoke(app, ["merge", str(tmp_path / "whole"), str(one), str(two)]).exit_code != 0
