"""Rules of gate methods, searches, scopes and treatments; what breaks them is refused with key, value and rule."""

from __future__ import annotations

from typing import Any

import pytest
from configurations import VALID, changed, refused

from headprune.config import load
from headprune.config.treated import treated_by

pytestmark = pytest.mark.usefixtures("nothing_is_written")

# N = 16: modules of two heads, 4 + 6 + 6.
TREATED: dict[str, Any] = VALID | {
    "budgets": [16, 6],
    "methods": [
        {"name": "unpruned"},
        {"name": "magnitude"},
        {"name": "dsp", "arm": "joint", "mode": "joint"},
        {"name": "dsp", "arm": "continued", "mode": "continued", "updates": 5, "learning_rate": 0.001},
        {"name": "dsp", "arm": "cross", "types": ["cross"], "budgets": [16, 10]},
        {"name": "l0", "mode": "continued", "updates": 5, "trials": 3},
        {"name": "drophead", "mode": "joint"},
    ],
    "treatments": [
        {"name": "fine_tune", "of": ["magnitude", "dsp.joint"], "updates": 5, "learning_rate": 0.001},
        {"name": "fine_tune", "arm": "distil", "distillation": 0.5, "temperature": 2.0},
        {"name": "matched_random", "draws": 2},
        {"name": "from_scratch", "of": ["magnitude"], "budgets": [6], "seeds": [1]},
        {"name": "bias_compensation", "of": ["magnitude", "dsp.cross"]},
    ],
    "ablations": [{"kind": "drop_one"}, {"kind": "keep_one", "seeds": [1]}],
}


def test_only_distributions_over_words_are_distilled() -> None:
    shape, training = {"layers": 4, "heads": 4, "width": 32}, {"updates": 5, "learning_rate": 0.001}
    judging = {
        "datasets": {"verses": {"track": "nli", "corpus": "versenli", "vocabulary": 500}},
        "models": {"judge": {"track": "nli", "dataset": "verses", "architecture": shape, "training": training}},
        "methods": [{"name": "magnitude"}],
        "budgets": [6],
        "ablations": [],
    }
    tuned = {"name": "fine_tune", "of": ["magnitude"], "updates": 5, "learning_rate": 0.001}
    assert load(TREATED | judging | {"treatments": [tuned]}).treatments
    for other in ({"distillation": 0.5}, {"distillation": 0.5, "models": ["judge"]}):
        message = refused(TREATED | judging | {"treatments": [tuned | other]})
        assert "treatments[0].distillation is 0.5; models of track 'nli', such as 'judge'" in message


def test_the_base_of_the_treatments_is_valid() -> None:
    config = load(TREATED)
    assert [treatment.suffix for treatment in config.treatments] == ["ft", "distil", "twin", "scratch", "bc"]
    assert [treatment.kind.trains for treatment in config.treatments] == [True, True, False, True, False]


SCORE, LATE = "score method and trains nothing", "trains the weights as the model's"
BAD_TREATED = {
    "unknown `of`": ("treatments/0/of", ["magnitud"], ["treatments[0].of", "'magnitud'", "did you mean 'magnitude'"]),
    "`of` without its arm": ("treatments/0/of", ["dsp"], ["treatments[0].of", "'dsp'", "available", "dsp.joint"]),
    "`of` that prunes nothing": ("treatments/2/of", ["unpruned"], ["treatments[2].of", "'unpruned'", "no mask"]),
    "compensating a joint training": (
        "treatments/4/of",
        ["magnitude", "dsp.joint"],
        ["treatments[4].of", "'dsp.joint'", "nothing to compensate"],
    ),
    "compensating a continued training": ("treatments/4/of", ["l0"], ["treatments[4].of", "'l0'", "compensate"]),
    "compensating everything": ("treatments/4/of", [], ["treatments[4].of", "'dsp.joint'", "compensate"]),
    "unknown treatment": ("treatments/0/name", "finetune", ["treatments[0].name", "'finetune'", "'fine_tune'"]),
    "unknown key of a treatment": ("treatments/0/upates", 5, ["treatments[0].upates", "did you mean 'updates'"]),
    "treated twice": (
        "treatments/1",
        {"name": "fine_tune", "of": ["magnitude"]},
        ["treatments[1]", "magnitude+ft", "exists already", "another `arm`"],
    ),
    "treated twice by another name": ("treatments/2/arm", "ft", ["treatments[2]", "magnitude+ft", "another `arm`"]),
    "unsafe arm of a treatment": ("treatments/0/arm", "a+b", ["treatments[0].arm", "'a+b'", "letters"]),
    "draws of fine-tuning": ("treatments/0/draws", 2, ["treatments[0].draws", "2", "'fine_tune' has no use for it"]),
    "updates from scratch": ("treatments/3/updates", 5, ["treatments[3].updates", "5", "'from_scratch' has no use"]),
    "learning rate of a twin": (
        "treatments/2/learning_rate",
        0.1,
        ["treatments[2].learning_rate", "0.1", "'matched_random' has no use for it"],
    ),
    "distillation of biases": ("treatments/4/distillation", 0.5, ["treatments[4].distillation", "0.5", "no use"]),
    "temperature without a teacher": ("treatments/0/temperature", 2.0, ["treatments[0].temperature", "2.0", "distil"]),
    "more than all distillation": (
        "treatments/1/distillation",
        1.5,
        ["treatments[1].distillation", "1.5", "equal to 1"],
    ),
    "temperature of 0": ("treatments/1/temperature", 0.0, ["treatments[1].temperature", "0.0", "greater than 0"]),
    "budget of a treatment above N": ("treatments/3/budgets", [17], ["treatments[3].budgets", "17", "0…16"]),
    "repeated seed of a treatment": ("treatments/3/seeds", [1, 1], ["treatments", "seeds", "[1, 1]", "distinct"]),
    "mode not offered": ("methods/6/mode", "pipelined", ["methods[6].mode", "'pipelined'", "joint, continued"]),
    "updates of a joint training": ("methods/2/updates", 5, ["methods[2].updates", "5", "joint training takes"]),
    "learning rate of a joint training": ("methods/2/learning_rate", 0.1, ["methods[2].learning_rate", "0.1", LATE]),
    "learning rate of gates alone": ("methods/4/learning_rate", 0.1, ["methods[4].learning_rate", "0.1", LATE]),
    "learning rate of a score": ("methods/1/learning_rate", 0.1, ["methods[1].learning_rate", "'magnitude'", SCORE]),
    "trials of a score": ("methods/1/trials", 3, ["methods[1].trials", "3", "'magnitude'", SCORE]),
    "trials without a search": ("methods/2/trials", 3, ["methods[2].trials", "3", "'dsp'", "without a search"]),
    "trials of one training": ("methods/6/trials", 3, ["methods[6].trials", "3", "'drophead'", "without a search"]),
    "repeated seed of a model": ("models/tiny/seeds", [1, 1], ["models.tiny", "seeds", "[1, 1]", "distinct"]),
    "repeated budget of a model": ("models/tiny/budgets", [4, 4], ["models.tiny", "budgets", "[4, 4]", "distinct"]),
    "negative trials": ("methods/5/trials", -1, ["methods[5].trials", "-1", "greater than or equal to 0"]),
    "a sweep of a score": ("methods/1/coefficients", [0.1], ["methods[1].coefficients", "'magnitude'", SCORE]),
    "a sweep without a search": ("methods/2/coefficients", [0.1], ["methods[2].coefficients", "without a search"]),
    "a cap for a score": ("methods/1/updates_cap", 50, ["methods[1].updates_cap", "50", "'magnitude'", SCORE]),
    "a cap without a search": ("methods/2/updates_cap", 50, ["methods[2].updates_cap", "'dsp'", "without a search"]),
    "a cap of nothing": ("methods/5/updates_cap", 0, ["methods[5].updates_cap", "0", "greater than or equal to 1"]),
    "a cap below one training": (
        "methods/5/updates_cap",
        4,
        ["methods[5].updates_cap", "4", "less than the 5 updates of one training", "'tiny'"],
    ),
    "a cap below a joint training": (
        "methods/5",
        {"name": "l0", "mode": "joint", "updates_cap": VALID["models"]["tiny"]["training"]["updates"] - 1},
        ["methods[5].updates_cap", "less than the", "one training", "'tiny'"],
    ),
    "a falling sweep": ("methods/5/coefficients", [0.1, 0.01], ["methods[5].coefficients", "[0.1, 0.01]", "must rise"]),
    "a negative sweep": ("methods/5/coefficients", [-1, 1], ["methods[5].coefficients", "[-1.0, 1.0]", "from 0"]),
    "an empty sweep": ("methods/5/coefficients", [], ["methods[5].coefficients", "at least 1"]),
    "a value for what is searched": (
        "methods/5/options",
        {"penalty": 0.1},
        ["methods[5].options.penalty", "0.1", "'l0' searches for its value"],
    ),
    "draws of a search": ("methods/5/draws", 2, ["methods[5].draws", "2", "score methods"]),
    "unknown type": ("methods/4/types", ["decodr"], ["methods[4].types[0]", "'decodr'", "'decoder'"]),
    "no types": ("methods/4/types", [], ["methods[4].types", "at least 1"]),
    "negative minimum": ("methods/4/min_per_module", -1, ["methods[4].min_per_module", "-1", "greater than or equal"]),
    "budget below the types": ("methods/4/budgets", [9], ["methods[4]", "budget 9", "10 heads", "'tiny'", "`types`"]),
    "budget below the minimum": (
        "methods/1/min_per_module",
        1,
        ["methods[1]", "budget 6", "8 heads", "`min_per_module`"],
    ),
    "arm that reads like a draw": ("methods/4/arm", "draw1", ["methods[4].arm", "'draw1'", "`draws`"]),
    "repeated ablation": ("ablations/1", {"kind": "drop_one"}, ["ablations", "'drop_one'", "twice"]),
    "unknown ablation": ("ablations/1/kind", "drop_two", ["ablations[1].kind", "'drop_two'", "'drop_one'"]),
    "repeated seed of an ablation": ("ablations/1/seeds", [1, 1], ["ablations", "seeds", "[1, 1]", "distinct"]),
}


@pytest.mark.parametrize(("path", "value", "expected"), BAD_TREATED.values(), ids=BAD_TREATED.keys())
def test_bad_searches_scopes_and_treatments_are_refused(path: str, value: Any, expected: list[str]) -> None:
    message = refused(changed(path, value, TREATED))
    assert [part for part in expected if part not in message] == [], message


@pytest.mark.parametrize(("cap", "trainings"), [(5, 1), (9, 1), (10, 2), (None, None)])
def test_a_cap_is_as_many_whole_trainings_as_fit_into_it(cap: int | None, trainings: int | None) -> None:
    config = load(changed("methods/5/updates_cap", cap, TREATED))
    assert config.methods[5].most_trainings(1000) == trainings


def test_a_treatment_of_everything_leaves_out_what_prunes_nothing() -> None:
    config = load(TREATED)
    treated = [method.label for method in treated_by(config, config.treatments[2], config.registry())]
    assert treated == [method.label for method in config.methods if method.name != "unpruned"]
