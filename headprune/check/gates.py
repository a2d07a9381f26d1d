"""Checks of gates: values and gradients of samples, penalty, the hard mask, the time they need to settle."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from headprune.check.base import check, require
from headprune.check.behaviour import REMEDY
from headprune.check.families import TRANSLATION
from headprune.check.probes import scrambled
from headprune.check.subject import CheckSubject, generator
from headprune.heads import HeadMask
from headprune.method import GateMethod, Progress

SEEDS, TOTAL, STAGES = 100, 1000, (0, 1, 30, 230, 500, 999, 1000)
SPREADS = (0.0, 1.0, 100.0, 2000.0)  # standard deviations of logits far into training; 0: as built


@check("gates and their gradients are finite", "gate")
def samples(subject: CheckSubject) -> str | None:
    """(N,) finite gates that depend on the parameters, from the first update to the last, with logits of any size."""
    drawn = 0
    for method in _methods(subject):
        for seed in range(SEEDS // len(SPREADS)):
            _spread(method, SPREADS[seed % len(SPREADS)], seed)
            for update in STAGES:
                _sample(method, Progress(update, TOTAL, generator(seed * TOTAL + update)))
                drawn += 1
    return f"{drawn} draws"


def _sample(method: GateMethod, progress: Progress) -> None:
    when = f"at update {progress.update} of {progress.total}, K = {method.budget}"
    gates = method.sample(progress)
    total = len(method.space)
    shape = tuple(gates.shape) if isinstance(gates, Tensor) else type(gates).__name__
    require(shape == (total,), f"sample() gives {shape} for {total} heads {when}", "return one gate per head (N,)")
    guard = "keep logarithms and divisions off 0, and the temperature off 0"
    require(torch.isfinite(gates).all(), f"sample() is not finite {when}", guard)
    penalty = torch.as_tensor(method.penalty(progress))
    require(
        penalty.shape == (), f"penalty() has shape {tuple(penalty.shape)} {when}", "return a scalar: sum or average"
    )
    require(torch.isfinite(penalty), f"penalty() is not finite {when}", guard)
    learned = [parameter for parameter in method.parameters() if parameter.requires_grad]
    if learned:
        remedy = "build the gates from the parameters at every update, `straight_through` where they are hard"
        require(gates.requires_grad, f"sample() does not depend on the parameters {when}", remedy)
        weights = torch.linspace(-1, 1, total, dtype=gates.dtype)
        gradients = torch.autograd.grad((gates * weights).sum() + penalty, learned, allow_unused=True)
        finite = all(torch.isfinite(gradient).all() for gradient in gradients if gradient is not None)
        require(finite, f"the gradient of sample() and penalty() is not finite {when}", guard)


@check("samples depend on progress and its generator only", "gate")
def reproducible(subject: CheckSubject) -> str | None:
    """Two instances of one seed draw the same gates, whatever the global generators hold."""
    for first, second in zip(_methods(subject, randomness=1), _methods(subject, randomness=2), strict=True):
        states = [list(method.state_dict().values()) for method in (first, second)]
        same = all(torch.equal(a, b) for a, b in zip(*states, strict=True))
        require(same, "two instances of one seed start from different parameters", REMEDY)
        for update in STAGES:
            draws = []
            for randomness, method in enumerate((first, second)):
                with scrambled(randomness):
                    draws.append(method.sample(Progress(update, TOTAL, generator(update))))
            same = torch.equal(*draws)
            require(same, f"two draws of one generator differ at update {update}, K = {first.budget}", REMEDY)
    return None


@check("the hard mask has exactly K ones", "gate")
def hard_masks(subject: CheckSubject) -> str | None:
    """`keep(budget)`, which validation uses while the gates train, for the budget of the training."""
    for method in _methods(subject):
        mask: Any = method.keep(method.budget)
        good = isinstance(mask, HeadMask) and mask.space == method.space
        require(
            good, f"keep() returns {type(mask).__name__}, no mask over `self.space`", "use `self.largest(logits, K)`"
        )
        if method.exact:
            reason = f"keep({method.budget}) has {mask.count} ones"
            require(mask.count == method.budget, reason, "use `self.largest`, or declare `exact` False")
    return None


@check("gates settle before the end", "gate")
def settling(subject: CheckSubject) -> str | None:
    """`cooldown(total)` is a whole number of updates, 0…total."""
    method = next(_methods(subject))
    for total in (1, 10, 1000):
        found = method.cooldown(total)
        good = type(found) is int and 0 <= found <= total
        require(good, f"cooldown({total}) is {found!r}", "return a whole number of updates between 0 and `total`")
    return f"after {method.cooldown(1000) / 10:g} % of the updates"


@check("the schedule of a curve is a number in every update", "gate")
def schedule(subject: CheckSubject) -> str | None:
    """`quantity` is a word, and with one `scheduled(update, total)` is a finite number or None, also of one update."""
    for method in _methods(subject):
        quantity: Any = method.quantity
        require(isinstance(quantity, str), f"quantity is {quantity!r}", "name what `scheduled` gives, or leave it out")
        own = type(method).scheduled is not GateMethod.scheduled
        remedy = "name what `scheduled` gives in `quantity`, and override both or neither"
        require(own or not quantity, f"quantity is {quantity!r}, and `scheduled` is not overridden", remedy)
        for update, total in ((0, 1), *((stage, TOTAL) for stage in STAGES)):
            found: Any = method.scheduled(update, total)
            number = isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found)
            reason = f"scheduled({update}, {total}) is {found!r}"
            require(found is None or number, reason, "return a finite number, or None where there is none")
    return method.quantity or "none"


@check("parameters stay in float64 and belong to the gates", "gate")
def precision(subject: CheckSubject) -> str | None:
    """A model in half precision must not take the logits along; their optimiser group is their own."""
    method = next(_methods(subject))
    before = {name: parameter.dtype for name, parameter in method.named_parameters()}
    method.half()
    for name, parameter in method.named_parameters():
        good = parameter.dtype == before[name] == torch.float64
        require(good, f"parameter {name} is {parameter.dtype}", "create it in float64, as `logits_parameter` does")
        marked = getattr(parameter, "param_group", "") == "gates"
        require(marked, f"parameter {name} is not marked as one of the gates", "create all parameters in `build`")
    return f"{sum(parameter.numel() for parameter in method.parameters())} parameters"


def _methods(subject: CheckSubject, randomness: int = 1) -> Iterator[GateMethod]:
    """New instances for no, one, half and all of the heads."""
    total = len(TRANSLATION.space)
    for budget in (0, 1, total // 2, total) if subject.entry.method.per_budget else (total,):  # type: ignore[attr-defined]
        with scrambled(randomness):
            method = subject.gate(TRANSLATION.space, budget)
        yield method


def _spread(method: GateMethod, scale: float, seed: int) -> None:
    """Parameters as training may drive them: normal, of standard deviation `scale`."""
    if scale:
        with torch.no_grad():
            for parameter in method.parameters():
                parameter.copy_(scale * torch.randn(parameter.shape, generator=generator(seed), dtype=parameter.dtype))
