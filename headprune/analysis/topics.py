"""The topics of results, and the needs of figures and tables: one set of questions for plans and for folders."""

from __future__ import annotations

from dataclasses import dataclass

from headprune.naming import unknown

FLAGS = ("treatments", "trials", "curves", "ablations", "tuning")
COUNTED = ("methods", "lines")
NAMED = ("method", "arms")


@dataclass(frozen=True)
class Contents:
    """The contents of results, or those that they will have once a profile has run.

    :param lines: method and arm of all that prunes, without treated masks; the draws of a method are one line
    :param treatments: whether masks were treated
    :param trials: whether methods were trained at several penalties
    :param curves: whether there are training curves
    :param ablations: whether heads of the unpruned model were ablated
    :param tuning: whether options of methods were tuned
    """

    lines: frozenset[tuple[str, str]] = frozenset()
    treatments: bool = False
    trials: bool = False
    curves: bool = False
    ablations: bool = False
    tuning: bool = False

    @property
    def methods(self) -> set[str]:
        """The names of the methods that prune."""
        return {method for method, _ in self.lines}

    def meet(self, need: str) -> bool:
        """Return whether the results have what a figure or table needs.

        :param need: one of FLAGS; `methods:2` or `lines:3`, so many of them; `method:random`, that method;
            `arms:dsp`, at least two arms of that method
        :raises ValueError: there is no such need
        """
        check(need)
        topic, _, argument = need.partition(":")
        if topic in FLAGS:
            return bool(getattr(self, topic))
        if topic in COUNTED:
            return len(getattr(self, topic)) >= int(argument)
        arms = [arm for method, arm in self.lines if method == argument]
        return len(arms) >= (2 if topic == "arms" else 1)


def check(need: str) -> None:
    """Refuse what `Contents.meet` does not know.

    :raises ValueError: the topic is unknown, or its argument is missing, superfluous or no number
    """
    topic, colon, argument = need.partition(":")
    if topic not in (*FLAGS, *COUNTED, *NAMED):
        raise ValueError(unknown("need", topic, (*FLAGS, *COUNTED, *NAMED)))
    if topic in FLAGS and colon:
        raise ValueError(f"need {need!r}: {topic} takes nothing after it; write {topic!r}")
    if topic in COUNTED and not argument.isdecimal():
        raise ValueError(f"need {need!r}: {topic} takes a number, as in '{topic}:2'")
    if topic in NAMED and not argument:
        raise ValueError(f"need {need!r}: {topic} takes a method, as in '{topic}:random'")
