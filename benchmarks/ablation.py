#!/usr/bin/env python3
"""The time that the reuse of layers saves when a Transformer is run under many masks.

    python benchmarks/ablation.py [--threads 1] [--repeats 3]

Random models and sentences; without every head in turn, and every head alone in its module. A run with reuse and one
without take turns; the table gives medians, and layer passes as what can be saved at the most.
"""

from __future__ import annotations

import argparse
import time
from argparse import Namespace
from statistics import median
from typing import Any

import headprune.models.compat  # noqa: F401

import torch
from fairseq.data import Dictionary

from headprune.gates import install
from headprune.heads import HeadSpace, attention_points
from headprune.models.transformer import HeadpruneTransformer, headprune_transformer
from headprune.scoring.masked_losses import masked_losses

SIZES = {  # layers, width, inner width, heads, vocabulary, sentences in a batch
    "small, 3+3": (3, 128, 256, 4, 2000, 40),
    "small, 3+3, batches of 8": (3, 128, 256, 4, 2000, 8),
    "base, 6+6": (6, 512, 1024, 4, 8000, 2),
}
LENGTH = 20


def build(layers: int, width: int, inner: int, heads: int, vocabulary: int) -> Any:
    words = Dictionary()
    for number in range(vocabulary - words.nspecial):
        words.add_symbol(f"w{number}")
    arguments = Namespace(share_all_embeddings=True, max_source_positions=64, max_target_positions=64)
    for side in ("encoder", "decoder"):
        for name, value in (("embed_dim", width), ("ffn_embed_dim", inner), ("layers", layers)):
            setattr(arguments, f"{side}_{name}", value)
        setattr(arguments, f"{side}_attention_heads", heads)
    headprune_transformer(arguments)
    model = HeadpruneTransformer.build_model(arguments, Namespace(source_dictionary=words, target_dictionary=words))
    install(model)
    return model.eval()


def batch_of(sentences: int, vocabulary: int) -> dict[str, Any]:
    source, target = torch.randint(4, vocabulary, (2, sentences, LENGTH))
    inputs = {"src_tokens": source, "src_lengths": torch.full((sentences,), LENGTH)}
    return {"net_input": inputs | {"prev_output_tokens": target.roll(1, 1)}, "target": target}


def masks_of(space: HeadSpace, kind: str) -> torch.Tensor:
    masks = space.drop_one() if kind == "drop one" else space.keep_one()
    return torch.tensor([mask.keep for mask in masks])  # (N, N)


def passes(model: Any, batch: dict[str, Any], masks: torch.Tensor, reuse: bool) -> int:
    """Sentences that go through attention modules."""
    seen = 0

    def count(module: Any, args: Any, kwargs: Any) -> None:
        nonlocal seen
        seen += kwargs["query"].shape[1]

    hooks = [p.module.register_forward_pre_hook(count, with_kwargs=True) for p in attention_points(model)]
    masked_losses(model, [batch], masks, reuse=reuse)
    for hook in hooks:
        hook.remove()
    return seen


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    print(f"{'model':26}{'masks':12}{'whole, s':>10}{'reuse, s':>10}{'ratio':>8}{'layer passes':>14}{'difference':>12}")
    for name, (layers, width, inner, heads, vocabulary, sentences) in SIZES.items():
        model, batch = build(layers, width, inner, heads, vocabulary), batch_of(sentences, vocabulary)
        for kind in ("drop one", "keep one"):
            masks = masks_of(HeadSpace.of(model), kind)
            seconds: dict[bool, list[float]] = {False: [], True: []}
            for _ in range(arguments.repeats):
                for reuse, times in seconds.items():
                    start = time.perf_counter()
                    masked_losses(model, [batch], masks, reuse=reuse)
                    times.append(time.perf_counter() - start)
            whole, shared = (median(seconds[reuse]) for reuse in (False, True))
            saved = passes(model, batch, masks, True) / passes(model, batch, masks, False)
            losses = [masked_losses(model, [batch], masks, reuse=reuse) for reuse in (False, True)]
            off = (losses[0] - losses[1]).abs().max().item()
            row = f"{name:26}{kind:12}{whole:10.2f}{shared:10.2f}{shared / whole:8.2f}{saved:14.2f}{off:12.1e}"
            print(row, flush=True)


if __name__ == "__main__":
    main()
