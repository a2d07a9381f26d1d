"""Beam-search hypotheses with fairseq's generator, and the proof that a pruned model equals the masked one."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

import headprune.models.compat  # noqa: F401

import torch
from torch import nn

from headprune.data import decode
from headprune.evaluation.likelihood import Agreement, Batches, largest_difference, perplexity
from headprune.gates import clear_mask, set_mask
from headprune.heads import HeadMask
from headprune.settings import Evaluation
from headprune.tasks.translation.corpus import TranslationCorpus


def generate(
    model: nn.Module, corpus: TranslationCorpus, batches: Sequence[Mapping[str, Any]], settings: Evaluation
) -> dict[int, str]:
    """Best hypothesis of every sentence in `batches`, detokenised, by its number in the corpus.

    fairseq's generator leaves the beam size in the attention modules, where it would corrupt the next forward pass
    outside beam search; it is reset here.

    :raises ValueError: a sentence comes out other than once.
    """
    arguments = Namespace(
        beam=settings.beam, lenpen=settings.length_penalty, max_len_a=settings.max_len_a, max_len_b=settings.max_len_b
    )
    generator = corpus.task.build_generator([model], arguments)
    dictionary = corpus.task.target_dictionary
    hypotheses: dict[int, str] = {}
    try:
        for batch in batches:
            with torch.no_grad():
                found = corpus.task.inference_step(generator, [model], batch)
            for number, beams in zip(batch["id"].tolist(), found, strict=True):
                if number in hypotheses:
                    raise ValueError(f"sentence {number} was translated twice")
                hypotheses[number] = decode(dictionary.string(beams[0]["tokens"], escape_unk=True))
    finally:
        generator.model.set_decoder_beam_size(1)
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
    """
    model.eval()
    pruned.eval()
    first = corpus.batches("valid", settings.max_tokens, range(settings.checked_sentences))
    set_mask(model, mask)
    try:
        masked_text = generate(model, corpus, first, settings)
        difference = max(largest_difference(model, pruned, batch) for batch in first)
    finally:
        clear_mask(model)
    pruned_text = generate(pruned, corpus, first, settings)
    return Agreement(
        max_abs=difference,
        hypotheses_compared=len(masked_text),
        hypotheses_different=sum(masked_text[number] != pruned_text[number] for number in masked_text),
        perplexity=perplexity(pruned, batches),
    )
