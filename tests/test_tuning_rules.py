"""The rules of `tuning`: no reported seed, budgets that prune, and no key without a use."""

from __future__ import annotations

from typing import Any

import pytest
from configurations import VALID, changed, refused

from headprune.config import load

TUNING: dict[str, Any] = {"trials": 4, "seeds": [101], "budgets": [8, 4]}
TUNED = VALID | {"tuning": TUNING}


def test_a_profile_may_tune() -> None:
    config = load(TUNED)
    assert config.tuning is not None
    assert (config.tuning.trials, config.tuning.seeds, config.tuning.budgets) == (4, [101], [8, 4])
    assert load(VALID).tuning is None


@pytest.mark.parametrize("path", ["seeds", "models/tiny/seeds", "methods/0/seeds"])
def test_a_reported_seed_is_refused_wherever_it_is_reported(path: str) -> None:
    said = refused(changed(path, [1, 101], TUNED))
    key = path.replace("/", ".").replace("methods.0", "methods[0]")
    assert said == f"tuning.seeds: 101 is in {key}, too: what is reported must not be tuned on; 102 is free"


@pytest.mark.parametrize("kind", ["treatments", "ablations"])
def test_seeds_of_treatments_and_ablations_are_reported_too(kind: str) -> None:
    entry = {"treatments": {"name": "fine_tune", "of": ["magnitude"]}, "ablations": {"kind": "drop_one"}}[kind]
    assert f"101 is in {kind}[0].seeds" in refused(TUNED | {kind: [entry | {"seeds": [101]}]})


def test_a_budget_that_prunes_nothing_is_refused() -> None:
    said = refused(changed("tuning/budgets", [16], TUNED))
    assert said == "tuning.budgets: 16 prunes nothing of model 'tiny', which has 16 heads; give less"


def test_a_budget_below_what_an_entry_protects_is_refused_unless_it_is_not_tuned() -> None:
    config = changed("methods/0", {"name": "magnitude", "types": ["cross"], "budgets": [12]}, TUNED)
    assert "tuning.budgets: 8 is less than the 10 heads of model 'tiny'" in refused(config)
    assert load(changed("methods/0/tuned", False, config)).methods[0].tuned is False


def test_tuned_needs_a_tuning() -> None:
    assert refused(changed("methods/3/tuned", False)) == "methods[3].tuned is false: the profile has no `tuning`"


def test_tuned_needs_a_space() -> None:
    said = refused(changed("methods/1/tuned", True, TUNED))
    assert said == "methods[1].tuned is true: 'random' has no option with a space that is not given"
    assert load(changed("methods/1/tuned", False, TUNED))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("tuning/trials", 0, "tuning.trials: 0: must be greater than or equal to 1"),
        ("tuning/seeds", [], "tuning.seeds: []"),
        ("tuning/budget", [4], "tuning.budget: unknown key 'budget'; did you mean 'budgets'"),
        ("methods/0/tuned", "perhaps", "methods[0].tuned of 'magnitude': 'perhaps': must be a valid boolean"),
        ("methods/0/draws", True, "methods[0].draws of 'magnitude': True: true and false are values of other keys"),
    ],
)
def test_wrong_values_are_named(path: str, value: Any, said: str) -> None:
    assert said in refused(changed(path, value, TUNED))
