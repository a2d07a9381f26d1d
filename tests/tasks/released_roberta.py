"""A tiny RoBERTa as fairseq released them: one namespace of arguments, old names of weights, GPT-2's byte pairs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import headprune.models.compat  # noqa: F401

import torch
from fairseq import options
from fairseq.data.encoders.gpt2_bpe_utils import bytes_to_unicode
from fairseq.models.roberta import RobertaModel
from fairseq.tasks.masked_lm import MaskedLMTask

MERGES = ("t h", "th e", "Ġ the", "i n", "a n", "an d", "Ġ and")
SIZES = {"embed-dim": 16, "ffn-embed-dim": 24, "layers": 2, "attention-heads": 2}
ARCHITECTURE: dict[str, Any] = {"width": 16, "feed_forward": 24, "layers": 2, "heads": 2, "positions": 200}


def write(folder: Path) -> Path:
    """Writes encoder.json, vocab.bpe, dict.txt and model.pt, whose 256 positions are more than `ARCHITECTURE` has."""
    folder.mkdir(parents=True)
    pieces = [*bytes_to_unicode().values(), *(merge.replace(" ", "") for merge in MERGES)]
    encoder = {piece: number for number, piece in enumerate(pieces)}
    (folder / "encoder.json").write_text(json.dumps(encoder), encoding="utf-8")
    (folder / "vocab.bpe").write_text("\n".join(["#version: 0.2", *MERGES, ""]), encoding="utf-8")
    order = sorted(encoder.values(), key=lambda number: (number * 7) % len(pieces))  # another than that of the pieces
    lines = [f"{number} {len(pieces) - place}\n" for place, number in enumerate(order)]
    (folder / "dict.txt").write_text("".join([*lines, "madeupword0000 0\n"]), encoding="utf-8")
    torch.save(_state(folder), folder / "model.pt")
    return folder


def _state(folder: Path) -> dict[str, Any]:
    argv = [str(folder), "--task", "masked_lm", "--arch", "roberta_base", "--criterion", "masked_lm"]
    argv += [f"--encoder-{name}={value}" for name, value in SIZES.items()]
    argv += ["--max-positions", "256", "--tokens-per-sample", "256"]
    arguments = options.parse_args_and_arch(options.get_training_parser("masked_lm"), input_args=argv)
    task = MaskedLMTask.setup_task(arguments)
    torch.manual_seed(5)
    weights = {name: value + 0.1 * torch.randn_like(value) for name, value in _weights(arguments, task).items()}
    history = [{"criterion_name": "", "optimizer_name": "", "lr_scheduler_state": {}, "num_updates": 9}]
    return {"args": arguments, "model": in_old_names(weights), "optimizer_history": history, "extra_state": {}}


def _weights(arguments: Any, task: Any) -> dict[str, Any]:
    state = RobertaModel.build_model(arguments, task).state_dict()
    return {name: value for name, value in state.items() if "version" not in name}


def in_old_names(weights: dict[str, Any]) -> dict[str, Any]:
    """The names of fairseq 0.9: `decoder` for encoder, one projection of queries, keys and values."""
    found = {}
    for name, value in weights.items():
        old = name.replace("encoder.", "decoder.", 1).replace(".layernorm_embedding.", ".emb_layer_norm.")
        if ".q_proj." in name:
            parts = [weights[name.replace(".q_proj.", f".{part}_proj.")] for part in "qkv"]
            found[old.replace(".q_proj.", ".in_proj_")] = torch.cat(parts)
        elif not any(f".{part}_proj." in name for part in "kv"):
            found[old] = value
    return found
