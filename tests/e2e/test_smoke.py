"""The smoke profile from corpus to figures, and what may and may not run again."""

from __future__ import annotations

import copy
import gzip
import hashlib
import json
import random
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from killing import Blow, Disturbed, disturb, kill_everything, kill_training
from smoke_run import CELLS, PAIRS, ROOT, SMOKE, UNTIMED, Run

from headprune.results.schema import CELL_COLUMNS, CELL_KEY, read_cells, reproducible, to_csv
from headprune.tasks.translation.corpus import TranslationCorpus

pytestmark = pytest.mark.slow

COUNT = 2 * (1 + 2 * 2 + 2 + 2 + 2) + 2


def copied(run: Run, folder, cores: int = 2) -> Run:
    """A copy of a finished run, times of files included, that a test may change."""
    shutil.copytree(run.directory, folder, dirs_exist_ok=True, copy_function=shutil.copy2)
    return Run(folder, cores)


def test_every_cell_has_its_rows(smoke):
    table = smoke.cells()
    assert list(table.columns) == list(CELL_COLUMNS)
    assert set(table["status"]) == {"ok"}
    cells = table.groupby(CELL_KEY)
    assert cells.ngroups == COUNT
    metrics = {"bleu", "chrf", "bleu_tokenized_lower", "perplexity", "parameters", "parameters_non_embedding"}
    metrics |= {"length_ratio", "repetition_rate"}
    metrics |= {"macs_per_token", "latency_ms", "throughput", "train_seconds", "prune_seconds", "peak_memory_mib"}
    metrics |= {"masked_vs_removed_max_abs", "masked_vs_removed_hypotheses", "prune_updates"}
    metrics |= {"prune_forward_sentences", "prune_backward_sentences"}
    assert all(set(rows["metric"]) == metrics for _, rows in cells)
    assert (table["heads_kept"] == table["budget"]).all()
    pd.testing.assert_frame_equal(read_cells(smoke.results / "cells.csv"), read_cells(smoke.results))


def test_masked_equals_removed_in_every_cell(smoke):
    values = smoke.cells().set_index("metric")["value"]
    assert values["masked_vs_removed_max_abs"].max() < 1e-5
    assert values["masked_vs_removed_hypotheses"].max() == 0


def test_fewer_heads_cost_less(smoke):
    table = smoke.cells()
    costs = table[table["metric"].isin(["parameters", "macs_per_token"])]
    by_budget = costs.groupby(["metric", "budget"])["value"].mean().unstack("budget")
    assert (by_budget.diff(axis=1).iloc[:, 1:] > 0).all(axis=None)


def test_masks_have_exactly_k_heads(smoke):
    masks = pd.read_parquet(smoke.results / "masks.parquet")
    kept = masks.groupby(CELL_KEY)["kept"].agg(["sum", "size"]).reset_index()
    assert (kept["sum"] == kept["budget"]).all()
    assert set(kept["size"]) == {12}


def test_sacrebleu_on_the_saved_hypotheses_gives_the_table(smoke, tmp_path):
    table = smoke.cells()
    bleu = table[(table["metric"] == "bleu") & (table["method"].isin(["unpruned", "dsp"]))]
    reference = smoke.results / "data/lohelp-de-en/raw/test.tgt"
    for row in bleu.itertuples():
        label = f"{row.method}.{row.arm}" if row.arm else row.method
        saved = smoke.results / f"segments/tiny/{label}/k{row.budget}-s{row.seed}/hypotheses.test.txt.gz"
        text = gzip.decompress(saved.read_bytes())
        assert len(text.splitlines()) == PAIRS
        (tmp_path / "h.txt").write_bytes(text)
        command = [sys.executable, "-m", "sacrebleu", str(reference), "-i", str(tmp_path / "h.txt"), "-b", "-w", "12"]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert printed.strip() == f"{row.value:.12f}"
        assert row.metric_signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")


def test_manifest_explains_every_signature(smoke):
    manifest = json.loads((smoke.results / "manifest.json").read_text())
    assert set(smoke.cells()["signature"]) == set(manifest["signatures"])
    some = next(iter(manifest["signatures"].values()))
    assert {"data", "settings", "seed", "method", "budget", "code", "libraries", "hardware"} <= set(some)
    assert manifest["data"]["lohelp-de-en"]["splits"]["test"]["pairs"] == PAIRS


def test_pictures_and_tables_are_there(smoke):
    names = ["quality_vs_heads", "pareto", "survival_maps", "kept_by_type", "pruning_cost"]
    for name in names:
        assert (smoke.results / "figures" / f"{name}.png").stat().st_size > 5_000
        assert (smoke.results / "figures" / f"{name}.pdf").exists()
    assert "| unpruned" in (smoke.results / "tables/results.md").read_text()


def test_progress_is_printed(smoke):
    output = (smoke.directory / "output.txt").read_text()
    assert f"{COUNT}/{COUNT} cells pruned, {COUNT} tested, 12/12 jobs, done" in output
    assert re.search(
        r"dense/tiny/s1 · update 30/30 · loss \d\.\d+ \| \d/24 cells pruned, 0 tested, \d/12 jobs, about \d+ \w+ left",
        output,
    )


def test_a_second_run_has_nothing_to_do(smoke):
    assert "Nothing to be done" in smoke.snakemake()


def test_editing_a_figure_script_trains_nothing(smoke, tmp_path):
    plan = smoke.snakemake("-n", "--quiet", "rules", "--forcerun", "figure")
    assert not any(f"\n{rule} " in plan for rule in ("dense", "gates", "score", "test", "collect"))
    assert "figure" in plan


def test_adding_a_seed_runs_only_that_seed(smoke, tmp_path):
    run = copied(smoke, tmp_path / "run")
    before = run.receipts()
    run.snakemake(CELLS, config={"seeds": [1, 2, 3]})
    after = run.receipts()
    assert {name: time for name, time in after.items() if name in before} == before
    assert all("s3" in name for name in set(after) - set(before))
    assert set(run.cells()["seed"]) == {1, 2, 3}


def planned(run: Run, **config: Any) -> dict[str, int]:
    """Number of jobs of every rule that would run, of those that compute."""
    text = run.snakemake("tables", "-n", "--quiet", "rules", config=config)
    counts = dict(re.findall(r"(?m)^(\w+) +(\d+)$", text))
    return {rule: int(counts[rule]) for rule in ("data", "dense", "gates", "score", "test", "speed") if rule in counts}


def test_a_method_that_is_taken_out_runs_nothing_but_aggregates(smoke, tmp_path):
    """It planned score, test and speed of every seed again."""
    run = copied(smoke, tmp_path / "run")
    for name in ("magnitude", "dsp"):
        methods = [method for method in SMOKE["methods"] if method["name"] != name]
        assert planned(run, methods=methods) == {}
    run.snakemake(CELLS, config={"methods": methods})
    assert "dsp" not in set(run.cells()["method"])
    assert planned(run) == {}


def test_another_option_measures_its_own_cells_and_keeps_the_others(smoke, tmp_path):
    """It measured the speed of all cells again."""
    run = copied(smoke, tmp_path / "run")
    methods = copy.deepcopy(SMOKE["methods"])
    methods[4]["options"]["step"] = 6
    assert planned(run, methods=methods) == {"score": 2, "test": 2, "speed": 2}
    before = {path: path.read_bytes() for path in run.results.glob("cells/**/*.json")}
    run.snakemake(CELLS, config={"methods": methods})
    changed = {path for path, content in before.items() if path.read_bytes() != content}
    names = {"identity.json", "manifest.json", "pruned.json", "speed.json", "test.json"}
    assert {path.name for path in changed} == names
    assert {path.parents[1].name for path in changed} == {"gradient_importance.iterative"}
    record = json.loads(next(path for path in changed if path.name == "speed.json").read_text())
    assert set(record["scale"]) == {"latency_ms", "throughput"}
    assert planned(run, methods=methods) == {}


def of_few(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of seed 1 and of methods of one arm."""
    return table[(table["seed"] == 1) & table["arm"].isin(["", "pipelined"])].reset_index(drop=True)


def test_one_core_and_kills_and_no_warm_process_give_the_same_bytes(smoke, tmp_path, monkeypatch):
    """A training is killed, later everything, as in a power failure; `make test-faults` does more.

    What is left when the run is resumed is done by processes of their own.
    """
    run, told = Run(tmp_path, cores=1), []

    def tell(**what: Any) -> None:
        told.append(what)
        monkeypatch.setenv("HEADPRUNE_WARM", "")  # Snakemake, which runs, has it from its beginning

    few = [
        method for method in SMOKE["methods"] if method.get("arm", "pipelined") == "pipelined" and "draws" not in method
    ]
    disturbed = Disturbed(run, target=CELLS, config=UNTIMED | {"seeds": [1], "methods": few})
    blows = [Blow("training", kill_training, latest=0.1), Blow("everything", kill_everything, latest=0.5)]
    left = disturb(disturbed, blows, random.Random(1), 17, tell)
    assert left == [] and len(told) == 2
    assert disturbed.restarts == 1
    assert disturbed.rewritten() == []
    assert to_csv(reproducible(run.cells())) == to_csv(reproducible(of_few(smoke.cells())))
    expected = of_few(pd.read_parquet(smoke.results / "masks.parquet"))
    pd.testing.assert_frame_equal(pd.read_parquet(run.results / "masks.parquet"), expected)


def test_test_references_change_no_mask_and_no_checkpoint(smoke, tmp_path):
    """The smoke corpus again, as a corpus of one's own whose test references are garbage."""
    corpus = tmp_path / "own-de-en"
    corpus.mkdir()
    raw = smoke.results / "data/lohelp-de-en/raw"
    for split in ("train", "valid", "test"):
        sides = [(raw / f"{split}.{side}").read_text().splitlines() for side in ("src", "tgt")]
        sides[1] = sides[1] if split != "test" else [f"garbage {n}" for n, _ in enumerate(sides[1])]
        text = "".join(f"{source}\t{target}\n" for source, target in zip(*sides, strict=True))
        (corpus / f"{split}.tsv").write_text(text)
    few = [m for m in SMOKE["methods"] if m["name"] != "random"]
    dataset = {"lohelp-de-en": SMOKE["datasets"]["lohelp-de-en"] | {"corpus": str(corpus)}}
    run = Run(tmp_path)
    run.snakemake(CELLS, config=UNTIMED | {"datasets": dataset, "methods": few, "seeds": [1]})
    masks = run.masks()
    assert masks == {cell: mask for cell, mask in smoke.masks().items() if cell in masks}
    assert len(masks) == 9

    def dense(which: Run) -> str:
        return hashlib.sha256((which.results / "dense/tiny/s1.pt").read_bytes()).hexdigest()

    assert dense(run) == dense(smoke)
    assert TranslationCorpus(run.results / "data/lohelp-de-en").references("test")[0] == "garbage 0"


def test_foreign_methods_take_part_and_a_failing_cell_becomes_a_row(smoke, tmp_path):
    methods = tmp_path / "methods"
    methods.mkdir()
    (methods / "broken.py").write_text(
        "from headprune.method import ScoreMethod, register\n\n\n"
        "@register('broken')\n"
        "class Broken(ScoreMethod):\n"
        "    def scores(self, model, batches, rng):\n"
        "        raise RuntimeError('no idea')\n"
    )
    example = (ROOT / "README.md").read_text().split("```python\n")[1].split("```")[0]
    (methods / "output_norm.py").write_text(example)  # a method from outside the repository
    run = copied(smoke, tmp_path / "run")
    before = run.receipts()
    added = [{"name": "broken"}, {"name": "output_norm"}]
    config = {"methods_directories": [str(methods)], "methods": [*SMOKE["methods"], *added]}
    run.snakemake("tables", "results/smoke/figures/quality_vs_heads.png", config=config)
    table = run.cells()
    assert len(table[(table["method"] == "output_norm") & (table["metric"] == "bleu")]) == 4
    assert "| output norm" in (run.results / "tables/results.md").read_text()
    assert b"output norm" in (run.results / "tables/results.tex").read_bytes()
    broken = table[table["method"] == "broken"]
    assert set(broken["status"]) == {"failed"}
    assert set(broken["reason"]) == {"RuntimeError: no idea"}
    assert len(broken) == 4
    assert (table[table["method"] != "broken"]["status"] == "ok").all()
    assert "failed" in (run.results / "figures/quality_vs_heads.txt").read_text()
    kept = {name for name, time in run.receipts().items() if before.get(name) == time}
    assert any(name.startswith("dense/") for name in kept)
    assert any(name.startswith("gates/") for name in kept)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methods": [{"name": "dps"}]}, "unknown method 'dps'; did you mean 'dsp'?"),
        ({"budgets": [13]}, "budget 13 is outside 0…12"),
        ({"batches": "seed"}, "unknown key 'batches'; did you mean 'batch'?"),
        ({"datasets": {"lohelp-de-en": {"corpus": "lohelp-de"}}}, "did you mean 'lohelp-de-en'?"),
        ({"results": "/proc/nowhere"}, "cannot be written"),
    ],
)
def test_a_bad_configuration_ends_before_anything_is_written(tmp_path, change, message):
    run = Run(tmp_path)
    output = run.snakemake(config=change, check=False)
    assert message in " ".join(output.split())
    assert "Traceback" not in output
    assert not (tmp_path / "results").exists()
    assert ROOT.exists()


def test_every_cell_of_a_run_is_shown_whole(smoke: Run) -> None:
    text = (smoke.results / "report.html").read_text(encoding="utf-8")
    data = json.loads(text.split('id="data">', 1)[1].split("</script>", 1)[0])
    assert {cell["id"] for cell in data["cells"]} == set(smoke.masks())
    assert "What these results lack" not in text
    for cell in data["cells"]:
        assert len(cell["outputs"]["values"]) == 10
        assert cell["mask"]["bits"].count("1") == cell["budget"]
        assert data["pool"][cell["config"]["cell"]] == cell["id"]
    told = {name for cell in data["cells"] for name, _ in cell["logs"]}
    logs = [path for kind in ("score", "gates", "test") for path in (smoke.results / "logs" / kind).rglob("*.log")]
    assert told == {path.relative_to(smoke.results).as_posix() for path in logs if path.stat().st_size} != set()
    assert all({"sources", "references"} <= set(group["examples"]) for group in data["groups"])
    assert text.count("<figure id=") == len(list(smoke.results.glob("figures/*.png")))


def test_snakemakes_own_report(smoke: Run, tmp_path: Path) -> None:
    """It wants every output of the run, and shows figures and tables with their captions."""
    smoke.snakemake("all", "--report", str(tmp_path / "report.zip"))
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        names = [Path(name).name for name in archive.namelist()]
        page = archive.read("report/report.html").decode()
    assert {"pareto.png", "claims.csv", "results.csv"} <= set(names)
    for caption in ("Claims of the papers: held", "Quality against parameters", "Test quality of every method"):
        assert caption in page
