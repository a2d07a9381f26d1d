"""The contract suite: all checks, on all methods that a file registers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from headprune.check import bait, behaviour, declarations, gates, masks, training
from headprune.check.base import Check, Checked, CheckFailure, CheckReport, Result, judge, listed
from headprune.check.isolated import FACTOR, LoadError
from headprune.check.probes import alone
from headprune.check.subject import CheckSubject
from headprune.method import Entry, load_files
from headprune.method.audit import Seen, watching
from headprune.method.registry import BUILT_IN

Tell = Callable[[Mapping[str, Any]], Any]
DECLARED: tuple[Check, ...] = (
    declarations.imports,
    declarations.options,
    declarations.spaces,
    declarations.description,
    declarations.training_attributes,
)
BEHAVIOUR: tuple[Check, ...] = (
    masks.scores,
    masks.families,
    masks.budgets,
    masks.ties,
    masks.scopes,
    masks.weight_updates,
    behaviour.determinism,
    behaviour.unchanged,
    behaviour.undisturbed,
    behaviour.cost,
    gates.samples,
    gates.reproducible,
    gates.hard_masks,
    gates.settling,
    gates.schedule,
    gates.precision,
    training.trains,
    training.resumes,
    training.frozen_model,
)


def varied(checks: Sequence[Check]) -> Check:
    """The check that all of these hold for every flag and choice, one changed at a time."""

    def run(subject: CheckSubject) -> str | None:
        """Numbers are left as they are: what they may be is not declared."""
        names = []
        for name, value in variations(subject.options):
            other = CheckSubject(subject.entry, subject.factor, subject.seen, subject.given | {name: value})
            names.append(f"{name}={value}")
            for check in checks:
                if subject.entry.kind not in check.kinds or (found := judge(check, other)).status != "failed":
                    continue
                if judge(check, subject).status != "failed":  # else it is told already
                    raise CheckFailure(f"with {name}={value}, “{check.title}” fails: {found.text}", found.remedy)
        return listed(names, 12) or "no flags, no choices"

    return Check("flags and choices keep the contract, too", run)


def variations(options: Any) -> Iterator[tuple[str, Any]]:
    """Every flag turned over, and every other choice of an option that declares its choices."""
    for item in fields(options):
        value = getattr(options, item.name)
        if isinstance(value, bool):
            yield item.name, not value
        yield from ((item.name, choice) for choice in item.metadata.get("choices", ()) if choice != value)


CHECKS = (*DECLARED, *BEHAVIOUR, varied(BEHAVIOUR), behaviour.files, behaviour.frames)  # the last: of all before


def check_here(
    file: str | Path,
    factor: float = FACTOR,
    options: Mapping[str, Any] | None = None,
    tell: Tell = lambda news: None,
) -> list[CheckReport]:
    """Check a file as `headprune.check.check_file` does, in this process: for files that are known not to end it.

    :param tell: is told what is checked and what came of it, as it happens
    """
    file = Path(file).resolve()
    with watching() as seen, alone():
        entries = load(file)
        at_import = Seen(list(seen.opened), list(seen.frames))
        reports = []
        for entry in entries:
            seen.opened[:], seen.frames[:] = at_import.opened, at_import.frames
            reports.append(check_method(entry, factor, seen, options, tell))
    return reports


def load(file: Path) -> list[Entry]:
    """The methods that a file registers, beside those of this repository."""
    if not file.is_file():
        raise LoadError(f"{file} is not a file; `headprune check` takes the file of a method")
    others = [other for other in sorted(BUILT_IN.glob("*.py")) if other != file and not other.name.startswith("_")]
    try:
        load_files(*others)
    except ImportError:  # what is wrong with one is its own check's to say
        for other in others:
            with suppress(ImportError):
                load_files(other)
    try:
        entries = list(load_files(file).values())
    except ImportError as error:
        raise LoadError(str(error)) from error
    if not entries:
        raise LoadError(f"{file} registers no method; decorate a class with `@register(NAME)`")
    return entries


def check_method(
    entry: Entry, factor: float, seen: Seen, options: Mapping[str, Any] | None, tell: Tell = lambda news: None
) -> CheckReport:
    """Make all checks of the kind of a method.

    :param seen: what `watching` collects
    :returns: the outcomes, in the order of CHECKS
    """
    spec, corpus = bait.Specification(seen.frames), bait.BaitCorpus(seen.frames)  # noqa: F841  for whoever looks for them
    subject = CheckSubject(entry, factor, seen, options)
    tell({"method": entry.name, "kind": entry.kind})
    results: list[Result] = []
    for check in CHECKS:
        if entry.kind in check.kinds:
            tell({"check": check.title})
            results.append(judge(check, subject))
            tell({"result": asdict(results[-1])})
    return CheckReport(Checked(entry.name, entry.kind, entry.file), tuple(results))
