"""Tiny language models that stock fairseq trained and wrote, with their text as fairseq-preprocess leaves it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import headprune.models.compat as compat

import fairseq_cli.train
from fairseq import checkpoint_utils, options, tasks
from fairseq.dataclass.utils import convert_namespace_to_omegaconf

from headprune.data.binarise import binarise_text
from headprune.training.trainer import configuration
from tests.checkpoints.conftest import StockModel

SIZES = ["--decoder-embed-dim", "16", "--decoder-ffn-embed-dim", "24", "--decoder-layers", "2"]
SIZES += ["--decoder-attention-heads", "4", "--tokens-per-sample", "16", "--max-tokens", "200"]
TIED = ["--tie-adaptive-weights", "--tie-adaptive-proj", "--adaptive-input", "--adaptive-input-cutoff", "8,14"]
TIED += ["--adaptive-softmax-factor", "2", "--adaptive-input-factor", "2"]
ADAPTIVE = [
    "--arch",
    "transformer_lm_gbw",
    "--criterion",
    "adaptive_loss",
    "--ddp-backend",
    "legacy_ddp",
    "--adaptive-softmax-cutoff",
    "8,14",
]
KINDS = {
    "plain": ["--arch", "transformer_lm", "--share-decoder-input-output-embed", "--criterion", "cross_entropy"],
    "adaptive": [*ADAPTIVE, *TIED],
}


def language_model(kind: str, pieces: Path, folder: Path, further: Sequence[str] = ()) -> StockModel:
    """One of `KINDS`, trained for a few updates.

    :param pieces: the text, `valid.xx` and so on
    :param further: words for `fairseq-train`
    """
    for split in ("train", "valid", "test"):
        text = (pieces / f"{split}.xx").read_text(encoding="utf-8")
        (folder / f"{split}.txt").write_text(text, encoding="utf-8")
    binarise_text(folder, folder / "data-bin")
    argv = [str(folder / "data-bin"), "--task", "language_modeling", *KINDS[kind], *SIZES, *further]
    argv += ["--optimizer", "adam", "--lr", "0.01", "--max-update", "20", "--seed", "2", "--num-workers", "0"]
    argv += ["--disable-validation", "--no-epoch-checkpoints", "--save-interval", "1000"]
    compat.reset_process_state()
    fairseq_cli.train.main(configuration([*argv, "--save-dir", str(folder / "checkpoints")]))
    return StockModel(folder / "checkpoints" / "checkpoint_last.pt", folder / "data-bin")


def stock(path: Path, made: StockModel, split: str = "valid", further: Sequence[str] = ()) -> tuple[Any, list[Any]]:
    """A model as `fairseq-eval-lm` loads it, and the batches of a split that it reads."""
    argv = [str(made.data), "--path", str(path), "--tokens-per-sample", "16", *further]
    cfg = convert_namespace_to_omegaconf(options.parse_args_and_arch(options.get_eval_lm_parser(), argv))
    task = tasks.setup_task(cfg.task)
    (model,), _ = checkpoint_utils.load_model_ensemble([str(path)], task=task)
    task.load_dataset(split)
    return model.eval(), list(task.eval_lm_dataloader(task.dataset(split), batch_size=4, num_workers=0))
