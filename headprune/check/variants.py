"""The contract with other hyper-parameters than the defaults."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

from headprune.check.base import Check, Failure, judge, listed
from headprune.check.subject import Subject


def varied(checks: Sequence[Check]) -> Check:
    """The check that all of these hold for every flag and choice, one changed at a time."""

    def run(subject: Subject) -> str | None:
        """Numbers are left as they are: what they may be is not declared."""
        names = []
        for name, value in variations(subject.options):
            other = Subject(subject.entry, subject.factor, subject.seen, subject.given | {name: value})
            names.append(f"{name}={value}")
            for check in checks:
                if subject.entry.kind not in check.kinds or (found := judge(check, other)).status != "failed":
                    continue
                if judge(check, subject).status != "failed":  # else it is told already
                    raise Failure(f"with {name}={value}, “{check.title}” fails: {found.text}", found.remedy)
        return listed(names, 12) or "no flags, no choices"

    return Check("flags and choices keep the contract, too", run)


def variations(options: Any) -> Iterator[tuple[str, Any]]:
    """Every flag turned over, and every other choice of an option that declares its choices."""
    for item in fields(options):
        value = getattr(options, item.name)
        if isinstance(value, bool):
            yield item.name, not value
        yield from ((item.name, choice) for choice in item.metadata.get("choices", ()) if choice != value)
