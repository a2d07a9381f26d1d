"""Every profile of the repository is valid; every broken one is refused with the key, the value and the rule."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from headprune.config import Architecture, Config, ConfigError, load
from headprune.config.rules import treated_by

PROFILES = sorted((Path(__file__).parents[1] / "workflows" / "config").glob("*.yaml"))

# N = 2 · (2 + 2 · 3) = 16 heads
VALID: dict[str, Any] = {
    "profile": "unit",
    "seeds": [1, 2],
    "budgets": [16, 4, 0],
    "datasets": {"help": {"corpus": "lohelp-de-en", "vocabulary": 500}},
    "models": {
        "tiny": {
            "dataset": "help",
            "architecture": {
                "width": 32,
                "feed_forward": 32,
                "encoder_layers": 2,
                "decoder_layers": 3,
                "heads": 2,
            },
            "training": {"updates": 30},
        }
    },
    "methods": [
        {"name": "magnitude"},
        {"name": "random", "draws": 2},
        {"name": "gradient_importance", "arm": "iterative", "options": {"iterative": True}},
        {"name": "dsp", "arm": "joint", "mode": "joint"},
    ],
    "evaluation": {"beam": 2},
}


def changed(path: str, value: Any, base: dict[str, Any] = VALID) -> dict[str, Any]:
    """A copy of the valid configuration with the key at `path` (parts separated by `/`) set to `value`."""
    config = copy.deepcopy(base)
    section: Any = config
    *parents, last = path.split("/")
    for part in parents:
        section = section[int(part) if isinstance(section, list) else part]
    section[int(last) if isinstance(section, list) else last] = value
    return config


def refused(source: Any) -> str:
    with pytest.raises(ConfigError) as error:
        load(source)
    return str(error.value)


@pytest.fixture(autouse=True)
def nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Every test runs in an empty folder, which is empty afterwards."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield
    assert not list(folder.iterdir())


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_profiles_of_the_repository_load(path: Path) -> None:
    config = load(path)
    assert config.profile == path.stem
    assert all(0 <= budget <= m.architecture.n_heads for m in config.models.values() for budget in config.budgets)


def test_the_base_of_the_table_is_valid() -> None:
    config = load(VALID)
    assert isinstance(config, Config)
    assert config.models["tiny"].architecture.n_heads == 16
    assert [method.label for method in config.methods] == [
        "magnitude",
        "random",
        "gradient_importance.iterative",
        "dsp.joint",
    ]


def test_mapping_and_file_give_the_same_configuration(tmp_path: Path) -> None:
    path = tmp_path / "unit.yaml"
    path.write_text(yaml.safe_dump(VALID))
    assert load(path) == load(str(path)) == load(VALID)


def test_configuration_is_immutable() -> None:
    config = load(VALID)
    with pytest.raises(ValueError, match="frozen"):
        config.profile = "other"  # type: ignore[misc]


@pytest.mark.parametrize(("layers", "total"), [((1, 1), 6), ((6, 6), 36), ((2, 3), 16)])
def test_n_heads_counts_three_modules_per_layer_pair(layers: tuple[int, int], total: int) -> None:
    architecture = Architecture(width=64, heads=2, encoder_layers=layers[0], decoder_layers=layers[1])
    assert architecture.n_heads == total


# path of the changed key, bad value, what the message must hold: the key, the value, the rule
BAD = {
    "unknown method": ("methods/3/name", "dps", ["methods[3].name", "'dps'", "did you mean 'dsp'", "magnitude"]),
    "unknown method, nothing near": (
        "methods/0/name",
        "xyzzy",
        ["methods[0].name", "'xyzzy'", "available: ", " dsp, "],
    ),
    "unknown key": ("budgts", [1], ["budgts", "did you mean 'budgets'"]),
    "unknown key of a section": ("evaluation/baem", 2, ["evaluation.baem", "did you mean 'beam'"]),
    "unknown key of a dataset": (
        "datasets/help/vocabluary",
        500,
        ["datasets.help.vocabluary", "did you mean 'vocabulary'"],
    ),
    "unknown key of a model": ("models/tiny/trakc", "mt", ["models.tiny.trakc", "did you mean 'track'"]),
    "unknown key of an architecture": (
        "models/tiny/architecture/widht",
        32,
        ["models.tiny.architecture.widht", "did you mean 'width'"],
    ),
    "unknown key of a training": (
        "models/tiny/training/warm_up",
        3,
        ["models.tiny.training.warm_up", "did you mean 'warmup'"],
    ),
    "unknown key of a method": ("methods/2/optoins", {}, ["methods.2.optoins", "did you mean 'options'"]),
    "unknown dataset of a model": ("models/tiny/dataset", "hepl", ["models.tiny.dataset", "'hepl'", "'help'"]),
    "unknown corpus": ("datasets/help/corpus", "lohelp-de", ["datasets.help.corpus", "did you mean 'lohelp-de-en'"]),
    "negative budget": ("budgets", [4, -1], ["budgets", "-1", "not negative"]),
    "budget of N + 1": ("budgets", [4, 17], ["budgets", "17", "0…16", "'tiny'"]),
    "budget of a method above N": ("methods/0/budgets", [17], ["methods[0].budgets", "17", "0…16"]),
    "negative budget of a method": ("methods/0/budgets", [-1], ["methods", "budgets", "-1"]),
    "fractional budget": ("budgets", [2.5], ["budgets.0", "2.5", "integer"]),
    "budget that is a word": ("budgets", ["half"], ["budgets.0", "'half'", "integer"]),
    "repeated budget": ("budgets", [4, 4], ["budgets", "[4, 4]", "distinct"]),
    "no budget": ("budgets", [], ["budgets", "[]", "at least 1"]),
    "repeated seed": ("seeds", [1, 1], ["seeds", "[1, 1]", "distinct"]),
    "negative seed": ("seeds", [-1], ["seeds", "[-1]", "negative"]),
    "repeated seed of a method": ("methods/0/seeds", [1, 1], ["methods", "seeds", "[1, 1]", "distinct"]),
    "repeated budget of a method": ("methods/0/budgets", [4, 4], ["methods", "budgets", "[4, 4]", "distinct"]),
    "repeated label": (
        "methods/1",
        {"name": "dsp", "arm": "joint"},
        ["methods[3]", "'dsp.joint'", "twice", "another `arm`"],
    ),
    "unknown option": (
        "methods/2/options",
        {"estimatr": "example"},
        ["'gradient_importance'", "'estimatr'", "did you mean 'estimator'"],
    ),
    "option of another type": ("methods/3/options", {"start": "hot"}, ["'dsp'", "'start'", "'hot'", "float"]),
    "truth value for a number": ("methods/2/options", {"step": True}, ["'step'", "True", "int"]),
    "option outside its range": ("methods/3/options", {"cooldown": 1.5}, ["'dsp'", "'cooldown'", "1.5", "0 to 1"]),
    "joint score method": ("methods/0/mode", "joint", ["methods[0].mode", "'magnitude'", "score method"]),
    "updates of a score method": ("methods/0/updates", 5, ["methods[0].updates", "'magnitude'", "score method"]),
    "draws of a gate method": ("methods/3/draws", 2, ["methods[3].draws", "2", "score methods"]),
    "unknown mode": ("methods/3/mode", "jiont", ["methods.3.mode", "'jiont'", "'joint'"]),
    "width not a multiple of heads": (
        "models/tiny/architecture/heads",
        3,
        ["models.tiny.architecture", "width 32", "multiple of heads 3"],
    ),
    "no heads": ("models/tiny/architecture/heads", 0, ["models.tiny.architecture.heads", "0", "greater than or equal"]),
    "no methods": ("methods", [], ["methods", "[]", "at least 1"]),
    "no models": ("models", {}, ["models", "{}", "at least 1"]),
    "missing key": ("models/tiny/training", {}, ["models.tiny.training.updates", "required"]),
    "unknown schedule": ("models/tiny/training/schedule", "lin", ["training.schedule", "'lin'", "'linear'"]),
    "dropout of 1": ("models/tiny/architecture/dropout", 1.0, ["architecture.dropout", "1.0", "less than 1"]),
    "unsafe profile name": ("profile", "../x", ["profile name", "'../x'", "letters"]),
    "unsafe dataset name": ("datasets", {"a/b": VALID["datasets"]["help"]}, ["dataset name", "'a/b'", "letters"]),
    "unsafe arm": ("methods/0/arm", "a/../b", ["methods.0.arm", "'a/../b'", "letters"]),
    "methods folder that is not there": ("methods_directories", ["nowhere"], ["methods directory", "nowhere"]),
}


@pytest.mark.parametrize(("path", "value", "expected"), BAD.values(), ids=BAD.keys())
def test_bad_configurations_are_refused(path: str, value: Any, expected: list[str]) -> None:
    message = refused(changed(path, value))
    assert [part for part in expected if part not in message] == [], message


def test_all_faults_are_told_at_once() -> None:
    message = refused(changed("budgets", [], changed("seeds", [])))
    assert "seeds" in message
    assert "budgets" in message


def test_a_file_that_is_not_there_names_the_nearest() -> None:
    folder = PROFILES[0].parent
    message = refused(folder / "qiuck.yaml")
    assert "qiuck.yaml" in message
    assert "did you mean 'quick'" in message


def not_yaml(path: Path) -> None:
    path.write_text("profile: [unit\n")


def not_a_mapping(path: Path) -> None:
    path.write_text("- profile\n- unit\n")


def empty(path: Path) -> None:
    path.write_text("")


def not_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe profile")


@pytest.mark.parametrize("write", [not_yaml, not_a_mapping, empty, not_text])
def test_files_that_hold_no_configuration_are_refused(write: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    write(path)
    refused(path)


def test_yaml_tags_build_no_objects(tmp_path: Path) -> None:
    path = tmp_path / "unsafe.yaml"
    path.write_text(f"profile: !!python/object/apply:os.mkdir [{tmp_path / 'written'}]\n")
    assert "not YAML" in refused(path)
    assert not (tmp_path / "written").exists()


def test_numbers_that_snakemake_hands_over_as_text_are_numbers() -> None:
    """`--config seeds=[1,3]` arrives as ["1", "3"]."""
    config = load(PROFILES[0].parent / "smoke.yaml")
    changed = load(config.model_dump(exclude_defaults=True) | {"seeds": ["1", "3"], "budgets": ["11", "0"]})
    assert (changed.seeds, changed.budgets) == ([1, 3], [11, 0])


# What gate methods, searches, scopes and treatments may say. N = 16: modules of two heads, 4 + 6 + 6.
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


def test_the_base_of_the_treatments_is_valid() -> None:
    config = load(TREATED)
    assert [treatment.suffix for treatment in config.treatments] == ["ft", "distil", "twin", "scratch", "bc"]
    assert [treatment.trains for treatment in config.treatments] == [True, True, False, True, False]


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
    "unknown treatment": ("treatments/0/name", "finetune", ["treatments.0.name", "'finetune'", "'fine_tune'"]),
    "unknown key of a treatment": ("treatments/0/upates", 5, ["treatments.0.upates", "did you mean 'updates'"]),
    "treated twice": (
        "treatments/1",
        {"name": "fine_tune", "of": ["magnitude"]},
        ["treatments[1]", "magnitude+ft", "exists already", "another `arm`"],
    ),
    "treated twice by another name": ("treatments/2/arm", "ft", ["treatments[2]", "magnitude+ft", "another `arm`"]),
    "unsafe arm of a treatment": ("treatments/0/arm", "a+b", ["treatments.0.arm", "'a+b'", "letters"]),
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
        ["treatments.1.distillation", "1.5", "equal to 1"],
    ),
    "temperature of 0": ("treatments/1/temperature", 0.0, ["treatments.1.temperature", "0.0", "greater than 0"]),
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
    "negative trials": ("methods/5/trials", -1, ["methods.5.trials", "-1", "greater than or equal to 0"]),
    "a sweep of a score": ("methods/1/coefficients", [0.1], ["methods[1].coefficients", "'magnitude'", SCORE]),
    "a sweep without a search": ("methods/2/coefficients", [0.1], ["methods[2].coefficients", "without a search"]),
    "a falling sweep": ("methods/5/coefficients", [0.1, 0.01], ["methods.5.coefficients", "[0.1, 0.01]", "must rise"]),
    "a negative sweep": ("methods/5/coefficients", [-1, 1], ["methods.5.coefficients", "[-1.0, 1.0]", "from 0"]),
    "an empty sweep": ("methods/5/coefficients", [], ["methods.5.coefficients", "at least 1"]),
    "a value for what is searched": (
        "methods/5/options",
        {"penalty": 0.1},
        ["methods[5].options.penalty", "0.1", "'l0' searches for its value"],
    ),
    "draws of a search": ("methods/5/draws", 2, ["methods[5].draws", "2", "score methods"]),
    "unknown type": ("methods/4/types", ["decodr"], ["methods.4.types.0", "'decodr'", "'decoder'"]),
    "no types": ("methods/4/types", [], ["methods.4.types", "at least 1"]),
    "negative minimum": ("methods/4/min_per_module", -1, ["methods.4.min_per_module", "-1", "greater than or equal"]),
    "budget below the types": ("methods/4/budgets", [9], ["methods[4]", "budget 9", "10 heads", "'tiny'", "`types`"]),
    "budget below the minimum": (
        "methods/1/min_per_module",
        1,
        ["methods[1]", "budget 6", "8 heads", "`min_per_module`"],
    ),
    "arm that reads like a draw": ("methods/4/arm", "draw1", ["methods.4.arm", "'draw1'", "`draws`"]),
    "repeated ablation": ("ablations/1", {"kind": "drop_one"}, ["ablations", "'drop_one'", "twice"]),
    "unknown ablation": ("ablations/1/kind", "drop_two", ["ablations.1.kind", "'drop_two'", "'drop_one'"]),
    "repeated seed of an ablation": ("ablations/1/seeds", [1, 1], ["ablations", "seeds", "[1, 1]", "distinct"]),
}


@pytest.mark.parametrize(("path", "value", "expected"), BAD_TREATED.values(), ids=BAD_TREATED.keys())
def test_bad_searches_scopes_and_treatments_are_refused(path: str, value: Any, expected: list[str]) -> None:
    message = refused(changed(path, value, TREATED))
    assert [part for part in expected if part not in message] == [], message


def test_a_treatment_of_everything_leaves_out_what_prunes_nothing() -> None:
    config = load(TREATED)
    treated = [method.label for method in treated_by(config, config.treatments[2], config.registry())]
    assert treated == [method.label for method in config.methods if method.name != "unpruned"]
