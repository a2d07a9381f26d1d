"""Models from checkpoints in a profile: every kind of entry that starts from the unpruned model, and what it says."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sacrebleu
import torch
import yaml

from headprune import removal
from headprune.analysis.given import sentence
from headprune.checkpoints import open_model
from headprune.config import load
from headprune.data.lengths import Bound
from headprune.heads import HeadSpace
from headprune.pipeline.cells import Job
from headprune.pipeline.context import ModelContext
from headprune.pipeline.estimate import seconds, updates
from headprune.pipeline.identity import settings_of
from headprune.pipeline.plan import Plan
from headprune.pipeline.specification import specification
from headprune.results.provenance import file_sha256
from headprune.settings import GivenShape
from headprune.tasks.translation.arguments import arguments
from headprune.tasks.translation.binarised import prepare
from headprune.tasks.translation.data_bin import BinarisedCorpus, DataBin, PreparedBin
from headprune.tasks.translation.evaluation import translate
from headprune.tasks.translation.given import BinarisedPairs
from headprune.tasks.translation.reading import TextReading
from headprune.tasks.translation.sections import Training
from headprune.training.trainer import configuration
from tests.checkpoints.conftest import KINDS, StockModel
from tests.checkpoints.own_profile import FURTHER, profile_of, run

Stock = Callable[[str], StockModel]
KIND = "separate, pre-norm"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "own-models.md"
PROFILES = re.compile(r"```yaml\n(.*?)```", re.S)
SYMMATH = Path(os.environ["HEADPRUNE_SYMMATH"]) if "HEADPRUNE_SYMMATH" in os.environ else None


@pytest.fixture(scope="module")
def finished(stock: Stock, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A run of all jobs, once for all tests, which leave it as it is."""
    return run(profile_of(stock(KIND), tmp_path_factory.mktemp("results")))


def cells_of(plan: Plan) -> pd.DataFrame:
    return pd.read_parquet(plan.folder / "cells.parquet")


def test_every_cell_has_a_result_and_no_score_of_text(finished: Plan) -> None:
    cells = cells_of(finished)
    assert set(cells["status"]) == {"ok"}, cells["reason"].unique()
    assert set(cells["track"]) == {"mt_tokens"}
    assert set(cells["arm"].fillna("") + cells["method"]) == {"unpruned", "magnitude", "+ftmagnitude", "pipelineddsp"}
    found = [set(rows["metric"]) for _, rows in cells.groupby(["method", "arm", "budget"], dropna=False)]
    assert all("bleu_tokenized" in metrics for metrics in found)
    assert not any({"bleu", "chrf", "train_seconds"} & metrics for metrics in found)
    assert all({"latency_ms", "throughput", "exact_match", "perplexity"} <= metrics for metrics in found)
    same = cells[cells["metric"] == "masked_vs_removed_max_abs"]["value"]
    assert same.max() < 1e-5


def test_the_unpruned_model_is_the_one_that_was_given(finished: Plan, stock: Stock) -> None:
    given = torch.load(stock(KIND).checkpoint, weights_only=True)["model"]
    record = json.loads((finished.folder / "dense/stock/s1.json").read_text(encoding="utf-8"))
    assert record["given"]["sha256"] == file_sha256(stock(KIND).checkpoint)
    assert record["given"]["updates"] == 50
    assert record["seconds"] is None
    assert "updates" not in record
    own = removal.load(finished.folder / "dense/stock/s1.pt").state_dict()
    for name, value in given.items():
        if name in own and not name.endswith("_float_tensor"):
            assert torch.equal(own[name], value), name
    assert {"encoder.embed_tokens.weight", "decoder.layers.1.encoder_attn.q_proj.weight"} <= set(own) & set(given)


def test_scores_are_of_the_hypotheses_and_the_tokens(finished: Plan, pieces: Path) -> None:
    """The text of the test side before it was binarised, its subwords joined, scored by sacrebleu itself."""
    text = (pieces / "test.yy").read_text(encoding="utf-8")
    references = re.sub("@@( |$)", "", text, flags=re.MULTILINE).splitlines()
    cells = cells_of(finished)
    scores = cells[cells["metric"] == "bleu_tokenized"].set_index(["method", "budget"])["value"]
    for label, method, budget in (("unpruned", "unpruned", 12), ("dsp.pipelined", "dsp", 6)):
        place = finished.folder / f"segments/stock/{label}/k{budget}-s1/hypotheses.test.txt.gz"
        lines = gzip.decompress(place.read_bytes()).decode().splitlines()
        expected = sacrebleu.corpus_bleu(lines, [references], tokenize="none", force=True).score
        assert scores[method, budget] == pytest.approx(expected, abs=1e-9)


def test_hypotheses_of_the_unpruned_model_are_those_of_its_folder(finished: Plan, stock: Stock) -> None:
    """`headprune.tasks.translation.data_bin` reads the folder as it lies, and is tested against fairseq's generator."""
    made = stock(KIND)
    corpus = BinarisedCorpus(DataBin(made.data, ("xx", "yy"), TextReading("subword_nmt")))
    expected = translate(open_model(made.checkpoint, made.data).model, corpus, "test", finished.config.evaluation)
    place = finished.folder / "segments/stock/unpruned/k12-s1/hypotheses.test.txt.gz"
    assert gzip.decompress(place.read_bytes()).decode().splitlines() == expected
    assert len(set(expected)) > 5


def test_pipelined_gates_leave_the_weights_and_fine_tuning_does_not(finished: Plan) -> None:
    whole = removal.load(finished.folder / "dense/stock/s1.pt").state_dict()

    def changed(label: str) -> bool:
        (cell,) = finished.grid.cells_of("stock", label, 1)
        state = removal.load(finished.run.cell(cell.id).model).state_dict()
        alike = [name for name in whole if name in state and state[name].shape == whole[name].shape]
        return not all(torch.equal(state[name], whole[name]) for name in alike)

    assert [changed(label) for label in ("magnitude", "dsp.pipelined", "magnitude+ft")] == [False, False, True]


def test_captions_and_ablations_say_what_was_given(finished: Plan) -> None:
    told = sentence(finished.folder, "letters", "stock")
    assert told.startswith("The model was given: one checkpoint for every seed, so that n counts draws and gates")
    ablations = pd.read_csv(finished.folder / "ablations.csv")
    assert len(ablations) == 12
    assert set(ablations["metric"]) == {"bleu_tokenized"}


def test_a_second_plan_changes_nothing_and_other_weights_do(finished: Plan, stock: Stock, tmp_path: Path) -> None:
    """Wherever the checkpoint lies: its content counts."""

    def identity(checkpoint: Path) -> Any:
        model = {"dataset": "letters", "checkpoint": str(checkpoint), "further_training": FURTHER}
        plan = Plan(load(profile_of(stock(KIND), finished.folder.parent, models={"stock": model})))
        return settings_of(ModelContext.of(specification(plan, Job("dense", "stock", seed=1))))

    moved = shutil.copy(stock(KIND).checkpoint, tmp_path / "moved.pt")
    assert identity(moved) == identity(stock(KIND).checkpoint)
    state = torch.load(moved, weights_only=True)
    state["model"]["encoder.embed_tokens.weight"] *= 2
    torch.save(state, moved)
    assert identity(moved) != identity(stock(KIND).checkpoint)


def test_the_plan_counts_no_training_of_it(stock: Stock, tmp_path: Path) -> None:
    plan = Plan(load(profile_of(stock(KIND), tmp_path)))
    dense = Job("dense", "stock", seed=1)
    assert dense in plan.jobs
    assert seconds(plan, dense) < 10
    assert updates(plan, next(job for job in plan.jobs if job.kind == "gates")) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_the_arguments_of_its_trainings_build_the_same_model(stock: Stock, kind: str, tmp_path: Path) -> None:
    """fairseq's own parser reads them; shapes and options are those of the checkpoint."""
    made = stock(kind)
    shape = GivenShape(checkpoint=str(made.checkpoint))
    prepare(BinarisedPairs(data_bin=str(made.data)), tmp_path / "data", {})
    corpus = PreparedBin(tmp_path / "data")
    cfg = configuration(arguments(corpus.binarised, corpus.pair, shape, Training(**FURTHER)))
    model = corpus.task.build_model(cfg.model)
    given = torch.load(made.checkpoint, weights_only=True)
    expected = {name: value.shape for name, value in given["model"].items() if "version" not in name}
    assert {name: value.shape for name, value in model.state_dict().items() if name in expected} == expected
    for option in ("dropout", "activation_fn", "encoder_normalize_before", "share_all_embeddings", "decoder_layers"):
        assert getattr(cfg.model, option) == getattr(given["cfg"]["model"], option)
    assert HeadSpace.of(model) == shape.head_space


def test_seeds_have_checkpoints_of_their_own(stock: Stock, tmp_path: Path) -> None:
    other = tmp_path / "other.pt"
    state = torch.load(stock(KIND).checkpoint, weights_only=True)
    state["model"]["encoder.embed_tokens.weight"] *= 2
    torch.save(state, other)
    model = {"dataset": "letters", "checkpoints": {1: str(stock(KIND).checkpoint), 2: "other.pt"}}
    profile = profile_of(stock(KIND), tmp_path, seeds=[1, 2], models={"stock": model}, treatments=[])
    profile["methods"] = profile["methods"][:2]
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump(profile), encoding="utf-8")
    plan = Plan(load(file))  # a relative path begins at the folder of the file
    told = [specification(plan, Job("dense", "stock", seed=seed)) for seed in (1, 2)]
    assert [each["settings"]["checkpoint"] for each in told] == [str(stock(KIND).checkpoint), str(other)]
    assert [each["content"] for each in told] == [file_sha256(stock(KIND).checkpoint), file_sha256(other)]
    with pytest.raises(ValueError, match=r"seeds: model 'stock' has no checkpoint of seed 3, only of \[1, 2\]"):
        load(profile | {"seeds": [1, 3]} | {"models": {"stock": model | {"checkpoints": model["checkpoints"]}}})
    model["checkpoints"] = {1: str(stock(KIND).checkpoint), 2: str(stock("separate, uneven").checkpoint)}
    with pytest.raises(ValueError, match=r"has 14 heads, .* 12, or others: the checkpoints of a model are of one"):
        load(profile | {"models": {"stock": model}})


def test_valid_stands_for_splits_that_there_are_not(stock: Stock, pieces: Path, tmp_path: Path) -> None:
    """Every sentence of valid is in one split, and the text of each is what was binarised."""
    folder = shutil.copytree(stock(KIND).data, tmp_path / "data")
    for path in [*folder.glob("train.*"), *folder.glob("test.*")]:
        path.unlink()
    section = {"data_bin": str(folder)}
    with pytest.raises(
        ValueError, match=r"has no split 'train'; its splits: valid; `divide_valid: {train: 0.5}` takes"
    ):
        prepare(BinarisedPairs(**section), tmp_path / "prepared", {})
    assert not (tmp_path / "prepared").exists()
    shares = {"train": 0.5, "test": 0.25}
    told = prepare(BinarisedPairs(**section, divide_valid=shares), tmp_path / "prepared", {})
    assert {split: counts["pairs"] for split, counts in told["splits"].items()} == {
        "train": 30,
        "test": 15,
        "valid": 15,
    }
    corpus = PreparedBin(tmp_path / "prepared")
    words = corpus.task.target_dictionary
    found = [
        words.string(corpus.dataset(split).tgt[n])
        for split in shares | {"valid": 0}
        for n in range(len(corpus.dataset(split)))
    ]
    assert sorted(found) == sorted((pieces / "valid.yy").read_text(encoding="utf-8").splitlines())
    sealed = PreparedBin(tmp_path / "prepared", sealed=True)
    with pytest.raises(ValueError, match="the test set is sealed"):
        sealed.references("test")
    with pytest.raises(
        ValueError, match=r"sentence \d+ of train has \d+ xx tokens, the end included; at most 3 fit: me"
    ):
        prepare(BinarisedPairs(**section, divide_valid=shares), tmp_path / "other", {"train": Bound(3, "me")})


def test_raw_datasets_are_numbered_as_binarised_ones(stock: Stock, pieces: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for language in ("xx", "yy"):
        shutil.copy(stock(KIND).data / f"dict.{language}.txt", raw)
        for split in ("train", "valid", "test"):
            shutil.copy(pieces / f"{split}.{language}", raw / f"{split}.xx-yy.{language}")
    for name, folder in (("one", stock(KIND).data), ("other", raw)):
        prepare(BinarisedPairs(data_bin=str(folder)), tmp_path / name, {})
    one, other = PreparedBin(tmp_path / "one"), PreparedBin(tmp_path / "other")
    for split in ("train", "valid", "test"):
        for mine, theirs in zip(one.dataset(split), other.dataset(split), strict=True):
            assert torch.equal(mine["source"], theirs["source"])
            assert torch.equal(mine["target"], theirs["target"])
    assert one.references("test") == other.references("test")


def test_raw_references_give_scores_of_text(stock: Stock, pieces: Path, tmp_path: Path) -> None:
    places = {}
    for split in ("valid", "test"):
        text = (pieces / f"{split}.yy").read_text(encoding="utf-8")
        (tmp_path / split).write_text(re.sub("@@( |$)", "", text, flags=re.MULTILINE), encoding="utf-8")
        places[split] = str(tmp_path / split)
    profile = profile_of(stock(KIND), tmp_path, ablations=[], treatments=[])
    profile |= {
        "methods": [{"name": "unpruned"}],
        "datasets": {"letters": profile["datasets"]["letters"] | {"references": places}},
    }
    plan = run(profile, without=("speed",))
    cells = cells_of(plan)
    assert set(cells["track"]) == {"mt"}
    assert {"bleu", "chrf"} <= set(cells["metric"])
    assert "bleu_tokenized" not in set(cells["metric"])
    (tmp_path / "test").write_text("one line\n", encoding="utf-8")
    with pytest.raises(ValueError, match="test has 1 lines, split 'test' of .* 60 sentences"):
        plan.config.datasets["letters"].prepare(tmp_path / "again", {})


def test_the_profiles_of_the_page_are_valid(stock: Stock, tmp_path: Path) -> None:
    """The model of the page has more heads than this one, which stands for it."""
    shutil.copy(stock(KIND).checkpoint, tmp_path / "checkpoint_best.pt")
    shutil.copytree(stock(KIND).data, tmp_path / "data-bin")
    for split in ("valid", "test"):
        (tmp_path / f"{split}.en").write_text("", encoding="utf-8")
    whole, dataset, *_ = PROFILES.findall(PAGE.read_text(encoding="utf-8"))
    config = load(yaml.safe_load(whole) | {"budgets": [6], "results": str(tmp_path)}, tmp_path)
    assert config.models["wmt"].track == config.datasets["news"].track == "mt"
    assert {method.mode for method in config.methods} == {"pipelined", "continued"}
    (section,) = yaml.safe_load(dataset)["datasets"].values()
    assert BinarisedPairs(**section).track == "mt_tokens"


@pytest.mark.skipif(SYMMATH is None, reason="HEADPRUNE_SYMMATH names no folder with the checkpoint of a third party")
def test_a_checkpoint_of_a_third_party_in_a_profile(tmp_path: Path) -> None:
    """Its folder has valid alone, a fiftieth of which is enough here for each of two splits."""
    assert SYMMATH is not None
    made = StockModel(SYMMATH / "checkpoint_best.pt", SYMMATH / "data-bin")
    letters = {"data_bin": str(made.data), "divide_valid": {"train": 0.96, "test": 0.02}}
    evaluation = {"beam": 1, "max_len_a": 0.0, "max_len_b": 30, "checked_sentences": 4}
    changes: dict[str, Any] = {"datasets": {"letters": letters}, "evaluation": evaluation, "ablations": []}
    plan = run(profile_of(made, tmp_path, budgets=[40], **changes), without=("speed",))
    cells = cells_of(plan)
    assert set(cells["status"]) == {"ok"}, cells["reason"].unique()
    assert set(cells["n_heads"]) == {48}
    assert cells[cells["metric"] == "masked_vs_removed_max_abs"]["value"].max() < 1e-5
    assert sentence(plan.folder, "letters", "stock").endswith(
        "of the valid split that was given, 96% train and 2% test, the rest valid."
    )
