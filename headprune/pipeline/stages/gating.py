"""Masks of gate methods: one training per budget, or trainings that serve all budgets."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from headprune import removal
from headprune.config import Method
from headprune.evaluation import likelihood
from headprune.gates import clear_mask
from headprune.heads import HeadSpace
from headprune.method import Entry, GateMethod, Pruning
from headprune.method.guards import ConductError, undisturbed, unread
from headprune.method.registry import BUILT_IN
from headprune.method.search import TOLERANCE
from headprune.method.search import search as search_coefficient
from headprune.models.devices import device
from headprune.models.gate_training import set_hard_gates
from headprune.pipeline.cells import Cell, trial_path
from headprune.pipeline.progress import Reporter
from headprune.pipeline.records import checksums, find
from headprune.pipeline.specification import (
    Spec,
    cell_folder,
    cells_of,
    corpus_of,
    dense_path,
    derived_seed,
    entry_of,
    evaluation_of,
    folder_of,
    methods_of,
    model_of,
    signature_of,
    track_of,
    trained_record,
    training_identity,
)
from headprune.pipeline.stages.pruned import calibration, prune, receipt
from headprune.pipeline.stages.trainings import Cost, arguments_of, run_training, scratch_of, terms_of
from headprune.pipeline.store import Record, UpstreamError, is_kept, kept_or_computed
from headprune.results.provenance import digest
from headprune.settings import Subject
from headprune.system.stopping import contained
from headprune.training.digests import model_digest
from headprune.training.trainer import GateRun, Trained, gate_arguments


def gates(spec: Spec, reporter: Reporter) -> Record:
    """Trains a gate method for one budget; prunes and validates."""
    (method,), (cell,) = methods_of(spec), cells_of(spec)
    entry = entry_of(spec, method)
    signature = signature_of(spec, entry, method, cell)

    def compute() -> Record:
        before = dense_seconds(spec, method)
        seed = derived_seed(cell.seed, entry.name, cell.full_arm, str(cell.budget)) % 2**31
        run = gate_run(spec, entry, method, cell.budget, method.options, seed)
        trained, cost = train_gates(spec, method, run, signature, reporter)
        assert trained.gates is not None
        model = trained.model.to(device())
        pruning = masks_of(spec, method, trained.gates, model, [cell])[cell.budget]
        found = {"curve": trained.curve, "trainings": terms_of(trained)}
        return prune(spec, cell, model, pruning) | records(method, cost, before) | found

    path = cell_folder(spec, cell) / "pruned.json"
    kept_or_computed(path, signature, compute, scratch=scratch_of(spec, signature))
    return receipt(spec, [cell])


@dataclass(frozen=True)
class Trial:
    """One training that serves all budgets: kept, and shared by all entries that differ in nothing it depends on."""

    record: Record
    coefficient: float | None

    @property
    def usable(self) -> bool:
        return bool(self.record["status"] == "ok")

    @property
    def cost(self) -> Cost:
        """Nothing is known of that of a training that failed."""
        return Cost(**self.record.get("cost", {}))

    @property
    def count(self) -> int | None:
        """Heads that its own mask keeps; None if the training failed."""
        return int(self.record["heads_kept"]) if self.usable else None


def search(spec: Spec, reporter: Reporter) -> Record:
    """Trainings that serve all budgets of a gate method: one, or a search over its coefficient."""
    (method,), cells = methods_of(spec), sorted(cells_of(spec), key=lambda cell: -cell.budget)
    entry = entry_of(spec, method)
    paths = {cell: cell_folder(spec, cell) / "pruned.json" for cell in cells}
    signatures = {cell: signature_of(spec, entry, method, cell) for cell in cells}
    if all(is_kept(paths[cell], signatures[cell]) and trainings_kept(spec, cell) for cell in cells):
        return receipt(spec, cells)
    trials: dict[float | None, Trial] = {}
    for position, cell in enumerate(cells):
        error: Exception | None = None
        chosen, looked_at = None, list[Trial]()
        try:  # for cells that are done, too: their trainings are found, and serve the budgets to come
            with contained():
                chosen, looked_at = find_trial(spec, entry, method, cell, trials, reporter)
        except Exception as caught:
            traceback.print_exc()
            error = caught

        def compute(
            cell: Cell = cell,
            chosen: Trial | None = chosen,
            looked_at: list[Trial] = looked_at,
            error: Exception | None = error,
        ) -> Record:
            if chosen is None:
                raise error or RuntimeError("no training")
            model, gate_method = restored(spec, entry, method, chosen)
            pruning = masks_of(spec, method, gate_method, model, [cell])[cell.budget]
            cost = sum((trial.cost for trial in looked_at), Cost())
            found: Record = {"coefficient": chosen.coefficient, "trials": [t.record["signature"] for t in looked_at]}
            found["trainings"] = [terms for trial in looked_at for terms in trial.record.get("trainings", [])]
            if abs(pruning.mask.count - cell.budget) > TOLERANCE:
                found["reason"] = f"{len(looked_at)} trainings came no nearer to K = {cell.budget}"
            before = dense_seconds(spec, method)
            return prune(spec, cell, model, pruning) | records(method, cost, before) | found

        kept_or_computed(paths[cell], signatures[cell], compute)
        reporter.update(position + 1, len(cells), None)
    return receipt(spec, cells)


def trainings_kept(spec: Spec, cell: Cell) -> bool:
    """Whether the trainings that a cell looked at are all there: others may need them, at other budgets."""
    for signature in find(cell_folder(spec, cell) / "pruned.json").get("trials", []):
        path = trial_path(folder_of(spec), cell.model, cell.method, cell.seed, signature)
        if find(path)["status"] in ("ok", "missing") and not is_kept(path, signature):
            return False
    return True


def find_trial(
    spec: Spec, entry: Entry, method: Method, cell: Cell, trials: dict[float | None, Trial], reporter: Reporter
) -> tuple[Trial, list[Trial]]:
    """The training whose mask is nearest to the budget of a cell, and all that were needed to find it.

    :param trials: those there are already, by coefficient; new ones are added
    """

    def train_with(coefficient: float | None) -> int | None:
        trials[coefficient] = trial(spec, entry, method, coefficient, reporter)
        return trials[coefficient].count

    before = set(trials)
    if not entry.method.coefficient:  # type: ignore[attr-defined]
        if not trials:
            train_with(None)
        require_usable(trials.values())
        return trials[None], [trials[None]]
    known = {c: found.count for c, found in trials.items() if c is not None and found.count is not None}
    failed = [c for c, found in trials.items() if c is not None and not found.usable]
    looked_at = search_coefficient(train_with, cell.budget, known, method.trials, failed, method.sweep)
    require_usable(trials.values())
    needed = [c for c in trials if c not in before or c in method.sweep or c == looked_at[0]]
    return trials[looked_at[0]], [trials[c] for c in needed]


def require_usable(trials: Iterable[Trial]) -> None:
    """:raises UpstreamError: all of these trainings failed."""
    found = list(trials)
    if not any(trial.usable for trial in found):
        statuses, first = {trial.record["status"] for trial in found}, found[0].record
        status = statuses.pop() if len(statuses) == 1 else "failed"
        which = "training of the gates" if len(found) == 1 else f"all {len(found)} trainings of the gates"
        raise UpstreamError(f"{which} {status}: {first['reason']}", status)


def trial(spec: Spec, entry: Entry, method: Method, coefficient: float | None, reporter: Reporter) -> Trial:
    """Trains with one value of the coefficient, or finds that training done. It may have failed."""
    options = entry.training_options(method.options)
    if coefficient is not None:
        options[entry.method.coefficient] = coefficient  # type: ignore[attr-defined]
    signature = digest(training_identity(spec, entry, method, options))
    path = trial_path(folder_of(spec), spec["model"], entry.name, spec["seed"], signature)

    def compute() -> Record:
        seed = derived_seed(spec["seed"], entry.name, method.mode) % 2**31
        total = len(method.scope.subspace(space_of(spec)))
        run = gate_run(spec, entry, method, total + protected(spec, method), options, seed)
        trained, cost = train_gates(spec, method, run, signature, reporter)
        model, gate_method = trained.model.to(device()), trained.gates
        assert gate_method is not None
        removal.save(model, path.with_suffix(".pt"))
        mask = method.scope.embed(gate_method.keep(total), HeadSpace.of(model))
        set_hard_gates(model, gate_method, method.scope)
        architecture, settings = model_of(spec).architecture, evaluation_of(spec)
        validated = track_of(spec).validation(corpus_of(spec), architecture, settings)
        perplexity = likelihood.perplexity(model, validated)
        clear_mask(model)
        state = {name: value.tolist() for name, value in gate_method.state_dict().items()}
        return {
            "heads_kept": mask.count,
            "mask": list(mask.names()),
            "perplexity": perplexity,
            "gates": state,
            "options": options,
            "cost": vars(cost),
            "curve": trained.curve,
            "trainings": terms_of(trained),
            "files": checksums(path, [path.with_suffix(".pt")]),
        }

    about = {"method": entry.name, "label": method.label, "seed": spec["seed"], "coefficient": coefficient}
    return Trial(kept_or_computed(path, signature, compute, about, scratch_of(spec, signature)), coefficient)


def restored(spec: Spec, entry: Entry, method: Method, chosen: Trial) -> tuple[Any, GateMethod]:
    """The trained model of a trial and its gates, with the options of this entry."""
    path = trial_path(folder_of(spec), spec["model"], entry.name, spec["seed"], chosen.record["signature"])
    model = removal.load(path.with_suffix(".pt")).to(device())
    space = method.scope.subspace(HeadSpace.of(model))
    gate_method: GateMethod = entry.method(space, len(space), entry.options(method.options), None, method.scope)
    state = gate_method.state_dict()
    saved = {name: torch.tensor(v, dtype=state[name].dtype) for name, v in chosen.record["gates"].items()}
    gate_method.load_state_dict(saved)
    return model, gate_method


def masks_of(
    spec: Spec, method: Method, gate_method: GateMethod, model: Any, cells: list[Cell]
) -> Mapping[int, Pruning]:
    """Masks over all heads, by budget.

    :raises ValueError: a method that hits its budget by construction misses it.
    :raises ConductError: the method changed the model or the state of the process, or opened files of the run.
    """
    batches, whole = calibration(spec), HeadSpace.of(model)
    inside = {cell.budget - protected(spec, method): cell for cell in cells}
    rng = torch.Generator().manual_seed(derived_seed(spec["seed"], method.label, "masks"))
    found = {}
    with undisturbed(method.name, model), unread(method.name, folder_of(spec)):
        masks = gate_method.masks(model, batches, list(inside), rng)
    for budget, mask in masks.items():
        pruning, cell = Pruning.of(mask), inside[budget]
        if gate_method.exact and pruning.mask.count != budget:
            raise ValueError(f"{method.name} keeps {pruning.mask.count} of the gated heads, the budget is {budget}")
        found[cell.budget] = Pruning(method.scope.embed(pruning.mask, whole), pruning.outputs)
    return found


def space_of(spec: Spec) -> HeadSpace:
    return model_of(spec).architecture.head_space


def protected(spec: Spec, method: Method) -> int:
    """Heads of types that the method may not remove: they count in the budget and have no gates."""
    space = space_of(spec)
    return len(space) - len(method.scope.candidates(space))


def gate_run(spec: Spec, entry: Entry, method: Method, budget: int, options: Mapping[str, Any], seed: int) -> GateRun:
    """What the trainer must know.

    :param budget: over all heads of the model
    """
    settings, chosen = model_of(spec), entry.options(options)
    updates = updates_of(settings, method)
    space = method.scope.subspace(settings.architecture.head_space)
    inside = budget - protected(spec, method)
    gate_method = entry.method(space, inside, chosen, None, method.scope)
    return GateRun(
        method=entry.name,
        options=options,
        budget=inside,
        seed=seed,
        learning_rate=getattr(chosen, "learning_rate", 0.0),
        cooldown=gate_method.cooldown(updates),
        pipelined=method.mode == "pipelined",
        scope=method.scope,
        directories=(str(BUILT_IN), *spec["directories"]),
    )


def updates_of(settings: Subject, method: Method) -> int:
    return settings.training.updates if method.mode == "joint" else method.updates or settings.training.updates


def train_gates(spec: Spec, method: Method, run: GateRun, signature: str, reporter: Reporter) -> tuple[Trained, Cost]:
    """One training of a gate method, with the data order and initial weights of the dense model of its seed.

    :raises ConductError: the method changed weights that are frozen while it trains.
    """
    updates = updates_of(model_of(spec), method)
    argv = arguments_of(spec, method, None if method.mode == "joint" else updates, update_freq=method.update_freq)
    start = None if method.mode == "joint" else dense_path(spec)
    trained, cost = run_training(spec, [*argv, *gate_arguments(run, updates)], signature, reporter, start)
    if run.pipelined and model_digest(trained.model) != trained.terms.initial_weights:
        raise ConductError(f"{run.method} changes the weights of the model, which are frozen in pipelined mode")
    return trained, cost


def dense_seconds(spec: Spec, method: Method) -> float:
    """Of the training of the model that a method starts from."""
    return 0.0 if method.mode == "joint" else float(trained_record(spec)["seconds"])


def records(method: Method, cost: Cost, before: float) -> Record:
    """Costs of a cell: a joint training is that of the model, what comes after one is that of the mask."""
    record = cost.record(train_seconds=before)
    if method.mode == "joint":
        record |= {"train_seconds": cost.seconds, "prune_seconds": 0.0}
    return record
