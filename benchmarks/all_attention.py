"""The speed of All-Attention: against the naive computation, and with half of its heads removed.

    python benchmarks/all_attention.py [--rounds 20] [--threads 2]

Everything that is compared runs in turn in every round, so that a busy machine slows all alike; ratios are medians over
rounds with quartiles. Printed as Markdown. The naive computation is `naive_all_attention.py` in
`tests/models/all_attention`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import headprune.models.compat  # noqa: F401

import torch
from torch import Tensor

from headprune.models.all_attention import AllAttentionConfig
from headprune.models.all_attention.layer import Block
from headprune.models.all_attention.memory import LayerMemory
from headprune.models.cutting import shrink

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "models" / "all_attention"))
from naive_all_attention import NaiveAllAttention


@dataclass(frozen=True)
class Size:
    """One layer, with as many rows as one update or one evaluation of it has on a small machine."""

    name: str
    width: int
    heads: int
    persistent: int
    length: int  # of segment and memory
    rows: int
    dropout: float

    @property
    def tokens(self) -> int:
        return self.rows * self.length


SIZES = (Size("quick", 128, 8, 128, 64, 16, 0.1), Size("paper", 512, 8, 2048, 192, 4, 0.2))
Step = Callable[[], None]


def layer(size: Size, naive: bool = False, keep: int | None = None) -> torch.nn.Module:
    torch.manual_seed(1)
    architecture = AllAttentionConfig.of(
        Namespace(
            width=size.width,
            heads=size.heads,
            persistent=size.persistent,
            memory_length=size.length,
            attention_dropout=size.dropout,
        )
    )
    decoder = torch.nn.ModuleDict({"decoder": torch.nn.ModuleList([Block(architecture)])})
    for parameter in decoder.parameters():
        torch.nn.init.uniform_(parameter, -0.04, 0.04)
    if keep is not None:
        shrink(decoder, {"decoder.0": tuple(range(keep))})
    block = decoder["decoder"][0]
    if naive:
        block.self_attn.__class__ = NaiveAllAttention
    return block


def step(block: torch.nn.Module, size: Size, training: bool) -> Step:
    """A forward pass, or one with its backward pass; keys and values of the memory are computed in both."""
    block.train(training)
    states, past = (torch.randn(size.length, size.rows, size.width) for _ in range(2))
    table = torch.nn.Parameter(0.04 * torch.randn(size.length + 1, size.width))

    def forward() -> Tensor:
        return block(states, LayerMemory(past), table)[0]

    def train() -> None:
        forward().sum().backward()
        block.zero_grad()

    def infer() -> None:
        with torch.no_grad():
            forward()

    return train if training else infer


def seconds(run: Step) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def quartiles(values: list[float]) -> str:
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def compare(size: Size, training: bool, rounds: int) -> str:
    half = size.heads // 2
    blocks = {"naive": layer(size, naive=True), "dense": layer(size), "pruned": layer(size, keep=half)}
    steps = {name: step(block, size, training) for name, block in blocks.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 2):
        for name, run in steps.items():
            taken = seconds(run)
            if number > 1:  # the first two warm up
                times[name].append(taken)
    speed = [naive / dense for naive, dense in zip(times["naive"], times["dense"], strict=True)]
    pruned = [dense / pruned for dense, pruned in zip(times["dense"], times["pruned"], strict=True)]
    rate = size.tokens / statistics.median(times["dense"])
    what = "forward + backward" if training else "forward"
    return (
        f"| {size.name} | {what} | {rate:,.0f} | {quartiles(speed)} | {quartiles(pruned)} | {size.heads / half:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {arguments.threads} threads, {arguments.rounds} rounds, one layer\n")
    print("| layer | pass | tokens/s | naive ÷ ours | dense ÷ half of the heads | 1/(1 − p) |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for size in SIZES:
        for training in (False, True):
            print(compare(size, training, arguments.rounds), flush=True)


if __name__ == "__main__":
    main()
