"""One layer of All-Attention: after heads are removed, against a textbook's computation, and against a Transformer-XL.

The Transformer-XL layer has a feed-forward layer in the place of persistent vectors, of as many multiply-accumulates as
they in the unpruned layer. Keys and values of the memory are computed in every pass. The textbook's computation is
`naive_all_attention.py` in `tests`.
"""

from __future__ import annotations

import sys
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
from rows.base import Line, Settings, lines, take_turns

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))


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


SIZES = (Size("quick", 128, 8, 128, 64, 16, 0.1), Size("paper", 512, 8, 2048, 192, 4, 0.2))
HALF, QUARTER = "half of the heads removed", "a quarter removed"


def layer(size: Size, keep: int | None = None, feed_forward: bool = False) -> torch.nn.Module:
    """:param keep: heads that are left; absent: all
    :param feed_forward: a Transformer-XL layer
    """
    torch.manual_seed(1)
    extra = (
        {"persistent": 0, "ffn_dim": size.persistent} if feed_forward else {"persistent": size.persistent, "ffn_dim": 0}
    )
    architecture = AllAttentionConfig.of(
        Namespace(
            width=size.width,
            heads=size.heads,
            memory_length=size.length,
            attention_dropout=size.dropout,
            **extra,
        )
    )
    decoder = torch.nn.ModuleDict({"decoder": torch.nn.ModuleList([Block(architecture)])})
    for parameter in decoder.parameters():
        torch.nn.init.uniform_(parameter, -0.04, 0.04)
    if keep is not None:
        shrink(decoder, {"decoder.0": tuple(range(keep))})
    return decoder["decoder"][0]


def textbook(size: Size) -> torch.nn.Module:
    from naive_all_attention import NaiveAllAttention

    block = layer(size)
    block.self_attn.__class__ = NaiveAllAttention
    return block


def step(block: torch.nn.Module, size: Size, training: bool) -> Callable[[], None]:
    """A forward pass, or one with its backward pass."""
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


def measure(settings: Settings) -> list[Line]:
    found = []
    for size in SIZES:
        blocks = {
            "unpruned": layer(size),
            HALF: layer(size, keep=size.heads // 2),
            "textbook": textbook(size),
            "Transformer-XL": layer(size, feed_forward=True),
            QUARTER: layer(size, keep=size.heads * 3 // 4),
        }
        for training in (False, True):
            name = f"{size.name}, {'forward and backward' if training else 'forward'}: "
            times = take_turns({name + w: step(b, size, training) for w, b in blocks.items()}, settings.rounds)
            first = {what: times[name + what] for what in ("unpruned", HALF, "textbook")}
            second = {what: times[name + what] for what in ("Transformer-XL", QUARTER)}
            for group, targets in ((first, {HALF: 1 / 1.8}), (second, {QUARTER: 1.0})):
                named = {name + what: own for what, own in group.items()}
                goals = {name + what: target for what, target in targets.items()}
                found += lines("all_attention", named, next(iter(named)), goals)
    return found
