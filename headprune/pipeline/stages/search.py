"""The job that finds masks by trainings that serve all budgets: one, or a search over a coefficient."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from headprune import removal
from headprune.evaluation import likelihood
from headprune.gates import clear_mask
from headprune.heads import HeadSpace
from headprune.method import GateMethod
from headprune.method.search import TOLERANCE, search_within
from headprune.method.search import search as search_coefficient
from headprune.models.devices import device
from headprune.models.gate_training import set_hard_gates
from headprune.pipeline.cells import Cell
from headprune.pipeline.context import Arm, ModelContext
from headprune.pipeline.identity import cell_identity, derived_seed, sign, training_identity
from headprune.pipeline.progress import Reporter
from headprune.pipeline.records import Record, checksums, find
from headprune.pipeline.stages.gate_trainings import costs, dense_seconds, gate_run, mask_of, train_gates
from headprune.pipeline.stages.measuring import prune, receipt
from headprune.pipeline.stages.trainings import terms_of
from headprune.pipeline.store import UpstreamError, is_kept, kept_or_computed, unsettled
from headprune.results.provenance import digest
from headprune.system.stopping import contained
from headprune.training.costs import Cost


@dataclass(frozen=True)
class Trial:
    """One training that serves all budgets: kept, and shared by all entries that differ in nothing it depends on."""

    record: Record
    coefficient: float | None

    @property
    def usable(self) -> bool:
        return bool(self.record["status"] == "ok")

    @property
    def signature(self) -> str:
        return str(self.record["signature"])

    @property
    def cost(self) -> Cost:
        """The cost of the training; nothing is known of a training that failed."""
        return Cost(**self.record.get("cost", {}))

    @property
    def count(self) -> int | None:
        """Heads that its own mask keeps; None if the training failed."""
        return int(self.record["heads_kept"]) if self.usable else None


Trials = dict[float | None, Trial]  # by coefficient


@dataclass(frozen=True)
class Choice:
    """The training that a budget takes its mask from, all that it took to find it, or the error in their place."""

    trial: Trial | None = None
    looked_at: tuple[Trial, ...] = ()
    error: Exception | None = None


def run(context: ModelContext, reporter: Reporter) -> Record:
    """Finds a training for every budget, the largest first, and prunes and validates by it."""
    (arm,), cells = context.arms, sorted(context.cells, key=lambda cell: -cell.budget)
    paths = {cell: context.folder(cell).pruned for cell in cells}
    signatures = {cell: sign(context, cell, cell_identity(context, arm, cell)) for cell in cells}
    if all(is_kept(paths[cell], signatures[cell]) and trainings_kept(context, cell) for cell in cells):
        return receipt(context, cells)
    unsettled({paths[cell]: signatures[cell] for cell in cells})
    trials: Trials = {}
    for position, cell in enumerate(cells):
        choice = choose(context, arm, cell, trials, reporter)  # for cells that are done, too: others need its trials
        kept_or_computed(paths[cell], signatures[cell], partial(pruned, context, arm, cell, choice))
        reporter.update(position + 1, len(cells), None)
    return receipt(context, cells)


def trainings_kept(context: ModelContext, cell: Cell) -> bool:
    """True if the trainings that a cell looked at are all there: others may need them, at other budgets."""
    for signature in find(context.folder(cell).pruned).get("trials", []):
        path = context.run.trial(cell.model, cell.method, cell.seed, signature)
        if find(path)["status"] in ("ok", "missing") and not is_kept(path, signature):
            return False
    return True


def choose(context: ModelContext, arm: Arm, cell: Cell, trials: Trials, reporter: Reporter) -> Choice:
    """The training whose mask is nearest to the budget of a cell, and all that were needed to find it.

    :param trials: those there are already; new ones are added
    """
    try:
        with contained():
            if not arm.entry.method.coefficient:  # type: ignore[attr-defined]
                return only_trial(context, arm, trials, reporter)
            if (most := arm.settings.most_trainings(context.settings.training.updates)) is not None:
                return capped_trial(context, arm, cell, most, trials, reporter)
            return nearest_trial(context, arm, cell, trials, reporter)
    except Exception as error:
        traceback.print_exc()
        return Choice(error=error)


def only_trial(context: ModelContext, arm: Arm, trials: Trials, reporter: Reporter) -> Choice:
    """The one training of a method that has no coefficient.

    :raises UpstreamError: it failed.
    """
    if not trials:
        trials[None] = trial(context, arm, None, reporter)
    require_usable(trials.values())
    return Choice(trials[None], (trials[None],))


def nearest_trial(context: ModelContext, arm: Arm, cell: Cell, trials: Trials, reporter: Reporter) -> Choice:
    """The training that a search over the coefficient ends with.

    :raises UpstreamError: all trainings failed.
    """

    def train_with(coefficient: float) -> int | None:
        trials[coefficient] = trial(context, arm, coefficient, reporter)
        return trials[coefficient].count

    before, settings = set(trials), arm.settings
    known = {c: found.count for c, found in trials.items() if c is not None and found.count is not None}
    failed = [c for c, found in trials.items() if c is not None and not found.usable]
    looked_at = search_coefficient(train_with, cell.budget, known, settings.trials, failed, settings.sweep)
    require_usable(trials.values())
    needed = (c for c in trials if c not in before or c in settings.sweep or c == looked_at[0])
    return Choice(trials[looked_at[0]], tuple(trials[c] for c in needed))


def capped_trial(context: ModelContext, arm: Arm, cell: Cell, most: int, trials: Trials, reporter: Reporter) -> Choice:
    """The training that a search of at most so many ends with; those of other budgets are not repeated, but counted.

    :raises UpstreamError: all trainings that it may look at failed.
    """
    own: Trials = {}

    def train_with(coefficient: float) -> int | None:
        own[coefficient] = trials[coefficient] = trials.get(coefficient) or trial(context, arm, coefficient, reporter)
        return own[coefficient].count

    looked_at = search_within(train_with, cell.budget, most, arm.settings.trials, arm.settings.sweep)
    require_usable(own.values())
    return Choice(own[looked_at[0]], tuple(own.values()))


def require_usable(trials: Iterable[Trial]) -> None:
    """:raises UpstreamError: all of these trainings failed."""
    found = list(trials)
    if not any(trial.usable for trial in found):
        statuses, first = {trial.record["status"] for trial in found}, found[0].record
        status = statuses.pop() if len(statuses) == 1 else "failed"
        which = "training of the gates" if len(found) == 1 else f"all {len(found)} trainings of the gates"
        raise UpstreamError(f"{which} {status}: {first['reason']}", status)


def trial(context: ModelContext, arm: Arm, coefficient: float | None, reporter: Reporter) -> Trial:
    """Trains with one value of the coefficient, or finds that training done. It may have failed."""
    options = arm.entry.training_options(arm.settings.options)
    if coefficient is not None:
        options[arm.entry.method.coefficient] = coefficient  # type: ignore[attr-defined]
    signature = digest(training_identity(context, arm, options))
    path = context.run.trial(context.model, arm.name, context.seed, signature)
    about = {"method": arm.name, "label": arm.label, "seed": context.seed, "coefficient": coefficient}
    compute = partial(trained, context, arm, options, signature, reporter)
    return Trial(kept_or_computed(path, signature, compute, about, context.scratch(signature)), coefficient)


def trained(context: ModelContext, arm: Arm, options: Mapping[str, Any], signature: str, reporter: Reporter) -> Record:
    """The record of one training: its model saved, its own mask, its gates, its validation perplexity."""
    seed = derived_seed(context.seed, arm.name, arm.settings.mode) % 2**31
    total = len(arm.scope.subspace(context.space))
    run = gate_run(context, arm, total + arm.protected(context.space), options, seed)
    found = train_gates(context, arm, run, signature, reporter)
    model, gates = found.model.to(device()), found.gates
    assert gates is not None
    path = context.run.trial(context.model, arm.name, context.seed, signature)
    removal.save(model, path.with_suffix(".pt"))
    mask = arm.scope.embed(gates.keep(total), HeadSpace.of(model))
    return {
        "heads_kept": mask.count,
        "mask": list(mask.names()),
        "perplexity": gated_perplexity(context, arm, model, gates),
        "gates": {name: value.tolist() for name, value in gates.state_dict().items()},
        "options": options,
        "cost": vars(found.spent),
        "curve": found.curve,
        "trainings": terms_of(found),
        "files": checksums(path, [path.with_suffix(".pt")]),
    }


def gated_perplexity(context: ModelContext, arm: Arm, model: Any, gates: GateMethod) -> float:
    """Validation perplexity of a model under the gates' own mask; the model is left without one.

    :raises ValueError: it is NaN.
    """
    validated = context.work.validation(context.corpus, context.settings.architecture, context.evaluation)
    set_hard_gates(model, gates, arm.scope)
    try:
        return likelihood.perplexity(model, validated)
    finally:
        clear_mask(model)


def pruned(context: ModelContext, arm: Arm, cell: Cell, choice: Choice) -> Record:
    """The record of one budget.

    :raises Exception: that which ended the search
    """
    if choice.trial is None:
        raise choice.error or RuntimeError("no training")
    model, gates = restored(context, arm, choice.trial)
    pruning = mask_of(context, arm, gates, model, cell)
    found: Record = {
        "coefficient": choice.trial.coefficient,
        "trials": [trial.signature for trial in choice.looked_at],
        "trainings": [terms for trial in choice.looked_at for terms in trial.record.get("trainings", [])],
    }
    if abs(pruning.mask.count - cell.budget) > TOLERANCE:
        found["reason"] = f"{len(choice.looked_at)} trainings came no nearer to K = {cell.budget}"
    cost, before = sum((trial.cost for trial in choice.looked_at), Cost()), dense_seconds(context, arm)
    return prune(context, cell, model, pruning) | costs(arm, cost, before) | found


def restored(context: ModelContext, arm: Arm, chosen: Trial) -> tuple[Any, GateMethod]:
    """The trained model of a trial and its gates, with the options of this entry."""
    path = context.run.trial(context.model, arm.name, context.seed, chosen.signature)
    model = removal.load(path.with_suffix(".pt")).to(device())
    space = arm.scope.subspace(HeadSpace.of(model))
    options = arm.entry.options(arm.settings.options)
    gates: GateMethod = arm.entry.method(space, len(space), options, None, arm.scope)
    state = gates.state_dict()
    saved = {name: torch.tensor(v, dtype=state[name].dtype) for name, v in chosen.record["gates"].items()}
    gates.load_state_dict(saved)
    return model, gates
