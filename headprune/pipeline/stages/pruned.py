"""From a mask to the record of a cell: heads removed, model saved, measured on the validation set."""

from __future__ import annotations

from typing import Any

from headprune import cost, removal
from headprune.config import Calibration, Evaluation
from headprune.evaluation import likelihood, translation
from headprune.evaluation.corpus import TranslationCorpus
from headprune.heads import HeadMask
from headprune.method import Batches, Pruning
from headprune.pipeline.cells import Cell
from headprune.pipeline.specification import Spec, cell_folder, corpus_of, device, evaluation_of, folder_of
from headprune.pipeline.store import Record, read_json, write_lines


def calibration(spec: Spec) -> Batches:
    """The train sentences that methods see: the same for all methods of a seed."""
    settings = Calibration(**spec["calibration"])
    return corpus_of(spec).sample_train(settings.sentences, spec["seed"], settings.max_tokens)


def prune(spec: Spec, cell: Cell, model: Any, pruning: Pruning) -> Record:
    """Removes the heads, saves the pruned model and measures what needs no test set."""
    model = removal.reconstructed(model, pruning.outputs)
    pruned = removal.remove_heads(model, pruning.mask)
    removal.save(pruned, cell_folder(spec, cell) / "model.pt")
    return measure(spec, cell, model, pruning.mask)


def measure(spec: Spec, cell: Cell, model: Any, mask: HeadMask) -> Record:
    """Compares the saved model of a cell with `model` under `mask`, and measures it."""
    corpus, settings = corpus_of(spec), evaluation_of(spec)
    pruned = removal.load(cell_folder(spec, cell) / "model.pt").to(device())
    validated = corpus.batches("valid", settings.max_tokens)
    agreed = likelihood.agreement(model, mask, pruned, corpus, validated, settings)
    lengths = corpus.statistics["splits"]["valid"]["mean_tokens"]
    source, target = (round(lengths[language]) + 1 for language in corpus.pair)
    record: Record = {
        "mask": list(mask.names()),
        "heads": list(mask.space.names),
        "perplexity": agreed.perplexity,
        "masked_vs_removed_max_abs": agreed.max_abs,
        "masked_vs_removed_hypotheses": agreed.hypotheses_different,
        "parameters": cost.parameters(pruned),
        "parameters_non_embedding": cost.parameters(pruned, embeddings=False),
        "macs_per_token": cost.macs(pruned, source, target) / target,
    }
    if settings.translate_valid:
        record["valid"] = translate(spec, cell, pruned, corpus, "valid", settings)
    return record


def translate(
    spec: Spec, cell: Cell, model: Any, corpus: TranslationCorpus, split: str, settings: Evaluation
) -> Record:
    """Hypotheses of a split, saved, and their scores."""
    hypotheses = translation.translate(model, corpus, split, settings)
    write_lines(folder_of(spec) / "segments" / cell.id / f"hypotheses.{split}.txt.gz", hypotheses)
    references = corpus.references(split)
    scores = {
        "bleu": translation.bleu(hypotheses, references),
        "chrf": translation.chrf(hypotheses, references),
        "bleu_tokenized_lower": translation.bleu_tokenized_lower(hypotheses, references, corpus.pair[1]),
    }
    return {name: [s.value, s.signature] for name, s in scores.items()}


def receipt(spec: Spec, cells: list[Cell], name: str = "pruned.json") -> Record:
    """Signature and status of every cell of a job."""
    records = {cell.id: read_json(cell_folder(spec, cell) / name) for cell in cells}
    keep = ("signature", "status", "reason")
    found = {cell_id: {key: record[key] for key in keep} for cell_id, record in records.items()}
    return {"status": "ok", "reason": "", "cells": found}
