"""Tiny All-Attention models, their streams, and what they compute."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import Any

import headprune.models.compat  # noqa: F401

import pytest
import torch
from fairseq.data import Dictionary
from torch import Tensor

from headprune.models import AllAttentionLanguageModel

NO_DROPOUT = dict.fromkeys(("dropout", "attention_dropout", "input_dropout", "output_dropout", "word_dropout"), 0.0)
SIZES = {"layers": 3, "width": 16, "heads": 4, "persistent": 5, "memory_length": 6, "max_relative": 9} | NO_DROPOUT

BuildLM = Callable[..., Any]


@pytest.fixture(scope="session")
def build_lm(task: Namespace) -> BuildLM:
    """`build_lm(seed, **arguments)`: a tiny all_attention_lm in evaluation mode without dropout, N = 12."""

    def build_lm(seed: int = 1, **arguments: Any) -> Any:
        torch.manual_seed(seed)
        model = AllAttentionLanguageModel.build_model(Namespace(**SIZES | arguments), task)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.2 * torch.randn_like(parameter)
        return model.eval()

    return build_lm


@pytest.fixture(scope="session")
def stream(dictionary: Dictionary) -> Callable[..., Tensor]:
    """`stream(tokens, rows, seed)`: random tokens [rows, tokens]."""

    def stream(tokens: int = 16, rows: int = 3, seed: int = 1) -> Tensor:
        draw = torch.Generator().manual_seed(seed)
        return torch.randint(dictionary.nspecial, len(dictionary), (rows, tokens), generator=draw)

    return stream


@pytest.fixture(scope="session")
def segments(stream: Callable[..., Tensor]) -> list[dict[str, Any]]:
    """Mini-batches over two rows: two segments of 5 tokens, a third of 3."""
    tokens = stream(14, 2)
    return [
        {
            "id": torch.tensor([i]),
            "nsentences": 2,
            "ntokens": 2 * (end - start),
            "net_input": {"src_tokens": tokens[:, start:end].contiguous(), "start": i == 0},
            "target": tokens[:, start + 1 : end + 1].contiguous(),
        }
        for i, (start, end) in enumerate(((0, 5), (5, 10), (10, 13)))
    ]


@pytest.fixture(scope="session")
def read() -> Callable[..., Tensor]:
    """`read(model, tokens, *lengths)`: logits of tokens read in segments of these lengths, then in one for the rest."""

    def read(model: Any, tokens: Tensor, *lengths: int) -> Tensor:
        rest = tokens.shape[1] - sum(lengths)
        parts = [part for part in tokens.split([*lengths, rest], dim=1) if part.shape[1]]
        with torch.no_grad():
            return torch.cat([model(part, start=i == 0)[0] for i, part in enumerate(parts)], dim=1)

    return read
