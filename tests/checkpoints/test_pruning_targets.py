"""Targets of `headprune prune`: what bisection finds, against a look at every number of heads."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from headprune.cli.commands import app
from headprune.cost import parameters
from headprune.heads import HeadSpace
from headprune.method import Pruning, load_methods
from headprune.own import rows
from headprune.own.early import check
from headprune.own.judging import Judge
from headprune.own.materials import workpiece
from headprune.own.request import PruningRequest
from headprune.own.run import prune
from headprune.own.targets import Target, UnreachableError, boundary, most_tried, search
from headprune.removal import load
from headprune.settings import Calibration
from headprune.tasks.translation import TRANSLATION
from headprune.timing import Timing
from tests.checkpoints.conftest import StockModel

Stock = Callable[[str], StockModel]
Make = Callable[..., PruningRequest]
HEADS = 12  # of the model


@pytest.fixture
def request_of(stock: Stock, tmp_path: Path) -> Make:
    """`request_of(target, **changes)`: heads of the pre-norm model by magnitude, 12 sentences, into a new folder."""

    def of(target: Target | None, **changes: Any) -> PruningRequest:
        made = stock("separate, pre-norm")
        plain = PruningRequest(
            made.checkpoint, made.data, "magnitude", (), tmp_path / "out", target=target, sentences=12
        )
        return dataclasses.replace(plain, calibration=Calibration(sentences=10), **changes)

    return of


@given(total=st.integers(1, 300), last=st.integers(0, 300))
def test_a_boundary_that_is_one_is_found(total: int, last: int) -> None:
    """The last number that meets a condition, from either side, as a look at all of them tells, in few questions."""
    asked: list[int] = []

    def meets(number: int) -> bool:
        asked.append(number)
        return number <= last

    expected = max(number for number in range(total) if number <= last)
    assert boundary(0, total, meets) == expected
    assert boundary(-1, -total - 1, lambda number: -number <= last + 1) == -max(1, min(last + 1, total))
    assert len(asked) == len(set(asked)) <= math.ceil(math.log2(total))


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_of_several_boundaries_it_is_one(pattern: list[bool]) -> None:
    """A number that meets the condition, whose neighbour does not; where nothing was found, the beginning."""
    found = boundary(len(pattern), -1, lambda number: pattern[number])
    assert found == len(pattern) or pattern[found]
    assert found == 0 or not pattern[found - 1]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=40), st.floats(0, 100))
def test_searches_ask_few_and_find_what_meets_the_target(losses: list[float], most: float) -> None:
    asked: list[int] = []
    target = Target("lose_at_most", f"{most:.3f}")

    def loss(budget: int) -> float:
        asked.append(budget)
        return losses[budget]

    try:
        found = search(target, len(losses), 0.0, loss)
    except UnreachableError as error:
        assert all(losses[budget] > target.value for budget in asked)
        said, best = str(error), min(losses[budget] for budget in asked)
        assert f"of {len(losses)} heads, loss {best:.2f}" in said
    else:
        assert losses[found.heads_kept] == found.number <= target.value
        assert found.beyond_number is None or found.beyond_number > target.value
        assert (found.beyond_number is None) == (found.beyond < 0)
    assert len(asked) <= most_tried(len(losses))


def test_numbers_are_read_with_their_scale() -> None:
    assert [Target("parameters", text).value for text in ("7", "1.5k", "30M", "2B")] == [7, 1500, 30e6, 2e9]
    for text in ("", "many", "-3", "3 M", "1e3", "0"):
        with pytest.raises(ValueError, match="--parameters"):
            Target("parameters", text)
    with pytest.raises(ValueError, match=r"--speed-up 1: it must be larger than 1"):
        Target("speed_up", "1")
    assert Target("lose_at_most", "0").met(0)


def test_what_the_whole_model_has_is_no_target() -> None:
    with pytest.raises(ValueError, match="--parameters 5k: the unpruned model has 4,000 parameters"):
        search(Target("parameters", "5k"), 4, 4000, lambda budget: 1000 * budget)
    with pytest.raises(
        UnreachableError, match=r"--speed-up 3 cannot .*: the best is 0 of 4 heads, .* one by one 2\.00"
    ):
        search(Target("speed_up", "3"), 4, 1.0, lambda budget: 2 - budget / 4)


def test_parameters(request_of: Make) -> None:
    """The most heads whose model is small enough, by counts of every model; the written one is as small."""
    work = workpiece(request_of(None, keep=("6",)))
    made = rows.Rows(work, Judge(work), {}, Path(), lambda what: None)  # type: ignore[arg-type]
    counts = [made.parameters(budget) for budget in range(HEADS)]
    assert counts == sorted(counts)
    for most in (counts[0], (counts[4] + counts[5]) // 2, counts[11]):
        request = request_of(Target("parameters", str(most)))
        expected = max(budget for budget, count in enumerate(counts) if count <= most)
        found = prune(request)["targets"][f"--parameters {most}"]
        assert (found["heads_kept"], found["number"]) == (expected, counts[expected])
        assert parameters(load(request.out / f"keep{expected}" / "model.pt")) == counts[expected]
    page = (request.out / "summary.md").read_text(encoding="utf-8")
    assert f"Target `--parameters {counts[11]}`: 11 heads" in page
    assert f"Target `--parameters {counts[0]}`: 0 heads" in page


def test_parameters_that_cannot_be_reached(request_of: Make) -> None:
    request = request_of(Target("parameters", "100"))
    with pytest.raises(UnreachableError, match=r"--parameters 100 cannot be reached: the best is 0 of 12 heads, param"):
        prune(request)
    assert not request.out.exists()


def test_a_loss(request_of: Make, tmp_path: Path) -> None:
    """All that was tried is in the table; what is found stays within the target, its neighbour does not."""
    everything = prune(request_of(None, keep=tuple(map(str, range(HEADS))), out=tmp_path / "all"))["models"]
    scores = {record["heads_kept"]: record["scores"]["bleu_tokenized"] for record in everything}
    most = f"{(scores[HEADS] - min(scores.values())) / 2:.3f}"
    request = request_of(Target("lose_at_most", most))
    summary = prune(request)
    found = summary["targets"][f"--lose-at-most {most}"]
    assert found["nested"]
    tried = {record["heads_kept"]: record["scores"]["bleu_tokenized"] for record in summary["models"]}
    assert tried == {budget: scores[budget] for budget in tried}
    assert scores[HEADS] - scores[found["heads_kept"]] == pytest.approx(found["number"], abs=1e-9)
    assert found["number"] <= float(most)
    assert found["beyond"] < 0 or scores[HEADS] - scores[found["beyond"]] > float(most)
    assert {found["heads_kept"], found["beyond"]} - {-1} <= set(tried)
    assert len(tried) <= most_tried(HEADS) + 1
    assert f"Target `--lose-at-most {most}`" in (request.out / "summary.md").read_text(encoding="utf-8")


def test_speeds_and_what_cannot_be_reached(request_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model is 1 + r / 12 times as fast without r heads: 1.3 needs four of them gone, 2.5 is out of reach. What was
    tried stays, and no model is measured again."""
    measured: list[int] = []

    def time(self: Any, models: dict[str, Any], *rest: Any) -> dict[str, Any]:
        heads = {name: len(HeadSpace.of(model)) for name, model in models.items()}
        measured.append(heads["pruned"])
        quick = {name: 1 + (HEADS - count) / HEADS for name, count in heads.items()}
        return {name: (Timing(1 / q, 1 / q, 1 / q), Timing(q * q, q, q)) for name, q in quick.items()}

    monkeypatch.setattr(type(TRANSLATION.work), "time", time)
    request = request_of(Target("speed_up", "1.3"))
    found = prune(request)["targets"]["--speed-up 1.3"]
    assert (found["heads_kept"], found["beyond"]) == (8, 9)
    assert found["number"] == pytest.approx(1 + 4 / 12)
    with pytest.raises(UnreachableError, match=r"the best is 0 of 12 heads, speed-up, one by one 2\.00"):
        prune(request_of(Target("speed_up", "2.5")))
    found = prune(request_of(Target("speed_up_in_batches", "1.5")))["targets"]
    assert found["--speed-up-in-batches 1.5"]["heads_kept"] == 9  # (1 + 3 / 12)² is 1.56
    assert "--speed-up 1.3" in found
    assert len(measured) == len(set(measured))


SCORES = [entry.name for entry in load_methods().values() if entry.kind == "score" and entry.method.prunes]


@pytest.mark.parametrize("method", SCORES)
def test_a_mask_does_not_depend_on_which_others_were_asked_for(request_of: Make, method: str) -> None:
    """Asked for alone, in another order or together with others."""
    work = workpiece(request_of(None, keep=("6",), method=method))
    together, alone = Judge(work), Judge(work)
    together.find([9, 6, 3])
    for budget in (3, 9):
        assert mask_and_weights(alone.pruning(budget)) == mask_and_weights(together.pruning(budget))


def mask_and_weights(found: Pruning) -> Any:
    weights = {
        name: (each.weight.tolist(), each.bias is None or each.bias.tolist()) for name, each in found.outputs.items()
    }
    return found.mask, weights


AMOUNTS: dict[str, tuple[Any, tuple[str, ...], str]] = {
    "neither": (
        None,
        (),
        "nothing tells how much is pruned: give --keep, once or more often, or one target of --param",
    ),
    "both": (Target("parameters", "3k"), ("5",), "--keep and --parameters 3k are both given"),
}


@pytest.mark.parametrize("case", AMOUNTS)
def test_a_call_has_one_kind_of_amount(request_of: Make, case: str) -> None:
    target, keep, message = AMOUNTS[case]
    with pytest.raises(ValueError, match=message):
        check(request_of(target, keep=keep))


def test_the_command_takes_targets(request_of: Make) -> None:
    request = request_of(None)
    words = ["prune", str(request.checkpoint), "--data", str(request.data), "--out", str(request.out)]
    words += ["--method", "magnitude", "--sentences", "12"]
    result = CliRunner().invoke(app, [*words, "--lose-at-most", "200"])
    assert result.exit_code == 0, result.output
    assert "0 of 12" in result.stdout
    assert "--lose-at-most 200: 0 heads" in result.stdout
    result = CliRunner().invoke(app, [*words, "--parameters", "3k", "--speed-up", "1.3"])
    assert "--parameters 3k and --speed-up 1.3: a call has one target" in str(result.exception)
