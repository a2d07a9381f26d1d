"""Likelihood of a text split, against fairseq-eval-lm and against a plain loop over the corpus."""

from __future__ import annotations

import itertools
import logging
import math
import re
import subprocess
from pathlib import Path
from typing import Any

import headprune.models.compat as compat

import fairseq_cli.eval_lm
import fairseq_cli.train
import numpy as np
import pytest
import torch
from fairseq import checkpoint_utils, options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from recurrent_model import ARCHITECTURE

from headprune.heads import HeadSpace
from headprune.importance import example_losses
from headprune.models import AllAttentionLanguageModel
from headprune.removal import load, remove_heads, save
from headprune.tasks.language_modeling.corpus import LanguageCorpus
from headprune.tasks.language_modeling.evaluation import Likelihood, agreement, likelihood
from headprune.training.trainer import configuration

ALL_ATTENTION = ["--arch", "all_attention_lm", "--layers", 2, "--width", 16, "--heads", 2, "--persistent", 8]
ALL_ATTENTION += ["--memory-length", 16, "--max-relative", 20]
ARCHITECTURES: dict[str, list[Any]] = {
    "recurrent": ["--arch", ARCHITECTURE],
    "recurrent-adaptive": ["--arch", ARCHITECTURE, "--adaptive", "20,60"],
    "all-attention": ALL_ATTENTION,
    "all-attention-adaptive": [*ALL_ATTENTION, "--adaptive-cutoff", "20,60", "--adaptive-factor", 2],
}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def checkpoint(
    request: pytest.FixtureRequest, language_corpus: LanguageCorpus, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A model trained for a few updates."""
    folder = tmp_path_factory.mktemp("model")
    words: list[Any] = [language_corpus.binarised, "--task", "streaming_lm", "--tokens-per-sample", 16]
    words += ["--batch-size", 8, *ARCHITECTURES[request.param], "--optimizer", "adam"]
    words += ["--lr", 0.02, "--criterion", "gated_cross_entropy", "--max-update", 30, "--save-dir", folder]
    words += ["--num-workers", 0, "--no-epoch-checkpoints"]
    compat.reset_process_state()
    fairseq_cli.train.main(configuration([str(word) for word in words]))
    return folder / "checkpoint_last.pt"


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Any:
    (loaded,), _ = checkpoint_utils.load_model_ensemble([str(checkpoint)])
    return loaded.eval()


def evaluate_with_fairseq(
    corpus: LanguageCorpus, checkpoint: Path, caplog: pytest.LogCaptureFixture, *more: Any
) -> tuple[float, int]:
    """Perplexity and tokens that fairseq-eval-lm prints."""
    words = [corpus.binarised, "--task", "streaming_lm", "--path", checkpoint, "--gen-subset", "test", *more]
    words += ["--num-workers", 0, "--user-dir", Path(compat.__file__).parents[1]]
    parser = options.get_eval_lm_parser()
    cfg = convert_namespace_to_omegaconf(options.parse_args_and_arch(parser, [str(word) for word in words]))
    cfg.common.cpu = not torch.cuda.is_available()
    with caplog.at_level(logging.INFO, "fairseq_cli.eval_lm"):
        results = fairseq_cli.eval_lm.main(cfg)
    tokens = re.search(r"Evaluated ([\d,]+) tokens", caplog.text)
    assert tokens is not None
    return float(results["perplexity"]), int(tokens[1].replace(",", ""))


@pytest.mark.parametrize("rows", [1, 7])
def test_equals_fairseq_eval_lm_and_scores_the_whole_corpus(
    rows: int, language_corpus: LanguageCorpus, checkpoint: Path, model: Any, caplog: pytest.LogCaptureFixture
) -> None:
    more = ["--tokens-per-sample", 16, *(["--batch-size", rows] if rows > 1 else [])]
    perplexity, tokens = evaluate_with_fairseq(language_corpus, checkpoint, caplog, *more)
    ours = likelihood(model, language_corpus, "test", rows=rows, length=16)
    assert ours.perplexity == pytest.approx(perplexity, rel=1e-5)
    assert tokens == ours.tokens == language_corpus.statistics["splits"]["test"]["tokens"]
    assert ours.tokens % 7 != 0
    assert 1 < ours.perplexity < 300


@pytest.mark.parametrize("kept", [[], [3], [0, 2, 3]], ids=["no head", "one head", "three heads"])
def test_fairseq_eval_lm_reads_pruned_checkpoints(
    kept: list[int],
    language_corpus: LanguageCorpus,
    model: Any,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    if not isinstance(model, AllAttentionLanguageModel):
        pytest.skip("has no heads")
    pruned = remove_heads(model, HeadSpace.of(model).keep(kept))
    save(pruned, tmp_path / "pruned.pt")
    more = ["--tokens-per-sample", 16, "--batch-size", 7]
    perplexity, _ = evaluate_with_fairseq(language_corpus, tmp_path / "pruned.pt", caplog, *more)
    ours = likelihood(load(tmp_path / "pruned.pt"), language_corpus, "test", rows=7, length=16)
    assert ours.perplexity == pytest.approx(perplexity, rel=1e-5)


def test_equals_fairseq_eval_lm_in_the_protocol_of_the_paper(
    language_corpus: LanguageCorpus, checkpoint: Path, model: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The remainder that does not fill all rows left out, the softmax computed in parts."""
    more = ["--tokens-per-sample", 16, "--batch-size", 7, "--drop-remainder", "--softmax-batch", 20]
    perplexity, tokens = evaluate_with_fairseq(language_corpus, checkpoint, caplog, *more)
    ours = likelihood(model, language_corpus, "test", rows=7, length=16, drop_remainder=True)
    assert ours.perplexity == pytest.approx(perplexity, rel=1e-5)
    total = language_corpus.statistics["splits"]["test"]["tokens"]
    assert tokens == ours.tokens == total - total % 7
    assert ours.dropped == total % 7 > 0


@pytest.mark.parametrize("checkpoint", ["recurrent", "recurrent-adaptive"], indirect=True)
def test_equals_a_loop_over_the_corpus(language_corpus: LanguageCorpus, model: Any) -> None:
    """The recurrent model's memory is exact: one row in segments is one pass over the whole text."""
    corpus = language_corpus
    ours = likelihood(model, corpus, "valid", rows=1, length=50)
    stream = corpus.stream("valid").tokens.long()
    with torch.no_grad():
        hidden = model(stream[None, :-1], start=True)[0]
        softmax = model.decoder.adaptive_softmax
        log = softmax.get_log_prob(hidden, None) if softmax is not None else torch.log_softmax(hidden, -1)
        expected = -log[0].gather(1, stream[1:, None]).squeeze(1)
    np.testing.assert_allclose(ours.nats, expected, atol=2e-5)
    for rows in (3, 8):
        others = likelihood(model, corpus, "valid", rows=rows, length=50)
        assert others.perplexity != ours.perplexity
        assert others.perplexity == pytest.approx(ours.perplexity, rel=0.05)


def test_segments_reproduce_the_perplexity_and_are_places_of_the_corpus(
    language_corpus: LanguageCorpus, model: Any
) -> None:
    tables = []
    for rows in (1, 6):
        found = likelihood(model, language_corpus, "valid", rows=rows, length=20)
        for size in (1, 64, 10**6):
            table = found.segments(size)
            assert math.exp(table.nats.sum() / table.tokens.sum()) == pytest.approx(found.perplexity, rel=1e-13)
            assert table.tokens.sum() == found.tokens
            assert (table.tokens[:-1] == size).all()
        tables.append(found.segments())
    assert tables[0].segment.equals(tables[1].segment)
    correlation = np.corrcoef(tables[0].nats[:-1], tables[1].nats[:-1])[0, 1]
    assert correlation > 0.99  # the same places, with and without what stands before them


def test_bits_per_byte_of_hand_made_numbers() -> None:
    """Four bits in all for a text of five bytes; a dropped token counts as the mean one."""
    two = Likelihood("valid", 1, 4, np.full(4, math.log(2)), 0, 5, 0)
    assert two.perplexity == pytest.approx(2)
    assert two.bits_per_byte == pytest.approx(4 / 5)
    assert Likelihood("valid", 1, 4, np.full(4, math.log(2)), 1, 5, 0).bits_per_byte == pytest.approx(1)


def test_bytes_are_those_of_wc(language_corpus: LanguageCorpus, model: Any) -> None:
    raw = language_corpus.folder / "raw" / "valid.txt"
    size = int(subprocess.run(["wc", "-c", str(raw)], capture_output=True, text=True, check=True).stdout.split()[0])
    found = likelihood(model, language_corpus, "valid", rows=2, length=40)
    assert found.bytes == size
    assert found.bits_per_byte == pytest.approx(math.log2(found.perplexity) * found.tokens / size)


def test_windows_of_train_are_independent(language_corpus: LanguageCorpus, model: Any) -> None:
    batches = language_corpus.sample_train(10, seed=3, length=24, rows=4)
    assert [len(batch["target"]) for batch in batches] == [4, 4, 2]
    assert all(batch["net_input"]["start"] for batch in batches)
    with torch.no_grad():
        forwards = [example_losses(model, batch) for batch in batches]
        backwards = [example_losses(model, batch) for batch in reversed(batches)]
    for first, second in zip(forwards, reversed(backwards), strict=True):
        assert torch.equal(first, second)
    stream = language_corpus.stream("train").tokens.long()
    inputs = torch.cat([batch["net_input"]["src_tokens"] for batch in batches])
    targets = torch.cat([batch["target"] for batch in batches])
    known = {tuple(row.tolist()) for row in stream[1:][: (len(stream) - 1) // 24 * 24].view(-1, 24)}
    assert {tuple(row.tolist()) for row in targets} <= known
    assert torch.equal(inputs[:, 1:], targets[:, :-1])
    again = language_corpus.sample_train(10, seed=3, length=24, rows=4)
    other = language_corpus.sample_train(10, seed=4, length=24, rows=4)
    assert all(torch.equal(a["target"], b["target"]) for a, b in zip(batches, again, strict=True))
    assert not torch.equal(batches[0]["target"], other[0]["target"])


@pytest.mark.parametrize("values", [(0, 24, 4), (5, 0, 4), (5, 10**7, 4), (5, 24, 0)])
def test_impossible_windows_are_refused(values: tuple[int, int, int], language_corpus: LanguageCorpus) -> None:
    examples, length, rows = values
    with pytest.raises(ValueError, match="windows of"):
        language_corpus.sample_train(examples, 1, length, rows)


def test_text_comes_back_from_tokens(language_corpus: LanguageCorpus) -> None:
    tokens = language_corpus.stream("train").tokens[1:400].long()
    text = language_corpus.text(tokens)
    original = (language_corpus.folder / "raw" / "train.txt").read_text(encoding="utf-8")
    assert len(text) > 300
    assert " ".join(original.split()).startswith(" ".join(text.split()))
    assert "\n" in text


def test_lost_tokens_are_an_error(language_corpus: LanguageCorpus, text_folder: Path, tmp_path: Path) -> None:
    import json
    import shutil

    shutil.copytree(text_folder, tmp_path / "copy")
    statistics = json.loads((tmp_path / "copy" / "statistics.json").read_text())
    statistics["splits"]["valid"]["tokens"] += 1
    (tmp_path / "copy" / "statistics.json").write_text(json.dumps(statistics))
    with pytest.raises(ValueError, match="were prepared"):
        LanguageCorpus(tmp_path / "copy").stream("valid")


@pytest.mark.parametrize("checkpoint", ["all-attention", "all-attention-adaptive"], indirect=True)
@pytest.mark.parametrize(
    ("checked", "message"),
    [(1, "the perplexity is NaN"), (3, "the largest difference of the masked and the pruned model is NaN")],
)
def test_what_is_not_a_number_is_no_agreement(
    checked: int, message: str, language_corpus: LanguageCorpus, model: Any
) -> None:
    """The outputs of the second segment, with and without its being compared."""
    mask = HeadSpace.of(model).keep([0, 3])
    pruned = remove_heads(model, mask)
    found = agreement(model, mask, pruned, language_corpus.batches("valid", 4, 16), checked)
    assert found.max_abs < 1e-5
    expected = likelihood(pruned, language_corpus, "valid", rows=4, length=16).perplexity
    assert found.perplexity == pytest.approx(expected, rel=1e-6)
    calls = itertools.count()

    def spoil(module: Any, inputs: Any, output: Any) -> Any:
        return (output[0] * float("nan"), *output[1:]) if next(calls) == 1 else output

    pruned.decoder.register_forward_hook(spoil)
    with pytest.raises(ValueError, match=message):
        agreement(model, mask, pruned, language_corpus.batches("valid", 4, 16), checked)
    assert all(module.gate is None for module in model.modules() if hasattr(module, "gate"))
    calls = itertools.count()
    with pytest.raises(ValueError, match="64 of 64 losses of tokens are NaN"):
        likelihood(pruned, language_corpus, "valid", rows=4, length=16)
