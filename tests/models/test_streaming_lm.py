"""The task and its criterion in fairseq's own trainer, with a tiny recurrent model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import headprune.models.compat as compat

import fairseq_cli.train
import pytest
import torch
import torch.nn.functional as F
from fairseq import checkpoint_utils
from recurrent_model import ARCHITECTURE, RecurrentLanguageModel

from headprune.models.streaming_lm import StreamingTask
from headprune.models.streams import Segments
from headprune.tasks.language_modeling.corpus import LanguageCorpus
from headprune.training.trainer import configuration

ROWS, LENGTH = 6, 16


def argv(corpus: LanguageCorpus, folder: Path, updates: int, *more: Any) -> list[str]:
    words: list[Any] = [corpus.binarised, "--task", "streaming_lm", "--tokens-per-sample", LENGTH]
    words += ["--batch-size", ROWS, "--batch-size-valid", 4, "--arch", ARCHITECTURE, "--seed", 5]
    words += ["--criterion", "gated_cross_entropy", "--optimizer", "adam", "--lr", 0.01, "--max-update", updates]
    words += ["--save-dir", folder, "--no-epoch-checkpoints", "--num-workers", 0]
    words += ["--max-valid-steps", 3, *more]
    return [str(word) for word in words]


def run(words: list[str]) -> None:
    compat.reset_process_state()
    fairseq_cli.train.main(configuration(words))


def saved(folder: Path, name: str = "checkpoint_last.pt") -> dict[str, Any]:
    return torch.load(folder / name, weights_only=True)


def load(path: Path) -> RecurrentLanguageModel:
    (model,), _ = checkpoint_utils.load_model_ensemble([str(path)])
    return model.eval()


@pytest.mark.parametrize("name", ["recurrent", "all-attention"])
def test_a_killed_run_ends_like_an_undisturbed_one(name: str, language_corpus: LanguageCorpus, tmp_path: Path) -> None:
    """Killed in the middle of an epoch, with dropout: weights and memory are equal bit for bit in the end."""
    more: list[Any] = ["--dropout", 0.3, "--save-interval-updates", 5]
    if name == "all-attention":
        more += ["--arch", "all_attention_lm", "--layers", 2, "--width", 16, "--heads", 2, "--persistent", 8]
        more += ["--memory-length", 24, "--max-relative", 40]
    run(argv(language_corpus, tmp_path / "whole", 12, *more))
    run(argv(language_corpus, tmp_path / "killed", 7, *more))
    state = saved(tmp_path / "killed")["extra_state"]["StreamingTask"]
    assert state["memory"][0].abs().sum() > 0
    assert saved(tmp_path / "killed")["extra_state"]["train_iterator"]["iterations_in_epoch"] == 7
    run(argv(language_corpus, tmp_path / "killed", 12, *more))
    whole, resumed = saved(tmp_path / "whole"), saved(tmp_path / "killed")
    for name, value in whole["model"].items():
        assert torch.equal(value, resumed["model"][name])
    memories = [each["extra_state"]["StreamingTask"]["memory"] for each in (whole, resumed)]
    assert all(torch.equal(first, second) for first, second in zip(*memories, strict=True))


def test_the_memory_makes_the_difference_after_a_kill(language_corpus: LanguageCorpus, tmp_path: Path) -> None:
    """The comparison of the test above does depend on the memory that is restored."""
    for name in ("whole", "killed"):
        run(argv(language_corpus, tmp_path / name, 12 if name == "whole" else 7))
    path = tmp_path / "killed" / "checkpoint_last.pt"
    state = saved(tmp_path / "killed")
    state["extra_state"]["StreamingTask"]["memory"][0].zero_()
    torch.save(state, path)
    run(argv(language_corpus, tmp_path / "killed", 12))
    weights = [saved(tmp_path / name)["model"]["decoder.recurrence.weight"] for name in ("whole", "killed")]
    assert not torch.equal(*weights)


def test_training_goes_on_across_epochs(language_corpus: LanguageCorpus, tmp_path: Path) -> None:
    """Killed after the end of an epoch: rolled rows and the beginning of the next epoch are the same."""
    task = language_corpus.task
    segments = len(task.segments(language_corpus.stream("train"), 40, length=64))
    more = ("--batch-size", 40, "--tokens-per-sample", 64)
    run(argv(language_corpus, tmp_path / "whole", 2 * segments + 2, *more))
    run(argv(language_corpus, tmp_path / "killed", segments, *more))
    assert saved(tmp_path / "killed")["extra_state"]["train_iterator"]["epoch"] == 2
    run(argv(language_corpus, tmp_path / "killed", 2 * segments + 2, *more))
    whole, resumed = (saved(tmp_path / name) for name in ("whole", "killed"))
    assert whole["extra_state"]["train_iterator"]["epoch"] == 3
    assert all(torch.equal(value, resumed["model"][name]) for name, value in whole["model"].items())


def test_other_rows_or_segments_are_refused_when_training_goes_on(
    language_corpus: LanguageCorpus, tmp_path: Path
) -> None:
    run(argv(language_corpus, tmp_path, 3))
    with pytest.raises(ValueError, match=r"\(6, 16, 1\), this is \(6, 8, 1\)"):
        run(argv(language_corpus, tmp_path, 6, "--tokens-per-sample", 8))


def test_validation_in_the_middle_of_an_epoch_leaves_the_memory_of_training_alone(
    language_corpus: LanguageCorpus, tmp_path: Path
) -> None:
    """With and without validations, of two subsets and other rows, training ends with equal weights and memory."""
    for source, copy in (("valid", "valid1"),):
        for suffix in ("bin", "idx"):
            content = (language_corpus.binarised / f"{source}.{suffix}").read_bytes()
            (tmp_path / "data").mkdir(exist_ok=True)
            (tmp_path / "data" / f"{copy}.{suffix}").write_bytes(content)
    for path in language_corpus.binarised.iterdir():
        (tmp_path / "data" / path.name).write_bytes(path.read_bytes())
    often = argv(
        language_corpus, tmp_path / "often", 9, "--validate-interval-updates", 2, "--valid-subset", "valid,valid1"
    )
    often[0] = str(tmp_path / "data")
    run(often)
    run(argv(language_corpus, tmp_path / "never", 9, "--disable-validation"))
    first, second = saved(tmp_path / "often"), saved(tmp_path / "never")
    assert all(torch.equal(value, second["model"][name]) for name, value in first["model"].items())
    memories = [each["extra_state"]["StreamingTask"]["memory"][0] for each in (first, second)]
    assert memories[0].shape == (ROWS, 12)
    assert torch.equal(*memories)


def adaptive_log_probabilities(softmax: Any, hidden: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of the whole vocabulary: a cluster's probability times that within the cluster."""
    head = torch.log_softmax(softmax.head(hidden), -1)
    first = softmax.cutoff[0]
    tails = [
        torch.log_softmax(tail(hidden), -1) + head[..., first + k : first + k + 1]
        for k, tail in enumerate(softmax.tail)
    ]
    return torch.cat([head[..., :first], *tails], -1)


@pytest.mark.parametrize("update_freq", [1, 2])
@pytest.mark.parametrize("adaptive", ["", "20,60"])
def test_gradient_is_that_of_the_mean_plus_that_of_the_penalty(
    language_corpus: LanguageCorpus, tmp_path: Path, update_freq: int, adaptive: str
) -> None:
    """One step of plain SGD with learning rate 1 by fairseq's trainer, against torch's own cross-entropy."""
    more = ["--optimizer", "sgd", "--lr", 1.0, "--clip-norm", 0.0, "--update-freq", update_freq, "--no-roll-rows"]
    more += ["--penalty", 0.7, "--adaptive", adaptive, "--disable-validation"]
    words = argv(language_corpus, tmp_path, 1, *more)
    run(words)
    torch.manual_seed(5)
    cfg = configuration(words)
    model = language_corpus.task.build_model(cfg.model).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    segments = Segments(language_corpus.stream("train"), ROWS, LENGTH)
    batches = [segments[index] for index in range(update_freq)]
    losses = []
    for batch in batches:
        output = model(**batch["net_input"])
        if adaptive:
            log = adaptive_log_probabilities(model.decoder.adaptive_softmax, output[0])
        else:
            log = torch.log_softmax(output[0], -1)
        losses.append(F.nll_loss(log.flatten(0, 1), batch["target"].flatten(), reduction="none"))
    objective = torch.cat(losses).mean() + 0.7 * model.decoder.recurrence.weight.square().sum()
    objective.backward()
    after = saved(tmp_path)["model"]
    for name, parameter in model.named_parameters():
        expected = before[name] - (0 if parameter.grad is None else parameter.grad)
        torch.testing.assert_close(after[name], expected, atol=2e-6, rtol=1e-5)
    assert not torch.equal(after["decoder.recurrence.weight"], before["decoder.recurrence.weight"])


def test_logged_loss_is_the_cross_entropy_in_bits(
    language_corpus: LanguageCorpus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In training and validation; the penalty is logged apart."""
    import json
    import logging

    caplog.set_level(logging.INFO, "fairseq.logging.progress_bar")
    lines: list[tuple[str, dict[str, Any]]] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name in ("train_inner", "valid"):
                lines.append((record.name, json.loads(record.getMessage())))

    bar, handler = logging.getLogger("fairseq.logging.progress_bar"), Keep()
    bar.addHandler(handler)
    try:
        more = ["--lr", 1e-30, "--penalty", 0.7, "--log-format", "json", "--log-interval", 1, "--no-roll-rows"]
        more += ["--max-valid-steps", 1000]  # all of them
        run(argv(language_corpus, tmp_path, 1, *more))
    finally:
        bar.removeHandler(handler)
    model = load(tmp_path / "checkpoint_last.pt")

    def bits(segments: Segments, first: int | None = None) -> float:
        nats, tokens = 0.0, 0
        with torch.no_grad():
            for index in range(first or len(segments)):
                batch = segments[index]
                logits = model(**batch["net_input"])[0].flatten(0, 1)
                nats += float(F.cross_entropy(logits, batch["target"].flatten(), reduction="sum", ignore_index=1))
                tokens += batch["ntokens"]
        return nats / tokens / math.log(2)

    stats = dict(lines)
    train = bits(Segments(language_corpus.stream("train"), ROWS, LENGTH), 1)
    assert float(stats["train_inner"]["loss"]) == pytest.approx(train, abs=6e-4)
    assert float(stats["train_inner"]["nll_loss"]) == pytest.approx(train, abs=6e-4)
    penalty = 0.7 * float(model.decoder.recurrence.weight.square().sum())
    assert float(stats["train_inner"]["gate_penalty"]) == pytest.approx(penalty, abs=6e-5)
    valid = bits(Segments(language_corpus.stream("valid"), 4, LENGTH, drop_remainder=False))
    assert float(stats["valid"]["valid_loss"]) == pytest.approx(valid, abs=6e-4)
    assert float(stats["valid"]["valid_nll_loss"]) == pytest.approx(valid, abs=6e-4)
    assert float(stats["valid"]["valid_ppl"]) == pytest.approx(2 ** float(stats["valid"]["valid_nll_loss"]), abs=0.01)
    assert "valid_gate_penalty" not in stats["valid"]


def test_two_workers_read_halves_of_the_corpus(language_corpus: LanguageCorpus) -> None:
    task, stream = language_corpus.task, language_corpus.stream("train")
    found, lengths = [], set()
    for worker in (0, 1):
        iterator = task.get_batch_iterator(stream, max_sentences=3, num_shards=2, shard_id=worker, epoch=1)
        lengths.add(len(iterator))
        batches = list(iterator.next_epoch_itr())
        assert [batch["net_input"]["start"] for batch in batches[:2]] == [True, False]
        found.append(torch.cat([batch["target"] for batch in batches], 1))
    assert len(lengths) == 1
    whole = task.get_batch_iterator(stream, max_sentences=6, epoch=1).next_epoch_itr()
    assert torch.equal(torch.cat(found), torch.cat([batch["target"] for batch in whole], 1))


def test_training_needs_rows(language_corpus: LanguageCorpus) -> None:
    with pytest.raises(ValueError, match="--batch-size"):
        language_corpus.task.get_batch_iterator(language_corpus.stream("train"))


def test_missing_split_is_named(language_corpus: LanguageCorpus) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        language_corpus.task.load_dataset("nothing")


def test_several_workers_save_no_memory(language_corpus: LanguageCorpus) -> None:
    task = StreamingTask(language_corpus.task.cfg)
    task.load_dataset("train")
    task.get_batch_iterator(task.dataset("train"), max_sentences=3, num_shards=2, shard_id=0)
    (state,) = task.get_checkpoint_dict().values()
    assert state == {"memory": None, "shape": [3, 1, 2]}
