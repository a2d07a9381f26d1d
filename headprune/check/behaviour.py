"""Checks of what a method does besides: random numbers, traces it leaves, files, cost."""

from __future__ import annotations

from dataclasses import replace

from headprune.check.base import CheckFailure, Unreachable, check, last_line, listed, require
from headprune.check.families import FAMILIES
from headprune.check.probes import pass_over
from headprune.check.subject import CheckSubject, Run, Setting
from headprune.method.guards import differences


@check("one seed gives one result")
def determinism(subject: CheckSubject) -> str | None:
    """Two calls with equal `rng` agree in masks and weight updates, whatever the global generators hold."""
    for family in FAMILIES[:2]:
        setting = Setting(family=family)
        first, second = subject.run(setting), subject.run(replace(setting, randomness=2))
        if second.error is not None and first.error is None:
            raise CheckFailure(f"the second of two equal calls raises {last_line(second.error)}", REMEDY)
        changed = [f"K = {k}" for k in first.prunings if _differ(first, second, k)]
        require(not changed, f"two calls with the same seed differ at {listed(changed)} ({setting.name})", REMEDY)
    return None


REMEDY = (
    "draw every random number from `rng` (gate methods: the generators of `build` and of `progress`), never from the "
    "global generators of torch, numpy or random; keep nothing between calls"
)


def _differ(first: Run, second: Run, budget: int) -> bool:
    one, two = first.prunings[budget], second.prunings[budget]
    if one.mask != two.mask or set(one.outputs) != set(two.outputs):
        return True
    return any(differences(vars(one.outputs[name]), vars(two.outputs[name])) for name in one.outputs)


@check("the model is left as it was")
def unchanged(subject: CheckSubject) -> str | None:
    """Weights, buffers, modes, requires_grad, gradients, hooks, gates and batches, byte for byte."""
    for family in FAMILIES:
        run = subject.run(Setting(family=family))
        if run.changes:
            remedies = {"weight": "work on copies; a change of weights is declared by returning a `Pruning`"}
            remedies |= {"gates": "open them again: `clear_mask(model)` in a `finally`"}
            remedies |= {"path": remedies["gates"], "gradient": "use `torch.autograd.grad`, or `requires_grad_(False)`"}
            remedies |= {"hooks": "remove every hook in a `finally`", "batches:": "do not write into batches"}
            remedy = remedies.get(run.changes[0].split()[0], "put it back before you return")
            raise CheckFailure(f"changes {listed(run.changes)} of the {family.name}", remedy)
        if run.error is not None:
            raise Unreachable(f"masks() raises {last_line(run.error)} ({family.name})")
    return None


@check("the process is left as it was")
def undisturbed(subject: CheckSubject) -> str | None:
    """Global random numbers, gradient mode, default dtype, number of threads, working directory."""
    for family in FAMILIES:
        run = subject.run(Setting(family=family))
        if run.disturbed:
            reason = f"changes {listed(run.disturbed, 8)} on the {family.name}"
            draws = any("random" in name for name in run.disturbed)
            remedy = REMEDY if draws else "put it back in a `finally`, or use the context manager of torch"
            raise CheckFailure(reason, remedy)
    return None


@check("scoring costs no more than allowed")
def cost(subject: CheckSubject) -> str | None:
    """The work of attention modules is counted, not timed; a backward pass counts as two forward passes."""
    run, family = subject.run(Setting()), Setting().family
    passes = run.passes.work / pass_over(family.model(), family.batches())
    unit = "times one forward and backward pass over the batches"
    reason = f"costs {passes:.1f} {unit} on {len(run.space)} heads; allowed are {subject.factor:g}"
    remedy = "share passes between heads and budgets, look at fewer examples, or raise `--factor`"
    require(passes <= subject.factor, reason, remedy)
    if run.error is not None:
        raise Unreachable(f"masks() raises {last_line(run.error)}")
    return f"{passes:.1f} {unit}; allowed are {subject.factor:g}"


@check("no file is opened")
def files(subject: CheckSubject) -> str | None:
    """A method sees the batches it is given and nothing else, least of all the test set."""
    opened = list(dict.fromkeys(subject.seen.opened))
    require(
        not opened,
        f"asks for test data or files: opens {listed(opened)}",
        "a method sees only the batches it is given; what it needs besides is an option",
    )
    return None


@check("the frames of the callers are left alone")
def frames(subject: CheckSubject) -> str | None:
    """The callers of a method hold the specification and data of a cell; whoever looks for them may find the test set.

    Around the checks lie a specification and a corpus of no use, see `headprune.check.bait`: whoever reads them is told
    of, however it came there.
    """
    looked = list(dict.fromkeys(subject.seen.frames))
    require(
        not looked,
        f"looks into the frames of its callers, where the test set is near: {listed(looked)}",
        "a method sees only what it is given: the model, the batches, its options and its random numbers",
    )
    return None
