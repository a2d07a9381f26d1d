"""Checks of short trainings of gate methods: they run, resume bit for bit, and leave a frozen model alone."""

from __future__ import annotations

import io
from typing import Any

import torch

from headprune.check.base import CheckFailure, check, listed, require
from headprune.check.families import FAMILIES, TRANSLATION, ModelFamily
from headprune.check.probes import copied, scrambled
from headprune.check.subject import CheckSubject, generator
from headprune.gates import set_gates
from headprune.importance import example_losses
from headprune.method import Progress
from headprune.method.guards import differences

UPDATES = 6


class CheckTraining:
    """A model and the gates of a method, trained by Adam on the batches of a family."""

    def __init__(self, subject: CheckSubject, family: ModelFamily, frozen: bool = False) -> None:
        self.model, self.batches = family.model(), family.batches()
        self.model.requires_grad_(not frozen)
        self.method = subject.gate(family.space, len(family.space) // 2)
        groups: list[dict[str, Any]] = [] if frozen else [{"params": list(self.model.parameters()), "lr": 1e-3}]
        if gates := list(self.method.parameters()):
            groups.append({"params": gates, "lr": subject.options.learning_rate})
        self.optimiser = torch.optim.Adam(groups)
        self.losses: list[float] = []

    def train(self, start: int, end: int, randomness: int = 1) -> CheckTraining:
        """Updates `start` to `end`; `randomness` seeds the global generators, which a method has no use for.

        :returns: this training, for calls in a chain
        """
        self.model.train()
        self.method.train()
        for update in range(start, end):
            progress, batch = Progress(update, UPDATES, generator(update)), self.batches[update % len(self.batches)]
            with scrambled(randomness + update):
                gates = self.method.sample(progress)
            set_gates(self.model, gates)
            with scrambled(update):  # dropout
                loss = example_losses(self.model, batch).sum() / batch["ntokens"]
            with scrambled(randomness + UPDATES + update):
                loss = loss + self.method.penalty(progress)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            self.losses.append(loss.item())
        set_gates(self.model, None)
        return self

    def state(self) -> dict[str, Any]:
        """The states of model, gates and optimiser, by name."""
        parts = {"model": self.model, "gates": self.method, "optimiser": self.optimiser}
        return {name: part.state_dict() for name, part in parts.items()}

    def restore(self, state: dict[str, Any]) -> CheckTraining:
        """This training, set to a state that `state` returned."""
        self.model.load_state_dict(state["model"])
        self.method.load_state_dict(state["gates"])
        self.optimiser.load_state_dict(state["optimiser"])
        return self


@check("a short training runs on every model family", "gate")
def trains(subject: CheckSubject) -> str | None:
    """Adam on model and gates together, or on the gates alone if the method knows no other mode; finite losses."""
    for family in FAMILIES:
        training = CheckTraining(subject, family, frozen=_frozen_only(subject)).train(0, UPDATES)
        finite = all(torch.isfinite(torch.tensor(training.losses)))
        reason = f"the loss is {listed(training.losses, UPDATES)} on the {family.name}"
        require(finite, reason, "bound gates and penalty")
        finite = all(bool(torch.isfinite(value).all()) for value in training.method.state_dict().values())
        require(finite, f"a parameter of the gates is not finite after {UPDATES} updates", "bound gates and penalty")
    return f"{UPDATES} updates"


@check("a resumed training equals an uninterrupted one", "gate")
def resumes(subject: CheckSubject) -> str | None:
    """Half the updates, through a checkpoint, then the other half: bit for bit the same."""
    frozen = _frozen_only(subject)
    whole = CheckTraining(subject, TRANSLATION, frozen).train(0, UPDATES)
    first = CheckTraining(subject, TRANSLATION, frozen).train(0, UPDATES // 2)
    file = io.BytesIO()
    torch.save(first.state(), file)
    file.seek(0)
    try:
        state = torch.load(file, weights_only=True)
    except Exception as error:
        remedy = "keep the state in parameters and buffers"
        raise CheckFailure("the state of the method does not load with weights_only=True", remedy) from error
    second = CheckTraining(subject, TRANSLATION, frozen).restore(state)
    remedy = "keep all state in parameters and buffers (`register_buffer`); the rest is derived from `progress`"
    draws = [half.method.sample(Progress(UPDATES // 2, UPDATES, generator(3))) for half in (first, second)]
    require(torch.equal(*draws), "after saving and loading, the same generator draws other gates", remedy)
    kept = [half.method.keep(half.method.budget) for half in (first, second)]
    require(kept[0] == kept[1], "after saving and loading, `keep` gives another mask", remedy)
    second = CheckTraining(subject, TRANSLATION, frozen).restore(state).train(UPDATES // 2, UPDATES, randomness=99)
    changed = differences(whole.state(), second.state())
    reason = f"stopped at update {UPDATES // 2} and resumed, it ends with other values of {listed(changed)}"
    require(not changed, reason, remedy + ", never from the global generators")
    kept = [run.method.keep(run.method.budget) for run in (whole, second)]
    require(kept[0] == kept[1], "stopped and resumed, `keep` gives another mask", remedy)
    return f"{UPDATES // 2} + {UPDATES // 2} updates"


@check("a frozen model stays as it is", "gate")
def frozen_model(subject: CheckSubject) -> str | None:
    """The gates alone train in pipelined mode; the weights of the model stay byte-identical."""
    if "pipelined" not in subject.entry.method.modes:  # type: ignore[attr-defined]
        return "not trained on a frozen model"
    training = CheckTraining(subject, TRANSLATION, frozen=True) if _has_parameters(subject) else None
    if training is None:
        raise CheckFailure("declares the mode `pipelined` but has no parameters to train", "leave it out of `modes`")
    weights, gates = copied(training.model.state_dict()), copied(training.method.state_dict())
    training.train(0, UPDATES)
    changed = differences(weights, training.model.state_dict())
    require(not changed, f"changes {listed(changed)}", "a gate method never writes into the model")
    moved = differences(gates, training.method.state_dict())
    require(moved, "no parameter of the gates moves", "make the gates depend on them")
    return None


def _has_parameters(subject: CheckSubject) -> bool:
    return any(True for _ in subject.gate(TRANSLATION.space, 1).parameters())


def _frozen_only(subject: CheckSubject) -> bool:
    return set(subject.entry.method.modes) == {"pipelined"}  # type: ignore[attr-defined]
