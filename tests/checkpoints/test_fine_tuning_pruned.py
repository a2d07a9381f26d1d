"""`headprune prune --fine-tune`: the training is stock fairseq's, it goes on where it was stopped, the table tells."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import headprune.models.compat as compat

import fairseq_cli.train
import pytest
import torch

from headprune import removal
from headprune.heads import HeadSpace
from headprune.own import tuning
from headprune.own.materials import workpiece
from headprune.own.request import PruningRequest
from headprune.own.run import prune
from headprune.settings import Calibration
from headprune.training.trainer import configuration
from tests.checkpoints.conftest import PRE_NORM, SIZES, StockModel, in_old_form

Stock = Callable[[str], StockModel]
Make = Callable[..., PruningRequest]
UPDATES = 12


@pytest.fixture
def request_of(stock: Stock, tmp_path: Path) -> Make:
    def of(**changes: Any) -> PruningRequest:
        made = stock("separate, pre-norm")
        plain = PruningRequest(made.checkpoint, made.data, "magnitude", ("6",), tmp_path / "out", sentences=12)
        return dataclasses.replace(plain, calibration=Calibration(sentences=10), **{"fine_tune": UPDATES} | changes)

    return of


def weights(path: Path) -> dict[str, torch.Tensor]:
    state = torch.load(path, weights_only=True)["model"]
    return {name: tensor for name, tensor in state.items() if "version" not in name}


def test_it_is_the_training_of_stock_fairseq(request_of: Make, stock: Stock, tmp_path: Path) -> None:
    """With all heads kept: the same weights as from `fairseq-train --finetune-from-model` with the words written out,
    a tenth of the learning rate 0.01, up in one update and down in a line. Tolerance: 1e-6, of another summation."""
    request = request_of(keep=("100%",))
    prune(request)
    made = stock("separate, pre-norm")
    argv = [str(made.data), "--task", "translation", "--arch", "transformer", *PRE_NORM, "--dropout", "0"]
    argv += [f"--{name}={value}" for name, value in SIZES.items()] + ["--max-tokens", "400", "--num-workers", "0"]
    argv += ["--finetune-from-model", str(made.checkpoint), "--criterion", "cross_entropy", "--seed", "1"]
    argv += ["--optimizer", "adam", "--adam-betas", "(0.9, 0.999)", "--lr", "0.001", "--max-update", str(UPDATES)]
    argv += ["--lr-scheduler", "polynomial_decay", "--warmup-updates", "1", "--total-num-update", str(UPDATES)]
    argv += ["--required-batch-size-multiple", "1", "--no-epoch-checkpoints", "--save-dir", str(tmp_path / "stock")]
    compat.reset_process_state()
    fairseq_cli.train.main(configuration(argv))
    found, expected = weights(request.out / "keep12" / "model.pt"), weights(tmp_path / "stock" / "checkpoint_best.pt")
    before = weights(made.checkpoint)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-6)
    assert any((before[name] - tensor).abs().max() > 1e-4 for name, tensor in expected.items())


def test_the_table_tells_before_and_after(request_of: Make) -> None:
    """Before: what the call without fine-tuning gives. The heads are the same, the weights are not."""
    request = request_of()
    _, record = prune(request)["models"]
    _, plain = prune(request_of(fine_tune=0, out=request.out.with_name("plain")))["models"]
    assert record["kept"] == plain["kept"]
    assert record["before_fine_tuning"]["scores"] == plain["scores"]
    assert record["before_fine_tuning"]["perplexity"] == plain["perplexity"]
    assert record["perplexity"] < plain["perplexity"]
    assert record["parameters"] == plain["parameters"]
    model = removal.load(request.out / "keep6" / "model.pt")
    assert list(HeadSpace.of(model).names) == record["kept"]
    page = (request.out / "summary.md").read_text(encoding="utf-8")
    assert "| before fine-tuning |" in page
    assert "trained on for 12 updates, peak learning rate 0.001" in page
    assert not (request.out / "keep6" / "training").exists()
    with pytest.raises(FileExistsError, match="--fine-tune was 12, is 20: name another"):
        prune(request_of(fine_tune=20))
    with pytest.raises(FileExistsError, match="--fine-tune was 12, is 0: name another"):
        prune(request_of(fine_tune=0))


def test_a_training_that_was_stopped_goes_on(request_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with the weights of one that was not; the pruned model that it starts from is not made again."""
    whole = prune(request_of())["models"][1]
    train, stopped = tuning.train, request_of(out=request_of().out.with_name("stopped"))

    def killed(*arguments: Any, on_progress: Any, **named: Any) -> Any:
        def kill(update: int, total: int, loss: float) -> None:
            if update >= UPDATES / 2:
                raise KeyboardInterrupt

        return train(*arguments, on_progress=kill, **named)

    with monkeypatch.context() as patched:
        patched.setattr(tuning, "train", killed)
        with pytest.raises(KeyboardInterrupt):
            prune(stopped)
    folder = stopped.out / "keep6"
    assert (folder / "training" / "checkpoint_last.pt").is_file()
    assert (folder / "before" / "record.json").is_file()
    assert not (folder / "record.json").exists()
    with monkeypatch.context() as patched:
        patched.setattr("headprune.own.rows.Rows.pruned", None)
        record = prune(stopped)["models"][1]
    assert record["perplexity"] == whole["perplexity"]
    found, expected = weights(folder / "model.pt"), weights(request_of().out / "keep6" / "model.pt")
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_settings_come_from_the_checkpoint_whatever_its_form(
    state: dict[str, Any], request_of: Make, tmp_path: Path
) -> None:
    """Label smoothing, clipping, decay, batches and the peak rate, of a namespace as of a configuration."""
    told = {"criterion": "label_smoothed_cross_entropy", "label_smoothing": 0.2, "lr": [0.05], "max_tokens": 300}
    told |= {"clip_norm": 2.5, "weight_decay": 0.01, "adam_betas": "(0.9, 0.97)", "update_freq": [2]}
    old = in_old_form(state)
    vars(old["args"]).update(told)
    torch.save(old, tmp_path / "old.pt")
    cfg = dict(state["cfg"])
    cfg["criterion"] = {"_name": told["criterion"], "label_smoothing": 0.2}
    cfg["optimizer"] = {"_name": "adam", "adam_betas": "(0.9, 0.97)", "weight_decay": 0.01}
    cfg["optimization"] = {"lr": [0.05], "clip_norm": 2.5, "update_freq": [2]}
    cfg["dataset"] = {"max_tokens": 300}
    torch.save({**state, "cfg": cfg}, tmp_path / "new.pt")
    words = {}
    for name in ("old", "new"):
        request = request_of(checkpoint=tmp_path / f"{name}.pt")
        words[name] = tuning.arguments(workpiece(request))
    assert words["old"] == words["new"]
    pairs = dict(zip(words["new"], words["new"][1:], strict=False))
    expected = {"--criterion": "gated_label_smoothed_cross_entropy", "--label-smoothing": "0.2", "--max-tokens": "300"}
    expected |= {"--clip-norm": "2.5", "--weight-decay": "0.01", "--adam-betas": "(0.9, 0.97)", "--update-freq": "2"}
    assert expected.items() <= pairs.items()
    assert float(pairs["--lr"]) == pytest.approx(0.005)


def test_without_a_train_split_it_is_refused(request_of: Make, tmp_path: Path) -> None:
    data = shutil.copytree(request_of().data, tmp_path / "data")
    for path in data.glob("train.*"):
        path.unlink()
    with pytest.raises(
        ValueError, match="has no split 'train' of xx-yy, .*; its splits: test, valid; --fine-tune trains"
    ):
        prune(request_of(data=data))
    assert not request_of().out.exists()


def test_a_learning_rate_that_nothing_tells_is_asked_for(request_of: Make, tmp_path: Path) -> None:
    """A model that was pruned before tells nothing of its training."""
    prune(request_of(fine_tune=0, out=tmp_path / "first"))
    pruned = request_of(checkpoint=tmp_path / "first" / "keep6" / "model.pt", keep=("3",))
    with pytest.raises(
        ValueError, match="does not tell its learning rate, as files that .* give one for --fine-tune, --learning-rate"
    ):
        prune(pruned)
    assert not pruned.out.exists()
    record = prune(dataclasses.replace(pruned, learning_rate=1e-3, fine_tune=2))["models"][1]
    assert record["heads_kept"] == 3
