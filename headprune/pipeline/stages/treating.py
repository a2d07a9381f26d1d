"""What is done with the masks of other methods: other weights, other biases, or other heads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from headprune import removal
from headprune.config import Treatment
from headprune.heads import HeadMask, HeadSpace
from headprune.method import Pruning
from headprune.models.devices import device
from headprune.pipeline.cells import Cell
from headprune.pipeline.progress import Reporter
from headprune.pipeline.records import find
from headprune.pipeline.specification import (
    Spec,
    cell_folder,
    cells_of,
    dense_path,
    derived_seed,
    trained_record,
    treated_identity,
)
from headprune.pipeline.stages.pruned import calibration, measure, prune, receipt
from headprune.pipeline.stages.trainings import Cost, arguments_of, costed, run_training, scratch_of, terms_of
from headprune.pipeline.store import Record, kept_or_computed, read_json, require_ok, require_whole, write_json
from headprune.results.provenance import digest
from headprune.scoring.reconstruction import compensate_bias, context_moments
from headprune.training.trainer import distillation_arguments, pruned_arguments

Compute = Callable[[Spec, Treatment, Cell, Record, Reporter], Record]


def treat(spec: Spec, reporter: Reporter) -> Record:
    """Gives the dense model other heads, or other biases, than a method chose."""
    return each_cell(spec, reporter, {"matched_random": matched_random, "bias_compensation": bias_compensation})


def retrain(spec: Spec, reporter: Reporter) -> Record:
    """Trains pruned models on, or their architecture from new weights."""
    return each_cell(spec, reporter, {"fine_tune": fine_tune, "from_scratch": from_scratch})


def each_cell(spec: Spec, reporter: Reporter, kinds: dict[str, Compute]) -> Record:
    """Treats every cell of a job whose method has found a mask."""
    treatment, cells = Treatment(**spec["treatment"]), cells_of(spec)
    for position, cell in enumerate(cells):
        base = find(cell_folder(spec, cell.untreated) / "pruned.json")
        identity = treated_identity(spec, treatment, cell, base)
        write_json(cell_folder(spec, cell) / "identity.json", identity)

        def compute(cell: Cell = cell, base: Record = base) -> Record:
            require_ok(base, "pruning")
            return kinds[treatment.name](spec, treatment, cell, base, reporter)

        signature = digest(identity)
        path = cell_folder(spec, cell) / "pruned.json"
        kept_or_computed(path, signature, compute, scratch=scratch_of(spec, signature))
        if treatment.name in ("matched_random", "bias_compensation"):
            reporter.update(position + 1, len(cells), None)
    return receipt(spec, cells)


def matched_random(spec: Spec, treatment: Treatment, cell: Cell, base: Record, reporter: Reporter) -> Record:
    """As many random heads of every module."""
    model = dense_model(spec)
    rng = torch.Generator().manual_seed(derived_seed(cell.seed, cell.id))
    mask = matched(mask_of(base), rng)
    return prune(spec, cell, model, Pruning(mask)) | Cost().record(trained_record(spec)["seconds"])


def matched(mask: HeadMask, rng: torch.Generator) -> HeadMask:
    """A uniformly random mask with the same number of heads in every module."""
    kept: set[int] = set()
    for module, count in mask.per_module().items():
        members = [i for i, head in enumerate(mask.space) if head.module == module]
        chosen = torch.randperm(len(members), generator=rng)[:count]
        kept |= {members[int(i)] for i in chosen}
    return mask.space.keep(kept)


def bias_compensation(spec: Spec, treatment: Treatment, cell: Cell, base: Record, reporter: Reporter) -> Record:
    """The mean output of the removed heads, over the calibration sentences, goes into the output biases."""
    model, mask = dense_model(spec), mask_of(base)
    with costed() as cost:
        outputs = compensate_bias(model, mask, context_moments(model, calibration(spec)))
    return prune(spec, cell, model, Pruning(mask, outputs)) | (cost + cost_of(base)).record(base["train_seconds"])


def fine_tune(spec: Spec, treatment: Treatment, cell: Cell, base: Record, reporter: Reporter) -> Record:
    """The pruned model trains on, its heads fixed."""
    argv = arguments_of(spec, treatment, treatment.updates)
    if treatment.distillation:
        argv += distillation_arguments(dense_path(spec), treatment.distillation, treatment.temperature)
    start = cell_folder(spec, cell.untreated) / "model.pt"
    require_whole(start.with_name("pruned.json"), base)
    return trained_on(spec, cell, base, argv, reporter, start)


def from_scratch(spec: Spec, treatment: Treatment, cell: Cell, base: Record, reporter: Reporter) -> Record:
    """The architecture of the pruned model trains like an unpruned one."""
    return trained_on(spec, cell, base, arguments_of(spec), reporter, None)


def trained_on(spec: Spec, cell: Cell, base: Record, argv: list[str], reporter: Reporter, start: Any) -> Record:
    """A training of the pruned architecture; its masked twin is grown back for the comparison."""
    mask = mask_of(base)
    signature = digest(read_json(cell_folder(spec, cell) / "identity.json"))
    trained, cost = run_training(spec, [*argv, *pruned_arguments(mask)], signature, reporter, start)
    model = trained.model.to(device())
    removal.save(model, cell_folder(spec, cell) / "model.pt")
    record = measure(spec, cell, removal.regrown(model), mask)
    record |= {"curve": trained.curve, "trainings": terms_of(trained)}
    if start is None:
        return record | Cost(memory=cost.memory).record(cost.seconds)
    return record | (cost_of(base) + cost).record(base["train_seconds"])


def dense_model(spec: Spec) -> Any:
    trained_record(spec)
    return removal.load(dense_path(spec)).to(device())


def mask_of(record: Record) -> HeadMask:
    """The mask in the record of a cell."""
    space, kept = HeadSpace.from_names(record["heads"]), set(record["mask"])
    return HeadMask(space, [int(name in kept) for name in space.names])


def cost_of(record: Record) -> Cost:
    """What finding the mask of a cell cost."""
    keys = {"seconds": "prune_seconds", "forward": "prune_forward_sentences", "backward": "prune_backward_sentences"}
    values = {name: record[key] for name, key in keys.items()}
    return Cost(memory=record["peak_memory_mib"], updates=record["prune_updates"], **values)
