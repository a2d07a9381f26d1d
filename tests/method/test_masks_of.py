"""Masks of score methods are held to one contract by all who ask: jobs, `headprune prune`, the call of Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headprune.heads import HeadSpace, Scope
from headprune.method import Entry, ScoreMethod, guards, load_methods
from headprune.method.audit import PACKAGE
from headprune.method.guards import ConductError
from headprune.method.masks import masks_of
from headprune.own.judging import Judge
from headprune.pipeline.stages import score
from headprune.pruning.choosing import choose

Build = Callable[..., Any]
Batch = dict[str, Any]
BUDGET = 5  # of 24 heads


def opening(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.read_text(encoding="utf-8")


def few(model: Any, folder: Path) -> Any:
    return HeadSpace.of(model).keep(range(BUDGET - 1))


def others(model: Any, folder: Path) -> Any:
    return HeadSpace(HeadSpace.of(model).heads[:6]).keep(range(BUDGET))


def good(model: Any, folder: Path) -> Any:
    return HeadSpace.of(model).keep(range(BUDGET))


def writer(model: Any, folder: Path) -> Any:
    next(model.parameters()).data[0] += 1
    return good(model, folder)


def reader(model: Any, folder: Path) -> Any:
    opening(PACKAGE / "corpus.txt")
    return good(model, folder)


def looker(model: Any, folder: Path) -> Any:
    opening(folder / "test.txt")
    return good(model, folder)


def entry_of(act: Callable[[Any, Path], Any], folder: Path) -> Entry:
    """The entry of a method whose masks are what `act` returns."""

    class Stub(ScoreMethod):
        name = act.__name__

        def masks(self, model: Any, batches: Any, budgets: Any, rng: Any) -> Any:
            return dict.fromkeys(budgets, act(model, folder))

    return Entry(act.__name__, "score", Stub, "", Path(__file__))


def in_a_job(entry: Entry, model: Any, batches: list[Batch], folder: Path, scope: Scope) -> Any:
    context = SimpleNamespace(batches=lambda: batches, seed=1, run=SimpleNamespace(path=folder))
    arm = SimpleNamespace(entry=entry, name=entry.name, label="mine", scope=scope, settings=SimpleNamespace(options={}))
    found, _ = score.find_masks(context, arm, model, [SimpleNamespace(budget=BUDGET, full_arm="")])  # type: ignore[arg-type, list-item]
    return found[BUDGET]


def on_the_command_line(entry: Entry, model: Any, batches: list[Batch], folder: Path, scope: Scope) -> Any:
    request = SimpleNamespace(loaded=entry, options={}, seed=1, data=folder)
    work = SimpleNamespace(request=request, model=model, calibration=lambda: batches, space=HeadSpace.of(model))
    return Judge(work).pruning(BUDGET)  # type: ignore[arg-type]


def in_python(entry: Entry, model: Any, batches: list[Batch], folder: Path, scope: Scope) -> Any:
    return choose(entry.method(None, scope), model, batches, BUDGET, 1).pruning


FAULTS: list[tuple[Any, type[Exception], str]] = [
    (few, ValueError, "few keeps 4 heads, the budget is 5"),
    (others, ValueError, "others gives a mask that is not of the 24 heads of the model"),
    (writer, ConductError, "writer changes weight encoder"),
]
OPENED = "opens .*{}: a method sees the batches it is given and nothing else"
CALLERS = (in_a_job, on_the_command_line, in_python)


@pytest.mark.parametrize("ask", CALLERS)
def test_every_caller_holds_a_method_to_its_contract(
    ask: Callable[..., Any], build: Build, batches: list[Batch], tmp_path: Path
) -> None:
    for act, kind, message in FAULTS:
        with pytest.raises(kind, match=message):
            ask(entry_of(act, tmp_path), build().eval(), batches, tmp_path, Scope())
    model = build().eval()
    found = ask(entry_of(good, tmp_path), model, batches, tmp_path, Scope())
    assert found.mask == HeadSpace.of(model).keep(range(BUDGET))


@pytest.mark.parametrize("ask", [in_a_job, on_the_command_line])
def test_the_folder_of_the_data_and_the_package_are_closed(
    ask: Callable[..., Any], build: Build, batches: list[Batch], tmp_path: Path
) -> None:
    for act, name in ((looker, "test.txt"), (reader, "corpus.txt")):
        with pytest.raises(ConductError, match=f"{act.__name__} {OPENED.format(name)}"):
            ask(entry_of(act, tmp_path), build().eval(), batches, tmp_path, Scope())


def test_a_call_of_python_is_not_watched(
    monkeypatch: pytest.MonkeyPatch, build: Build, batches: list[Batch], tmp_path: Path
) -> None:
    """A hook for audits cannot be taken out of a process again, and this one is the caller's."""
    monkeypatch.setattr(guards, "watching", lambda: pytest.fail("the process is watched"))
    assert in_python(entry_of(looker, tmp_path), build().eval(), batches, tmp_path, Scope()).mask.count == BUDGET


@pytest.mark.parametrize(("ask", "entry"), [(in_a_job, " of 'mine'"), (in_python, "")])
def test_protected_heads_stay(
    ask: Callable[..., Any], entry: str, build: Build, batches: list[Batch], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"good removes heads that `types` and `min_per_module`{entry} protect"):
        ask(entry_of(good, tmp_path), build().eval(), batches, tmp_path, Scope(min_per_module=1))


def test_only_the_method_is_measured(build: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The looks at the model before and after are no cost of the method."""
    real, events = guards.snapshot, []
    monkeypatch.setattr(guards, "snapshot", lambda model: events.append("look") or real(model))

    @contextmanager
    def within() -> Iterator[None]:
        events.append("begin")
        yield
        events.append("end")

    masks_of(entry_of(good, tmp_path).method(), build().eval(), [], [BUDGET], 1, within=within())
    assert events == ["look", "begin", "end", "look"]


def test_methods_that_judge() -> None:
    judging = {name for name, entry in load_methods().items() if entry.judges}
    assert {"magnitude", "random", "gradient_importance"} <= judging
    assert not judging & {"unpruned", "dsp", "ste"}
