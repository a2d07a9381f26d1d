"""Language models of stock fairseq: opened, cut, saved, and read by fairseq again."""

from __future__ import annotations

import dataclasses
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq_cli.eval_lm import eval_lm

from headprune import cost, removal
from headprune.checkpoints import open_model
from headprune.evaluation.likelihood import perplexity
from headprune.gates import clear_mask, set_mask
from headprune.heads import HeadSpace
from headprune.models import PrunableLanguageModel
from headprune.own.inspection import inspect
from headprune.own.request import PruningRequest
from headprune.own.run import prune
from headprune.settings import Speed
from headprune.timing import Timing
from tests.checkpoints.conftest import StockModel
from tests.checkpoints.stock_language_models import KINDS, language_model, stock


@pytest.fixture(scope="module", params=KINDS)
def made(request: pytest.FixtureRequest, pieces: Path, tmp_path_factory: pytest.TempPathFactory) -> StockModel:
    return language_model(request.param, pieces, tmp_path_factory.mktemp("language"))


@torch.no_grad()
def outputs(model: Any, batch: Any) -> torch.Tensor:
    """Logits; of an adaptive softmax the hidden states."""
    return model(**batch["net_input"])[0]  # type: ignore[no-any-return]


def test_it_computes_what_stock_fairseq_does(made: StockModel) -> None:
    opened = open_model(made.checkpoint, made.data)
    assert type(opened.model) is PrunableLanguageModel
    theirs, batches = stock(made.checkpoint, made)
    assert all(torch.equal(outputs(opened.model, batch), outputs(theirs, batch)) for batch in batches)
    total, tokens = 0.0, 0
    for batch in batches:
        with torch.no_grad():
            output = theirs(**batch["net_input"])
        probabilities = theirs.get_normalized_probs(output, log_probs=True, sample=batch)
        lengths = batch["target"].ne(theirs.decoder.dictionary.pad())
        total -= probabilities.gather(-1, batch["target"].unsqueeze(-1)).squeeze(-1)[lengths].double().sum().item()
        tokens += int(lengths.sum())
    assert tokens == sum(batch["ntokens"] for batch in batches)
    expected = torch.tensor(total / tokens).exp().item()
    assert perplexity(opened.model, batches) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kept", [0, 3, 8])
def test_masked_removed_saved_and_read_by_fairseq_are_one(
    made: StockModel, tmp_path: Path, random_mask: Any, kept: int
) -> None:
    model = open_model(made.checkpoint, made.data).model
    mask = random_mask(HeadSpace.of(model), kept)
    pruned = removal.remove_heads(model, mask)
    removal.save(pruned, tmp_path / "pruned.pt")
    loaded = removal.load(tmp_path / "pruned.pt")
    theirs, batches = stock(tmp_path / "pruned.pt", made)
    set_mask(model, mask)
    try:
        assert (outputs(model, batches[0]) - outputs(pruned, batches[0])).abs().max() < 1e-5
    finally:
        clear_mask(model)
    assert torch.equal(outputs(loaded, batches[0]), outputs(pruned, batches[0]))
    assert torch.equal(outputs(theirs, batches[0]), outputs(pruned, batches[0]))
    assert HeadSpace.of(theirs).names == mask.names()


def test_it_is_inspected(made: StockModel) -> None:
    found = inspect(made.checkpoint, made.data)
    assert found.refusal == ""
    assert found.heads == {"decoder.0": 4, "decoder.1": 4}
    assert found.words == {"decoder": 24}
    model, _ = stock(made.checkpoint, made)
    assert sum(found.parameters.values()) == sum(parameter.numel() for parameter in model.parameters())


def test_perplexity_is_that_of_eval_lm_and_heads_are_pruned(made: StockModel, tmp_path: Path) -> None:
    """The score of `fairseq-eval-lm` with the block size of the training, which comes out of the checkpoint."""
    request = PruningRequest(made.checkpoint, made.data, "gradient_importance", ("8", "3"), tmp_path / "out")
    summary = prune(request)
    whole, same, smaller = summary["models"]
    model, batches = stock(made.checkpoint, made)
    results = eval_lm([model], model.decoder.dictionary, batches, device=torch.device("cpu"))
    assert summary["metric"] == "perplexity"
    assert whole["perplexity"] == pytest.approx(float(2 ** results["loss"]), rel=1e-6)
    assert whole["scores"]["perplexity"] == pytest.approx(whole["perplexity"], rel=1e-6)
    assert same["against_unpruned"]["p_value"] == 1
    assert smaller["masked_vs_removed_max_abs"] < 1e-5
    expected = math.log(whole["perplexity"] / smaller["perplexity"])
    assert smaller["against_unpruned"]["difference"] == pytest.approx(expected, abs=1e-6)
    theirs, _ = stock(request.out / "keep3" / "model.pt", made)
    again = eval_lm([theirs], model.decoder.dictionary, batches, device=torch.device("cpu"))
    assert smaller["perplexity"] == pytest.approx(float(2 ** again["loss"]), rel=1e-6)
    assert "fairseq-eval-lm" in (request.out / "summary.md").read_text(encoding="utf-8")


def test_a_folder_without_text(made: StockModel, tmp_path: Path) -> None:
    shutil.copy(made.data / "dict.txt", tmp_path)
    request = PruningRequest(made.checkpoint, tmp_path, "magnitude", ("3",), tmp_path / "out")
    with pytest.raises(ValueError, match=r"has no split 'valid' of text, valid.bin and valid.idx; its splits: none"):
        prune(request)


def test_pruned_ones_are_fine_tuned_and_timed(
    made: StockModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks that are timed are of the length in the middle; the loss after training is that of `fairseq-eval-lm`
    with the checkpoint that was written."""
    seen: list[Any] = []

    def measured(models: dict[str, Any], singles: list[Any], batch: Any, rounds: Any) -> dict[str, Any]:
        seen.extend([len(models), [each["target"].shape[1] for each in singles], batch["target"].shape])
        return {name: (Timing(number, number, number),) * 2 for number, name in enumerate(models, start=1)}

    monkeypatch.setattr(cost, "measure_passes", measured)
    out = tmp_path / "out"
    request = PruningRequest(made.checkpoint, made.data, "magnitude", ("4",), out, speed=True, fine_tune=8)
    _, record = prune(request)["models"]
    assert seen[0] == 2
    assert set(seen[1]) == {16}
    assert (record["speed_up"], record["speed_up_in_batches"]) == (0.5, 2.0)
    assert record["perplexity"] < record["before_fine_tuning"]["perplexity"]
    theirs, batches = stock(out / "keep4" / "model.pt", made)
    results = eval_lm([theirs], theirs.decoder.dictionary, batches, device=torch.device("cpu"))
    assert record["perplexity"] == pytest.approx(float(2 ** results["loss"]), rel=1e-6)


def test_a_forward_pass_takes_time(made: StockModel) -> None:
    """Twice the same model: ratios of medians are near 1, times are positive."""
    model = open_model(made.checkpoint, made.data).model
    _, batches = stock(made.checkpoint, made)
    found = cost.measure_passes(
        {"one": model, "other": model}, batches[:2], batches[0], Speed(repeats=3, most_repeats=3)
    )
    assert all(timing.median > 0 for timings in found.values() for timing in timings)


def test_text_is_read_as_the_binarised_data_are(made: StockModel, tmp_path: Path) -> None:
    """The same text in both forms, whose marks of subwords stand in it already: the same losses of the same blocks."""
    plain = PruningRequest(made.checkpoint, made.data, "magnitude", ("4",), tmp_path / "plain")
    text = {"data": made.data.parent, "dictionaries": made.data, "bpe": "none", "out": tmp_path / "text"}
    prune(plain)
    prune(dataclasses.replace(plain, **text))
    for name in ("unpruned", "keep4"):
        found, expected = ((tmp_path / kind / name / "likelihoods.txt").read_bytes() for kind in ("text", "plain"))
        assert found == expected
    with pytest.raises(ValueError, match=r"holds subwords \(subword_nmt\): --bpe-codes names the file"):
        prune(dataclasses.replace(plain, **text | {"bpe": "auto", "out": tmp_path / "never"}))
    assert not (tmp_path / "never").exists()
