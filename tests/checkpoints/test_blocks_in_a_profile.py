"""Language models of stock fairseq in a profile: every kind of entry that starts from the unpruned model."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import headprune.models.compat  # noqa: F401

import pandas as pd
import pytest
import torch
import yaml
from fairseq_cli.eval_lm import eval_lm

from headprune import removal
from headprune.checkpoints import open_model
from headprune.config import load
from headprune.data.binarise import renumber
from headprune.data.lengths import Bound
from headprune.data.splits import SPLITS
from headprune.heads import HeadSpace
from headprune.own.request import PruningRequest
from headprune.own.run import prune as prune_it
from headprune.pipeline.plan import Plan
from headprune.settings import Calibration, Evaluation, GivenShape
from headprune.tasks.language_blocks.arguments import arguments
from headprune.tasks.language_blocks.binarised import prepare
from headprune.tasks.language_blocks.corpus import PreparedText
from headprune.tasks.language_blocks.planning import bounds
from headprune.tasks.language_blocks.sections import BinarisedText, BlockTraining, GivenLanguageModel, require_fit
from headprune.tasks.language_blocks.work import likelihoods, perplexity_of
from headprune.training.trainer import configuration
from tests.checkpoints.conftest import StockModel
from tests.checkpoints.own_profile import FURTHER, profile_of, run
from tests.checkpoints.stock_language_models import KINDS, language_model, stock

PAGE = Path(__file__).resolve().parents[2] / "docs" / "own-models.md"
PROFILES = re.compile(r"```yaml\n(.*?)```", re.S)
TEXT = {"track": "lm_blocks", "tokens_per_sample": 16}


def blocks_profile(made: StockModel, results: Path, **changes: Any) -> dict[str, Any]:
    """A profile of a language model and its text."""
    datasets = {"letters": {"data_bin": str(made.data), **TEXT}}
    evaluation = {"checked_segments": 4}
    return profile_of(made, results, datasets=datasets, budgets=[4], evaluation=evaluation, **changes)


@pytest.fixture(scope="module", params=KINDS)
def made(request: pytest.FixtureRequest, pieces: Path, tmp_path_factory: pytest.TempPathFactory) -> StockModel:
    return language_model(request.param, pieces, tmp_path_factory.mktemp("language"))


@pytest.fixture(scope="module")
def finished(made: StockModel, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A run of all jobs, once for all tests, which leave it as it is."""
    return run(blocks_profile(made, tmp_path_factory.mktemp("results")))


def cells_of(plan: Plan) -> pd.DataFrame:
    return pd.read_parquet(plan.folder / "cells.parquet")


def prepared(made: StockModel, folder: Path, **changes: Any) -> PreparedText:
    prepare(BinarisedText(data_bin=str(made.data), **TEXT | changes), folder, {})
    return PreparedText(folder)


def test_every_cell_has_a_result(finished: Plan) -> None:
    cells = cells_of(finished)
    assert set(cells["status"]) == {"ok"}, cells["reason"].unique()
    assert set(cells["track"]) == {"lm_blocks"}
    assert set(cells["arm"].fillna("") + cells["method"]) == {"unpruned", "magnitude", "+ftmagnitude", "pipelineddsp"}
    assert cells.loc[cells["metric"] == "masked_vs_removed_max_abs", "value"].max() < 1e-5
    found = [set(rows["metric"]) for _, rows in cells.groupby(["method", "arm", "budget"], dropna=False)]
    assert all({"latency_ms", "throughput", "perplexity", "macs_per_token"} <= metrics for metrics in found)
    assert not any({"train_seconds", "bits_per_byte"} & metrics for metrics in found)
    assert len(pd.read_csv(finished.folder / "ablations.csv")) == 8


def expected_perplexity(made: StockModel, split: str, further: Sequence[str] = ()) -> float:
    """That of `fairseq-eval-lm`, with fairseq's own model, task and batches."""
    model, batches = stock(made.checkpoint, made, split, further)
    words, first = model.decoder.dictionary, "--add-bos-token" in further
    found = eval_lm([model], words, batches, device=torch.device("cpu"), remove_bos_token=first)
    return float(2 ** found["loss"])


def test_perplexity_is_that_of_stock_fairseq(finished: Plan, made: StockModel) -> None:
    cells = cells_of(finished)
    for split in ("valid", "test"):
        whole = (cells["method"] == "unpruned") & (cells["metric"] == "perplexity") & (cells["split"] == split)
        (found,) = cells.loc[whole, "value"]
        assert found == pytest.approx(expected_perplexity(made, split), rel=1e-6)


@pytest.mark.parametrize("mode", ["eos", "complete", "complete_doc"])
def test_blocks_end_where_they_did_in_the_training(pieces: Path, tmp_path: Path, mode: str) -> None:
    """Lines with learned positions and with `<s>` before every block, which takes one of them."""
    further = ["--sample-break-mode", mode, *(["--add-bos-token"] if mode == "eos" else [])]
    made = language_model("plain", pieces, tmp_path, [*further, *(["--decoder-learned-pos"] if mode == "eos" else [])])
    section = BinarisedText(data_bin=str(made.data), **TEXT, sample_break_mode=mode, add_bos_token=mode == "eos")
    require_fit(made.checkpoint, section)
    model = GivenLanguageModel(dataset="letters", track="lm_blocks", checkpoint=str(made.checkpoint))
    asked = bounds({"stock": model}, Evaluation(), Calibration())["test"]
    assert asked.tokens == (15 if mode == "eos" else 16)
    prepare(section, tmp_path / "prepared", {"test": asked})
    with pytest.raises(ValueError, match=r"a block of test has \d+ tokens .*; at most 4 fit: me"):
        prepare(section, tmp_path / "other", {"test": Bound(4, "me")})
    corpus = PreparedText(tmp_path / "prepared")
    found = perplexity_of(likelihoods(open_model(made.checkpoint, made.data).model, corpus, "test", 200))
    assert found == pytest.approx(expected_perplexity(made, "test", further), rel=1e-6)
    batches = corpus.batches("test", 200)
    first = {batch["net_input"]["src_tokens"][0, 0].item() for batch in batches}
    assert (first == {corpus.task.dictionary.bos()}) == (mode == "eos")
    assert sum(batch["ntokens"] for batch in batches) == corpus.statistics["splits"]["test"]["tokens"]
    request = PruningRequest(made.checkpoint, made.data, "magnitude", ("4",), tmp_path / "out")
    expected = expected_perplexity(made, "valid", further)
    assert prune_it(request)["models"][0]["scores"]["perplexity"] == pytest.approx(expected, rel=1e-6)
    lengths = corpus.lengths("train")
    short = corpus.sample_train(10**6, 1, 200, int(lengths.min()))
    assert sum(len(batch["id"]) for batch in short) == (lengths == lengths.min()).sum()
    with pytest.raises(ValueError, match=r"no block of train has at most 1 tokens"):
        corpus.sample_train(10, 1, 200, 1)


def test_lines_that_are_longer_than_the_model_reads_are_refused(pieces: Path, tmp_path: Path) -> None:
    """A position is taken by `<s>`."""
    further = ["--sample-break-mode", "eos", "--add-bos-token", "--decoder-learned-pos"]
    made = language_model("plain", pieces, tmp_path, further)
    text = tmp_path / "text"
    text.mkdir()
    for split in SPLITS:
        (text / f"{split}.txt").write_text("ao@@ au " * 8 + "\n", encoding="utf-8")
    renumber(text, tmp_path / "long", made.data, ())
    request = PruningRequest(made.checkpoint, tmp_path / "long", "magnitude", ("4",), tmp_path / "out")
    with pytest.raises(ValueError, match=r"a block of valid has 17 tokens, the model reads 15"):
        prune_it(request)
    assert not (tmp_path / "out").exists()


def test_training_goes_on_from_the_given_weights(finished: Plan) -> None:
    """Frozen under gates; changed by fine-tuning."""
    whole = removal.load(finished.folder / "dense/stock/s1.pt").state_dict()
    gates, tuned = (
        removal.load(finished.folder / f"cells/stock/{label}/k4-s1/model.pt").state_dict()
        for label in ("dsp.pipelined", "magnitude+ft")
    )
    name = "decoder.layers.0.fc1.weight"
    assert torch.equal(gates[name], whole[name])
    assert not torch.equal(tuned[name], whole[name])


def test_the_arguments_of_its_trainings_build_the_same_model(made: StockModel, tmp_path: Path) -> None:
    """fairseq's own parser reads them; shapes and options are those of the checkpoint."""
    shape, corpus = GivenShape(checkpoint=str(made.checkpoint)), prepared(made, tmp_path / "data")
    training = BlockTraining(**FURTHER)
    state = torch.load(made.checkpoint, weights_only=True)
    for before in (True, False):
        outline = dataclasses.replace(
            shape.outline, arguments={**shape.outline.arguments, "decoder_normalize_before": before}
        )
        given = SimpleNamespace(outline=outline)
        cfg = configuration(arguments(corpus.binarised, corpus.settings, given, training))  # type: ignore[arg-type]
        model = corpus.task.build_model(cfg.model)
        assert model.decoder.layers[0].normalize_before == before
        assert model.cfg.decoder_normalize_before == before
        assert HeadSpace.of(model) == shape.head_space
        if before == shape.outline.arguments["decoder_normalize_before"]:
            model.load_state_dict(state["model"])
            told = dict(state["cfg"]["model"])
            for option in ("dropout", "activation_fn", "decoder_layers", "tie_adaptive_weights"):
                assert getattr(cfg.model, option) == told[option], option


def test_valid_is_divided_into_runs_of_lines(made: StockModel, pieces: Path, tmp_path: Path) -> None:
    """Read one after the other, train, valid and test are the text of the valid split."""
    folder = shutil.copytree(made.data, tmp_path / "data")
    for path in [*folder.glob("train.*"), *folder.glob("test.*")]:
        path.unlink()
    lone = StockModel(made.checkpoint, folder)
    with pytest.raises(
        ValueError, match=r"has no split 'train'; its splits: valid; `divide_valid: {train: 0.5}` takes"
    ):
        prepared(lone, tmp_path / "prepared")
    assert not (tmp_path / "prepared").exists()
    corpus = prepared(lone, tmp_path / "prepared", divide_valid={"train": 0.5, "test": 0.25}, tokens_per_sample=7)
    words = corpus.task.dictionary
    blocks = [corpus.dataset(split)[n]["target"] for split in SPLITS for n in range(len(corpus.dataset(split)))]
    text = " ".join(words.symbols[token] for block in blocks for token in block.tolist())
    expected = (pieces / "valid.xx").read_text(encoding="utf-8").replace("\n", " </s> ").strip()
    assert text == expected
    sealed = PreparedText(tmp_path / "prepared", sealed=True)
    with pytest.raises(ValueError, match="the test set is sealed"):
        sealed.dataset("test")
    with pytest.raises(ValueError, match=r"leave none to test"):
        prepared(lone, tmp_path / "other", divide_valid={"train": 0.5, "test": 0.01})


def test_what_does_not_fit_is_refused_when_the_profile_is_checked(
    made: StockModel, pieces: Path, tmp_path: Path
) -> None:
    def refused(message: str, **changes: Any) -> None:
        profile = blocks_profile(made, tmp_path)
        profile["datasets"]["letters"] |= changes
        with pytest.raises(ValueError, match=message):
            load(profile)

    refused(
        r"trained with tokens_per_sample = 16, the dataset has 32: give it `tokens_per_sample: 16`",
        tokens_per_sample=32,
    )
    refused(r"trained with sample_break_mode = none, the dataset has eos", sample_break_mode="eos")
    refused(
        r"trained with add_bos_token = False, the dataset has True: give it `add_bos_token: false`", add_bos_token=True
    )
    refused(r"models.stock.dataset: there is no folder", data_bin=str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="running text is read with `track: lm_blocks`"):
        load(profile_of(made, tmp_path))
    other = shutil.copytree(made.data, tmp_path / "other")
    with (other / "dict.txt").open("a", encoding="utf-8") as file:
        file.write("more 1\n")
    refused(r"the embeddings of the decoder have \d+ rows: it is another dictionary", data_bin=str(other))
    (other / "dict.txt").unlink()
    refused(r"has no running text as fairseq-preprocess --only-source writes it", data_bin=str(other))
    profile = blocks_profile(made, tmp_path)
    with pytest.raises(
        ValueError, match=r"methods\[1\].mode is 'joint', which trains model and gates from new weights"
    ):
        load(profile | {"methods": [{"name": "unpruned"}, {"name": "dsp", "mode": "joint"}], "treatments": []})


def test_the_profile_of_the_page_is_valid(made: StockModel, tmp_path: Path) -> None:
    """The model of the page reads longer blocks than this one, which stands for it."""
    shutil.copy(made.checkpoint, tmp_path / "checkpoint_best.pt")
    shutil.copytree(made.data, tmp_path / "data-bin")
    *_, profile, _ = PROFILES.findall(PAGE.read_text(encoding="utf-8"))
    profile = profile.replace("tokens_per_sample: 512", "tokens_per_sample: 16")
    config = load(yaml.safe_load(profile) | {"results": str(tmp_path)}, tmp_path)
    assert config.models["stock"].track == config.datasets["text"].track == "lm_blocks"


def test_a_block_whose_likelihood_is_not_a_number_is_no_row(made: StockModel, tmp_path: Path) -> None:
    corpus, model = prepared(made, tmp_path), open_model(made.checkpoint, made.data).model
    table = likelihoods(model, corpus, "test", 200)
    calls = iter(range(10**6))

    def spoil(module: Any, inputs: Any, output: Any) -> Any:
        return (output[0] * float("nan"), *output[1:]) if next(calls) == 1 else output

    assert len(corpus.batches("test", 200)) > 1 and table["log_likelihood"].notna().all()
    model.decoder.register_forward_hook(spoil)
    with pytest.raises(ValueError, match=r"\d+ of \d+ losses of blocks are NaN"):
        likelihoods(model, corpus, "test", 200)
