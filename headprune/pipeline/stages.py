"""What the jobs do. Each takes its specification (plain data, see `Plan.specification`) and returns its receipt.

A failure of a cell becomes the record of that cell; a failure that concerns all cells of a job becomes the record of
each. Seeds of everything random are derived here, so that no method ever sees one.
"""

from __future__ import annotations

import time
import traceback
from pathlib import Path
from typing import Any

import torch

from headprune import cost, removal
from headprune.config import Calibration, Dataset, Evaluation, Method, Model, Speed
from headprune.data import corpus as find_corpus
from headprune.data import prepare
from headprune.evaluation import likelihood, translation
from headprune.evaluation.corpus import TranslationCorpus
from headprune.heads import HeadMask, HeadSpace
from headprune.method import Entry
from headprune.method.registry import BUILT_IN
from headprune.pipeline.memory import peak_memory
from headprune.pipeline.plan import Cell
from headprune.pipeline.progress import Reporter
from headprune.pipeline.specification import (
    Spec,
    cell_folder,
    cells_of,
    corpus_of,
    dense_identity,
    dense_path,
    derived_seed,
    device,
    entry_of,
    evaluation_of,
    folder_of,
    head_names,
    identity,
    methods_of,
    signature_of,
    trained_record,
)
from headprune.pipeline.store import Record, is_kept, kept_or_computed, read_json, require_ok, write_json, write_lines
from headprune.provenance import digest, file_sha256
from headprune.training import GateRun, Trained, arguments, gate_arguments, train


def data(spec: Spec, reporter: Reporter) -> Record:
    """Prepares a dataset."""
    dataset = Dataset(**spec["recipe"])
    statistics = prepare(find_corpus(dataset.corpus), dataset.recipe(), folder_of(spec) / "data" / spec["dataset"])
    return {"status": "ok", "reason": "", "statistics": statistics}


def dense(spec: Spec, reporter: Reporter) -> Record:
    """Trains the unpruned model of a seed; everything but joint methods starts from it."""
    path = dense_path(spec)
    signature = digest(dense_identity(spec))

    def compute() -> Record:
        with peak_memory() as peak:
            start = time.monotonic()
            trained = run_training(spec, arguments_of(spec), signature, reporter)
            seconds = time.monotonic() - start
        removal.save(trained.model, path)
        return {
            "seconds": seconds,
            "peak_memory_mib": peak.mib,
            "updates": trained.updates,
            "curve": trained.curve,
            "sha256": file_sha256(path),
        }

    return kept_or_computed(path.with_suffix(".json"), signature, compute)


def score(spec: Spec, reporter: Reporter) -> Record:
    """Ranks the heads of the dense model with every score method of a batch; prunes and validates a cell per budget."""
    cells, done = cells_of(spec), 0
    for method in methods_of(spec):
        mine = [cell for cell in cells if (cell.method, cell.arm) == (method.name, method.arm)]
        for draw in dict.fromkeys(cell.draw for cell in mine):
            score_once(spec, method, [cell for cell in mine if cell.draw == draw])
        done += len(mine)
        reporter.update(done, len(cells), None)
    return receipt(spec, cells)


def score_once(spec: Spec, method: Method, cells: list[Cell]) -> None:
    """One run of a score method, which serves all its budgets; nothing if all its cells are done."""
    entry = entry_of(spec, method)
    signatures = {cell.id: signature_of(spec, entry, method, cell) for cell in cells}
    paths = {cell.id: cell_folder(spec, cell) / "pruned.json" for cell in cells}
    if all(is_kept(paths[cell.id], signatures[cell.id]) for cell in cells):
        return
    masks: dict[int, HeadMask] = {}
    error: Exception | None = None
    costs: Record = {}
    try:
        dense_record = trained_record(spec)
        model = removal.load(dense_path(spec)).to(device())
        masks, seconds, mib = find_masks(spec, entry, method, model, cells)
        costs = {"train_seconds": dense_record["seconds"], "prune_seconds": seconds, "peak_memory_mib": mib}
    except Exception as caught:
        traceback.print_exc()
        error = caught

    for cell in cells:

        def compute(cell: Cell = cell) -> Record:
            if error is not None:
                raise error
            return prune(spec, cell, model, masks[cell.budget]) | costs

        kept_or_computed(paths[cell.id], signatures[cell.id], compute)


def gates(spec: Spec, reporter: Reporter) -> Record:
    """Trains a gate method for one budget, jointly with the model or on the frozen dense one; prunes and validates."""
    (method,), (cell,) = methods_of(spec), cells_of(spec)
    entry = entry_of(spec, method)
    signature = signature_of(spec, entry, method, cell)
    joint = method.mode == "joint"

    def compute() -> Record:
        dense_seconds = 0.0
        if not joint:
            dense_seconds = trained_record(spec)["seconds"]
        with peak_memory() as peak:
            start = time.monotonic()
            trained = train_gates(spec, entry, method, cell, reporter)
            seconds = time.monotonic() - start
        assert trained.mask is not None
        model = trained.model.to(device())
        costs = {
            "train_seconds": seconds if joint else dense_seconds,
            "prune_seconds": 0.0 if joint else seconds,
            "peak_memory_mib": peak.mib,
            "curve": trained.curve,
        }
        return prune(spec, cell, model, trained.mask) | costs

    kept_or_computed(cell_folder(spec, cell) / "pruned.json", signature, compute)
    return receipt(spec, [cell])


def test(spec: Spec, reporter: Reporter) -> Record:
    """Translates the test set with every pruned model of a job: the only place that reads it."""
    cells, settings, corpus = cells_of(spec), evaluation_of(spec), corpus_of(spec)
    for position, cell in enumerate(cells):
        pruned = read_json(cell_folder(spec, cell) / "pruned.json")

        def compute(cell: Cell = cell, pruned: Record = pruned) -> Record:
            require_ok(pruned, "pruning")
            model = removal.load(cell_folder(spec, cell) / "model.pt").to(device())
            return translate(spec, cell, model, corpus, "test", settings)

        test_hash = corpus.statistics["sha256"]["test"]
        signature = digest([pruned["signature"], test_hash, spec["evaluation"]])
        kept_or_computed(cell_folder(spec, cell) / "test.json", signature, compute)
        reporter.update(position + 1, len(cells), None)
    return receipt(spec, cells, "test.json")


def speed(spec: Spec, reporter: Reporter) -> Record:
    """Measures all pruned models of a seed in turn, in one process that has the machine to itself."""
    settings, corpus = Speed(**spec["speed"]), corpus_of(spec)
    ready = [c for c in cells_of(spec) if read_json(cell_folder(spec, c) / "pruned.json")["status"] == "ok"]
    models = {cell.id: removal.load(cell_folder(spec, cell) / "model.pt").to(device()) for cell in ready}
    order = sorted(range(len(corpus.dataset("valid"))), key=lambda i: (corpus.dataset("valid").num_tokens(i), i))
    middle = len(order) // 2
    singles = [corpus.batches("valid", 10_000, [i])[0] for i in order[middle : middle + settings.sentences]]
    (batch,) = corpus.batches("valid", 10**9, order[max(0, middle - settings.batch_size // 2) :][: settings.batch_size])
    timings = cost.measure(models, corpus.task, singles, batch, evaluation_of(spec).beam, settings.repeats)
    for cell in ready:
        latency, throughput = timings[cell.id]
        record = {"latency_ms": latency.__dict__, "throughput": throughput.__dict__, "batch_size": settings.batch_size}
        write_json(cell_folder(spec, cell) / "speed.json", {"status": "ok", "reason": "", **record})
    return {"status": "ok", "reason": "", "cells": [cell.id for cell in ready]}


def prune(spec: Spec, cell: Cell, model: Any, mask: HeadMask) -> Record:
    """Removes the heads, saves the pruned model and measures what needs no test set."""
    corpus, settings, folder = corpus_of(spec), evaluation_of(spec), cell_folder(spec, cell)
    pruned = removal.remove_heads(model, mask)
    removal.save(pruned, folder / "model.pt")
    pruned = removal.load(folder / "model.pt").to(device())
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


def find_masks(
    spec: Spec, entry: Entry, method: Method, model: Any, cells: list[Cell]
) -> tuple[dict[int, HeadMask], float, float]:
    """Masks by budget; seconds and peak memory (MiB) of finding them."""
    settings = Calibration(**spec["calibration"])
    batches = corpus_of(spec).sample_train(settings.sentences, spec["seed"], settings.max_tokens)
    rng = torch.Generator().manual_seed(derived_seed(spec["seed"], entry.name, cells[0].full_arm))
    with peak_memory() as peak:
        start = time.monotonic()
        masks = entry.method(entry.options(method.options)).masks(model, batches, [c.budget for c in cells], rng)
        seconds = time.monotonic() - start
    for cell in cells:
        if masks[cell.budget].count != cell.budget:
            raise ValueError(f"{entry.name} keeps {masks[cell.budget].count} heads, the budget is {cell.budget}")
    return masks, seconds, peak.mib


def train_gates(spec: Spec, entry: Entry, method: Method, cell: Cell, reporter: Reporter) -> Trained:
    """One training of a gate method, with the data order and initial weights of the dense model of its seed."""
    settings = Model(**spec["settings"])
    joint = method.mode == "joint"
    updates = settings.training.updates if joint or method.updates is None else method.updates
    chosen = entry.options(method.options)
    space = HeadSpace.from_names(head_names(settings))
    gate_method = entry.method(space, cell.budget, chosen, torch.Generator().manual_seed(0))
    run = GateRun(
        method=entry.name,
        options=method.options,
        budget=cell.budget,
        seed=derived_seed(cell.seed, entry.name, cell.full_arm, str(cell.budget)) % 2**31,
        learning_rate=chosen.learning_rate,
        cooldown=gate_method.cooldown(updates),
        pipelined=not joint,
        directories=(str(BUILT_IN), *spec["directories"]),
    )
    argv = [*arguments_of(spec, updates), *gate_arguments(run, updates)]
    signature = digest(identity(spec, entry, method, cell))
    return run_training(spec, argv, signature, reporter, None if joint else dense_path(spec))


def run_training(spec: Spec, argv: list[str], signature: str, reporter: Reporter, start: Path | None = None) -> Trained:
    """Trains in a folder of its own, named by the signature, so that nothing but the same run resumes from it."""
    settings = Model(**spec["settings"]).training
    scratch = folder_of(spec) / "training" / f"{spec['job'].replace('/', '-')}-{signature}"
    return train(argv, scratch, spec["seed"], start, settings.checkpoint_every, reporter.update)


def arguments_of(spec: Spec, updates: int | None = None) -> list[str]:
    settings = Model(**spec["settings"])
    training = settings.training.model_copy(update={"updates": updates} if updates else {})
    corpus = corpus_of(spec)
    return arguments(corpus.binarised, corpus.pair, settings.architecture, training)


def receipt(spec: Spec, cells: list[Cell], name: str = "pruned.json") -> Record:
    records = {cell.id: read_json(cell_folder(spec, cell) / name) for cell in cells}
    keep = ("signature", "status", "reason")
    found = {cell_id: {key: record[key] for key in keep} for cell_id, record in records.items()}
    return {"status": "ok", "reason": "", "cells": found}
