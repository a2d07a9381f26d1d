"""Beam-search hypotheses, and the proof that a pruned model equals the masked one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import headprune.models.compat  # noqa: F401

from torch import nn

from headprune.evaluation.likelihood import Agreement, Batches, largest_difference, perplexity
from headprune.gates import masked
from headprune.heads import HeadMask
from headprune.models.beam import BeamRules, beam_search
from headprune.settings import Evaluation
from headprune.tasks.translation.corpus import TranslationCorpus


def generate(
    model: nn.Module, corpus: TranslationCorpus, batches: Sequence[Mapping[str, Any]], settings: Evaluation
) -> dict[int, str]:
    """Best hypothesis of every sentence in `batches`, as text, by its number in the corpus.

    :raises ValueError: a sentence comes out other than once.
    """
    rules = BeamRules(settings.beam, settings.length_penalty, settings.max_len_a, settings.max_len_b)
    search = beam_search(model, corpus.task, rules, settings.search)
    hypotheses: dict[int, str] = {}
    for batch in batches:
        for number, found in zip(batch["id"].tolist(), search(batch), strict=True):
            if number in hypotheses:
                raise ValueError(f"sentence {number} was translated twice")
            hypotheses[number] = corpus.text(found[0]["tokens"])
    expected = sum(len(batch["id"]) for batch in batches)
    if len(hypotheses) != expected:
        raise ValueError(f"{len(hypotheses)} hypotheses for {expected} sentences")
    return hypotheses


def translate(model: nn.Module, corpus: TranslationCorpus, split: str, settings: Evaluation) -> list[str]:
    """Hypotheses of a whole split, one a sentence, in corpus order."""
    model.eval()
    hypotheses = generate(model, corpus, corpus.batches(split, settings.max_tokens), settings)
    return [hypotheses[number] for number in range(len(hypotheses))]


def agreement(
    model: nn.Module,
    mask: HeadMask,
    pruned: nn.Module,
    corpus: TranslationCorpus,
    batches: Batches,
    settings: Evaluation,
) -> Agreement:
    """Compares `model` under `mask` with `pruned`: logits and beam hypotheses of the first validation sentences.

    :param batches: of which `pruned` has the perplexity
    :raises ValueError: a difference, or the perplexity, is NaN.
    """
    model.eval()
    pruned.eval()
    first = corpus.batches("valid", settings.max_tokens, range(settings.checked_sentences))
    with masked(model, mask):
        masked_text = generate(model, corpus, first, settings)
        difference = max(largest_difference(model, pruned, batch) for batch in first)
    pruned_text = generate(pruned, corpus, first, settings)
    return Agreement(
        max_abs=difference,
        perplexity=perplexity(pruned, batches),
        hypotheses_compared=len(masked_text),
        hypotheses_different=sum(masked_text[number] != pruned_text[number] for number in masked_text),
    )
