"""Checks of the masks: types, counts, ties, scopes, weight updates."""

from __future__ import annotations

import torch
from torch import Tensor

from headprune.check.base import CheckFailure, Unreachable, check, last_line, listed, require
from headprune.check.families import FAMILIES, TRANSLATION
from headprune.check.subject import EVERYTHING, CheckSubject, Run, Setting
from headprune.heads import Scope, attention_points
from headprune.method import Ranking

DECODER = FAMILIES[1]
SCOPES = (
    Setting(scope=Scope(types=("cross",))),
    Setting(scope=Scope(types=("decoder",))),
    Setting(scope=Scope(min_per_module=1)),
    Setting(family=DECODER, scope=Scope(types=("decoder",), min_per_module=1)),
)


@check("scores are one finite number per head", "score")
def scores(subject: CheckSubject) -> str | None:
    """A tensor (N,), without NaN and infinities; a ranking of all heads where `rank` is overridden."""
    run = subject.run(Setting())
    if run.scores is None and run.ranking is None:
        if run.error is not None:
            raise Unreachable("masks() raises before there are any")
        return "the method makes its masks itself"
    if (fault := _faulty_scores(run)) is not None:
        raise fault
    return None


def _faulty_scores(run: Run) -> CheckFailure | None:
    """The faults of the return values of `scores` and `rank`."""
    total, found = len(run.space), run.scores
    remedy = f"return one number per head, a tensor ({total},) here, in the order of `HeadSpace.of(model)`"
    if found is not None and not isinstance(found, Tensor):
        return CheckFailure(f"scores() returns a {type(found).__name__}, not a tensor", remedy)
    if isinstance(found, Tensor):
        if found.shape != (total,):
            return CheckFailure(f"scores() has shape {tuple(found.shape)}, the model {total} heads", remedy)
        if not torch.isfinite(found).all():
            heads = [name for name, good in zip(run.space.names, torch.isfinite(found), strict=True) if not good]
            values = "NaN" if torch.isnan(found).any() else "infinite"
            return CheckFailure(
                f"scores() is {values} for {len(heads)} heads: {listed(heads)}",
                "look for a division by zero, the logarithm of zero, or a mean over nothing",
            )
    if run.ranking is not None and not isinstance(run.ranking, Ranking):
        kind = type(run.ranking).__name__
        return CheckFailure(
            f"rank() returns a {kind}, not a Ranking", "return `Ranking(HeadSpace.of(model), removal_order)`"
        )
    return None


@check("runs on encoder-decoder, decoder-only, classifier and all-attention")
def families(subject: CheckSubject) -> str | None:
    """The method asks the model for its heads, and takes encoder, cross and decoder attention as they come."""
    for family in FAMILIES:
        run = subject.run(Setting(family=family))
        if run.error is not None and _faulty_scores(run) is not None:
            raise Unreachable("the scores are no scores")
        if run.error is not None:
            remedy = "ask `HeadSpace.of(model)`, `attention_points`, `batch['net_input']` and `batch['target']` only"
            raise CheckFailure(
                f"raises {last_line(run.error)} on the {family.name} ({len(run.space)} heads)", remedy
            ) from (run.error)
        _ = run.prunings
    return ", ".join(f"{family.name} N = {len(family.space)}" for family in FAMILIES)


@check("every budget is met exactly")
def budgets(subject: CheckSubject) -> str | None:
    """K = 0, 1, half, N − 1 and N heads are kept, as many as asked for."""
    for family in FAMILIES:
        _count(subject.run(Setting(family=family)))
    run = subject.run(Setting())
    if run.exact:
        return "K = " + ", ".join(map(str, run.budgets))
    return "not exact, as declared; untrained it keeps " + _counts(run)


@check("equal heads do not change the count")
def ties(subject: CheckSubject) -> str | None:
    """K heads are kept also of a model whose heads are clones, and with gate parameters that are all equal."""
    for family in FAMILIES:
        run = _reached(subject, Setting(family=family, clones=True), "break ties by position")
        _count(run)
    return None


@check("masks honour a scope")
def scopes(subject: CheckSubject) -> str | None:
    """Types that are not in scope, and the last heads of a module that it protects, stay."""
    for setting in SCOPES:
        remedy = "`self.scope` tells which heads may go: see Scope.order, Scope.smallest and Scope.allows"
        run = _reached(subject, setting, remedy)
        for budget, pruning in run.prunings.items():
            removed = set(range(len(run.space))) - {i for i, kept in enumerate(pruning.mask.keep) if kept}
            allowed = set(setting.scope.order(run.space, sorted(removed)))
            names = [run.space.names[head] for head in sorted(removed - allowed)]
            remedy = (
                "cut the order of removal with `self.scope.order`, or return a Ranking and leave it to the framework"
            )
            require(not names, f"removes {listed(names)} at budget {budget}; protected by {setting.name}", remedy)
        _count(run)
    return None


@check("weight updates fit the output projections")
def weight_updates(subject: CheckSubject) -> str | None:
    """The outputs of a `Pruning` name modules of the model and have the shapes of their projections."""
    changed: set[str] = set()
    for family in FAMILIES:
        run = subject.run(Setting(family=family))
        modules = {point.name: point.module.out_proj for point in attention_points(family.model())}
        for budget, pruning in run.prunings.items():
            for name, new in pruning.outputs.items():
                remedy = f"name modules as in `point.name`: {listed(modules)}"
                require(name in modules, f"updates {name!r}, which the {family.name} does not have", remedy)
                old, where = modules[name], f"the update of {name} at budget {budget} on the {family.name}"
                for what in ("weight", "bias"):
                    value, shape = getattr(new, what), tuple(getattr(old, what).shape)
                    if what == "bias" and value is None:
                        continue
                    good = isinstance(value, Tensor) and tuple(value.shape) == shape
                    found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
                    require(good, f"{where}: {what} is {found}, not {shape}", "columns of removed heads stay in place")
                    require(torch.isfinite(value).all(), f"{where}: {what} is not finite", "damp what is inverted")
            changed |= set(pruning.outputs)
    return f"updates {len(changed)} modules" if changed else "none"


def _reached(subject: CheckSubject, setting: Setting, remedy: str) -> Run:
    """The run in this setting.

    :raises Failure: the method raises here, and not on the plain model.
    """
    run = subject.run(setting)
    if run.error is not None and subject.run(Setting(family=setting.family)).error is None:
        raise CheckFailure(f"raises {last_line(run.error)} ({setting.name})", remedy)
    _ = run.prunings
    return run


def _count(run: Run) -> None:
    """Require of an exact method that every mask keeps as many heads as its budget.

    :raises Failure: an exact method misses a budget.
    """
    if not run.exact:
        _ = run.prunings
        return
    for budget, pruning in run.prunings.items():
        if pruning.mask.count != budget:
            reason = f"keeps {_counts(run)} ({run.setting.name})"
            remedy = "keep exactly K heads; break ties by position, as `Ranking.by_score` and `top_k` do"
            if run.setting.scope == EVERYTHING and run.setting.family is not TRANSLATION:
                remedy += "; count heads with `len(HeadSpace.of(model))`"
            raise CheckFailure(reason, remedy)


def _counts(run: Run) -> str:
    return ", ".join(f"{pruning.mask.count} heads at K = {budget}" for budget, pruning in run.prunings.items())
