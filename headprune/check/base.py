"""The contract of checks: functions of a subject that return a remark, or fail with a reason and its remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headprune.system.stopping import contained

KINDS = ("score", "gate")


class CheckFailure(Exception):  # noqa: N818
    """A check that does not hold.

    :param reason: what the method does, with names and numbers
    :param remedy: what its author can do about it
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


class Unreachable(Exception):  # noqa: N818
    """A check that another failure keeps from being made; says which."""


@dataclass(frozen=True)
class Check:
    """One clause of the contract."""

    title: str
    run: Callable[[Any], str | None]  # takes the subject; returns a remark
    kinds: tuple[str, ...] = KINDS


def check(title: str, kind: str | None = None) -> Callable[[Callable[[Any], str | None]], Check]:
    """Decorator: makes a function of a subject a `Check` of all methods, or of those of one kind."""
    return lambda run: Check(title, run, (kind,) if kind else KINDS)


@dataclass(frozen=True)
class Result:
    """The outcome of one check on one method. `status` is `passed`, `failed` or `unreached`."""

    title: str
    status: str
    text: str = ""  # remark or reason
    remedy: str = ""


@dataclass(frozen=True)
class Checked:
    """The subject of a report: a method, or a file that did not get as far as to register one."""

    name: str
    kind: str  # "score", "gate" or ""
    file: Path


@dataclass(frozen=True)
class CheckReport:
    """The outcomes of all checks on one method."""

    entry: Checked
    results: tuple[Result, ...]

    @property
    def failures(self) -> tuple[Result, ...]:
        """The checks that failed."""
        return tuple(result for result in self.results if result.status == "failed")

    @property
    def passed(self) -> bool:
        """True where every check passed."""
        return all(result.status == "passed" for result in self.results)

    def __str__(self) -> str:
        lines = [f"{result.title}: {result.text}; mend: {result.remedy}" for result in self.failures]
        return f"{self.entry.name}: " + ("; ".join(lines) or "passed")


def judge(check: Check, subject: Any) -> Result:
    """Make one check; whatever the method raises is a failure of it.

    :returns: the outcome, with the remark, or the reason and its remedy
    """
    try:
        with contained():
            return Result(check.title, "passed", check.run(subject) or "")
    except Unreachable as blocked:
        return Result(check.title, "unreached", str(blocked))
    except CheckFailure as failure:
        return Result(check.title, "failed", failure.reason, failure.remedy)
    except Exception as error:
        return Result(check.title, "failed", f"raises {last_line(error)}", "the trace is that of the call in a REPL")


def last_line(error: BaseException) -> str:
    """The last line of a traceback, `ValueError: budget 3 is …`."""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}".rstrip(": ")


def require(holds: Any, reason: str, remedy: str) -> None:
    """Let a check fail unless a condition holds.

    :raises Failure: it does not hold.
    """
    if not holds:
        raise CheckFailure(reason, remedy)


def listed(names: Iterable[Any], limit: int = 4) -> str:
    """The first names, `a, b, c, d, …`."""
    names = [str(name) for name in names]
    return ", ".join(names[:limit]) + (", …" if len(names) > limit else "")
