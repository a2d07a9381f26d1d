"""Registering a task: what it adds, and what is refused."""

from __future__ import annotations

import pytest

from headprune.results.vocabulary import KINDS, UNITS, OutputKind
from headprune.tasks import DEFAULT, TASKS, register, track_of, units_of
from headprune.tasks.base import Task
from headprune.tasks.nli import LanguageInference


def test_a_task_brings_its_metrics() -> None:
    assert UNITS["accuracy"] == "share of examples"
    assert units_of("nli")["latency_ms"] == "ms per pair of sentences"
    assert units_of("nobody's") == {}


def changed(**values: object) -> Task:
    """A task that no package brings."""
    task = type("Changed", (LanguageInference,), {"name": "changed", "__module__": __name__, **values})
    return task()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (changed(name="mt"), "there is a task 'mt' already"),
        (changed(metric="bleu", metrics={"bleu": "%"}), "'bleu' is 'BLEU' already, and cannot be '%'"),
        (
            changed(metric="accurate"),
            "of task 'changed': unknown metric 'accurate'; did you mean 'accuracy'",
        ),
        (changed(kinds={"sample": OutputKind("sample.{}.txt.gz", ("text",))}), "'sample' is OutputKind"),
    ],
    ids=["name", "unit", "metric", "kind"],
)
def test_what_stands_for_something_else_is_refused(task: Task, message: str) -> None:
    before = dict(TASKS), dict(UNITS), dict(KINDS)
    with pytest.raises(ValueError, match=message):
        register(task)
    assert before == (TASKS, UNITS, KINDS)


def test_sections_without_a_track_are_of_the_default_task() -> None:
    assert track_of({}) == track_of(object()) == DEFAULT.name == "mt"
    assert track_of({"track": "lm"}) == track_of(TASKS["lm"].model.model_construct(track="lm")) == "lm"


def test_only_code_outside_of_the_library_is_named() -> None:
    assert all(TASKS[name].provenance == {} for name in ("mt", "lm", "nli"))
    assert len(changed().provenance["task"]) == 64
