"""Text from a language model that reads a stream, one token at a time through its memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from headprune.models.all_attention import standing_still
from headprune.tasks.language_modeling.corpus import LanguageCorpus

PROMPT = 30  # tokens that a sample of text continues
TOP_K = 40  # the tail of a small model's distribution is noise, and hides what the pruned ones have lost


@torch.no_grad()
def generate(
    model: Any,
    prefix: Sequence[int],
    length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
) -> list[int]:
    """Continues `prefix` by `length` sampled tokens; the end of a line is a token as any other.

    Padding, the beginning-of-sentence symbol and the words that fill up fairseq's dictionaries are never drawn. The
    evaluation memory of the model is reset before and after; the training mode is what it was.

    :param prefix: at least one token, of any length
    :param temperature: of the softmax; 0 takes the likeliest token
    :param top_k: draw from the k likeliest tokens only; None: from all
    :param generator: of the CPU; None: torch's own
    :returns: ids of the tokens after the prefix (length,)
    :raises ValueError: an empty prefix, a negative temperature, a top_k or a length out of range.
    """
    check_request(prefix, length, temperature, top_k, len(model.decoder.dictionary))
    device, training, never = next(model.parameters()).device, model.training, _never(model)
    model.eval()
    tokens, seen = list(prefix), 0
    try:
        with standing_still(model):
            for _ in range(length):
                segment = torch.tensor([tokens[seen:]], device=device)
                output = model(segment, start=seen == 0)
                scores = model.get_normalized_probs((output[0][:, -1:], output[1]), log_probs=True)[0, 0]
                seen = len(tokens)
                tokens.append(_draw(scores.float().cpu(), never, temperature, top_k, generator))
    finally:
        model.decoder.forget()
        model.train(training)
    return tokens[len(prefix) :]


def check_request(prefix: Sequence[int], length: int, temperature: float, top_k: int | None, vocabulary: int) -> None:
    """:raises ValueError: no model with so many words can generate this; names the parameter and its rule."""
    if not prefix:
        raise ValueError("prefix is empty; give at least one token, such as the end-of-sentence symbol")
    if temperature < 0:
        raise ValueError(f"temperature is {temperature}; it must not be negative")
    if top_k is not None and not 1 <= top_k <= vocabulary:
        raise ValueError(f"top_k is {top_k}; it must be within 1…{vocabulary}, the vocabulary")
    if length < 0:
        raise ValueError(f"length is {length}; it must not be negative")


def sample(model: Any, corpus: LanguageCorpus, split: str, length: int) -> bytes:
    """The text by which a model continues the beginning of a split; all models draw with the same random numbers.

    :returns: JSON in UTF-8: `prompt` and `continuation`
    """
    prompt = corpus.stream(split).tokens[: PROMPT + 1]  # with the end of the line before the first
    drawn = generate(model, prompt.tolist(), length, top_k=TOP_K, generator=torch.Generator().manual_seed(1))
    texts = {"prompt": corpus.text(prompt[1:]), "continuation": corpus.text(torch.tensor(drawn))}
    return json.dumps(texts, ensure_ascii=False, indent=1).encode()


def _never(model: Any) -> list[int]:
    dictionary = model.decoder.dictionary
    fillers = (i for i, symbol in enumerate(dictionary.symbols) if symbol.startswith("madeupword"))
    return [dictionary.pad(), dictionary.bos(), *fillers]


def _draw(
    scores: Tensor, never: list[int], temperature: float, top_k: int | None, generator: torch.Generator | None
) -> int:
    """One token from log-probabilities (vocabulary,)."""
    scores = scores.index_fill(0, torch.tensor(never), -torch.inf)
    if temperature == 0:
        return int(scores.argmax())
    if top_k is not None:
        likeliest = scores.topk(top_k)
        scores = torch.full_like(scores, -torch.inf).index_copy(0, likeliest.indices, likeliest.values)
    return int(torch.multinomial((scores / temperature).softmax(0), 1, generator=generator))
