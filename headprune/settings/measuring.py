"""The measurement of models: sections that all tasks share, each of which reads the keys that concern it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headprune.settings.base import EXAMPLES, TOKENS, Label, Name, Numbers, Section


class Evaluation(Section):
    """The measurement of models: translations are made, text is read."""

    beam: int = Field(5, ge=1, le=1000, description="hypotheses kept side by side in the search for a translation")
    length_penalty: float = Field(
        1.0, ge=-100, le=100, description="power of the length that a hypothesis' log-probability is divided by"
    )
    max_len_a: float = Field(1.2, ge=0, le=1000, description="hypotheses of at most a · source length + b subwords")
    max_len_b: int = Field(10, ge=1, le=TOKENS, description="see `max_len_a`")
    max_tokens: int = Field(4000, ge=1, le=TOKENS, description="tokens of the longer side per batch, padding included")
    search: Literal["fast", "fairseq"] = Field(
        "fast", description="beam search of few and large operations, equal but for rounding; or fairseq's, bit for bit"
    )
    translate_valid: bool = Field(False, description="BLEU on the validation set too (perplexity is always measured)")
    checked_sentences: int = Field(
        32, ge=1, le=EXAMPLES, description="validation sentences read and translated masked and removed"
    )
    rows: int = Field(64, ge=1, le=TOKENS, description="language models: streams that a split is read in (paper: 64)")
    checked_segments: int = Field(
        8, ge=1, le=EXAMPLES, description="language models: validation segments read masked and removed"
    )
    one_row: bool = Field(True, description="language models: read the test set as one stream, too")
    sample: int = Field(
        60, ge=0, le=10**6, description="language models: tokens of text that every model writes; 0: none"
    )


class Calibration(Section):
    """The train examples that score methods see: sentences, or windows of text."""

    corpus: Name = Field(
        "",
        description="another dataset of the profile, whose train split masks are found on, read with the model's own "
        "subwords and dictionary; empty: the model's own dataset",
    )
    sentences: int = Field(1000, ge=1, le=EXAMPLES, description="pairs, drawn anew for every seed")
    windows: int = Field(64, ge=1, le=EXAMPLES, description="language models: each of two segments, T + T tokens")
    max_tokens: int = Field(4000, ge=1, le=TOKENS, description="tokens of the longer side per batch, padding included")


class Speed(Section):
    """The measurement of latency and throughput: pruned models of a seed in pairs with the unpruned one, one process,
    nothing beside it."""

    seeds: Numbers | None = Field(None, description="those whose models are measured; null: all")
    entries: list[Label] | None = Field(
        None,
        max_length=1000,
        description="patterns of labels that are measured, beside the unpruned model; null: all; []: nothing is",
    )
    sentences: int = Field(8, ge=1, le=EXAMPLES, description="validation sentences translated one at a time")
    batch_size: int = Field(64, ge=1, le=TOKENS, description="sentences per batch for throughput")
    repeats: int = Field(5, ge=1, le=10**6, description="rounds at least; median and quartiles are over rounds")
    most_repeats: int = Field(
        20,
        ge=1,
        le=10**6,
        description="rounds at most (`repeats`, if that is more), for models that are not decided yet",
    )
    spread: float = Field(
        0.03, gt=0, le=1, description="a model is decided once the quartiles of its ratio are this near to the median"
    )
