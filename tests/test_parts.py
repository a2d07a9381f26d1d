"""Parts of a profile: disjoint, together the whole, and each with what it needs."""

from __future__ import annotations

from typing import Any

import pytest
from test_config import PROFILES, VALID

from headprune.config import Config, ConfigError, load, read
from headprune.config.parts import labels, narrowed, part_of
from headprune.pipeline.plan import Plan
from headprune.pipeline.specification import specification

WHOLE: dict[str, Any] = VALID | {
    "methods": [{"name": "unpruned"}, *VALID["methods"]],
    "treatments": [
        {"name": "fine_tune", "updates": 10, "of": ["magnitude", "dsp.joint"]},
        {"name": "matched_random"},
    ],
    "ablations": [{"kind": "drop_one"}],
    "parts": [
        {"name": "tables", "entries": ["ablation.*"]},
        {"name": "trained", "entries": ["*.joint*", "*+ft"]},
        {"name": "frozen", "entries": ["*"]},
    ],
}

NAMES = [part["name"] for part in WHOLE["parts"]]


def parts(**entries: list[str]) -> dict[str, Any]:
    return {"parts": [{"name": name, "entries": patterns} for name, patterns in entries.items()]}


def entries(part: str) -> tuple[list[str], list[str]]:
    """Labels and ablations of a part."""
    config = load(WHOLE | {"part": part})
    return Plan(config).grid.labels, [ablation.kind for ablation in config.ablations]


def test_a_part_holds_what_fits_its_patterns_first_and_what_that_needs() -> None:
    assert entries("tables") == (["unpruned"], ["drop_one"])
    assert entries("trained") == (
        ["unpruned", "magnitude", "dsp.joint", "magnitude+ft", "dsp.joint+ft", "dsp.joint+twin"],
        [],
    )
    gradient = "gradient_importance.iterative"
    twins = ["magnitude+twin", "random+twin", f"{gradient}+twin"]
    assert entries("frozen") == (["unpruned", "magnitude", "random", gradient, *twins], [])


def test_parts_together_have_the_cells_and_jobs_of_the_whole() -> None:
    whole = Plan(load(WHOLE))
    parts = [Plan(load(WHOLE | {"part": part})) for part in NAMES]
    assert {cell.id for part in parts for cell in part.cells} == {cell.id for cell in whole.cells}
    pruning = {"dense", "gates", "search", "treat", "retrain", "ablate"}
    jobs = [{job for job in plan.jobs if job.kind in pruning} for plan in (whole, *parts)]
    assert set.union(*jobs[1:]) == jobs[0]
    for part in parts:  # in one folder nothing is trained twice: parameters of a job are the same in a part
        for job in part.jobs:
            if job.kind in pruning:
                assert specification(part, job) == specification(whole, job)


@pytest.mark.parametrize("part", NAMES)
def test_a_part_can_be_read_again_as_it_was_written(part: str) -> None:
    config = load(WHOLE | {"part": part})
    assert load(config.model_dump(exclude_defaults=True)) == config


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_seeds_alone_are_together_the_whole(profile: Any) -> None:
    """Also where entries, ablations or models have seeds of their own: the profile's are the most that they run on."""
    given = read(profile)
    whole = Plan(load(given))
    found = [Plan(load({**given, "seeds": [seed]})) for seed in given["seeds"]]
    assert [{cell.seed for cell in plan.cells} for plan in found] == [{seed} for seed in given["seeds"]]
    assert sorted(cell.id for plan in found for cell in plan.cells) == sorted(cell.id for cell in whole.cells)
    assert {job for plan in found for job in plan.jobs} == set(whole.jobs)


def test_without_a_name_it_is_the_whole() -> None:
    config = load(WHOLE)
    assert config.methods == Config.model_validate(WHOLE).methods
    assert narrowed(config, config.registry()) is config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"part": "trainde"}, "part: unknown part 'trainde'; did you mean 'trained'"),
        ({"parts": [], "part": "trained"}, "part: unknown part 'trained'"),
        (parts(a=["*.joint*"]), "parts: 'unpruned' is in none; end with a part of entries ['*']"),
        (parts(a=["dsp.jiont"], b=["*"]), "parts[0].entries: 'dsp.jiont' fits no entry"),
        (parts(a=["*"], b=["dsp.*"]), "parts[1]: parts before it hold all of its entries"),
        ({"parts": 2 * parts(a=["*"])["parts"]}, "parts[1].name: 'a' is listed twice"),
        ({"parts": [{"name": "a", "entries": []}]}, "parts[0].entries"),
    ],
)
def test_parts_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(WHOLE | change)
    assert message in str(error.value)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_every_entry_of_a_profile_with_parts_is_in_one(profile: Any) -> None:
    config = load(profile)
    for label in labels(config, config.registry()) if config.parts else ():
        assert part_of(config, label) in [part.name for part in config.parts]
