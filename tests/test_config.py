"""Every profile of the repository is valid; every broken one is refused with the key, the value and the rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from configurations import VALID, changed, refused
from rich.console import Console

from headprune.config import Architecture, Config, ConfigError, Execution, load
from headprune.pipeline import limits, planned
from headprune.pipeline.plan import Plan

pytestmark = pytest.mark.usefixtures("nothing_is_written")
PROFILES = sorted((Path(__file__).parents[1] / "workflows" / "config").glob("*.yaml"))


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_profiles_of_the_repository_load(path: Path) -> None:
    config = load(path)
    assert config.profile == path.stem
    assert all(0 <= budget <= m.architecture.n_heads for m in config.models.values() for budget in config.budgets)


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_profiles_of_the_repository_are_planned(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Their corpora are not there, and nothing is fetched."""
    monkeypatch.setenv("HEADPRUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HEADPRUNE_MIRROR", raising=False)
    config = load(path)
    plan = Plan(config)
    limits.check_data(plan)
    planned.show(Console(quiet=True), plan, cores=2)
    assert len(plan.cells) >= len(config.seeds)


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


def test_paths_begin_at_the_folder_of_the_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder that it is called from does not matter; a known name is no path; results begin elsewhere."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    elsewhere.mkdir()
    for split in ("train", "valid", "test"):
        for name, line in (("talks-de-en", "ja\tyes\n"), ("pairs", "it rains\tit is wet\tyes\n")):
            (home / name).mkdir(parents=True, exist_ok=True)
            (home / name / f"{split}.tsv").write_text(line, encoding="utf-8")
        (home / "novel").mkdir(exist_ok=True)
        (home / "novel" / f"{split}.txt").write_text("a line\n", encoding="utf-8")
    (home / "methods").mkdir()
    datasets = VALID["datasets"] | {
        "talks": {"corpus": "talks-de-en"},
        "novel": {"corpus": "../home/novel", "track": "lm"},
        "pairs": {"corpus": "./pairs", "track": "nli"},
    }
    profile = VALID | {"datasets": datasets, "methods_directories": ["methods"], "mirror": "downloads"}
    (home / "own.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")
    monkeypatch.chdir(elsewhere)
    config = load(Path("../home/own.yaml"))
    found = {name: section.corpus for name, section in config.datasets.items()}  # type: ignore[attr-defined]
    assert found == {"help": "lohelp-de-en"} | {
        name: str(home / Path(datasets[name]["corpus"]).name) for name in found if name != "help"
    }
    assert (config.methods_directories, config.mirror) == ([str(home / "methods")], str(home / "downloads"))
    assert config.results == "results"
    with pytest.raises(ConfigError, match=f"unknown dataset 'talk-de-en';.* there is no {home}/talk-de-en"):
        load(profile | {"datasets": {"help": {"corpus": "talk-de-en"}}}, home)
    assert load(VALID | {"mirror": "https://example.org/x"}, home).mirror == "https://example.org/x"


INSTEAD: dict[str, tuple[str, Any, str]] = {
    "a share of the heads": ("budgets", ["50%"], "budgets[0]: '50%': must be a whole number of heads, such as 12, not"),
    "a share, of an entry": (
        "methods/1/budgets",
        ["9%"],
        "methods[1].budgets[0] of 'random': '9%': must be a whole num",
    ),
    "a number for a list": ("budgets", 6, "budgets: 6: must be a list; write [6]"),
    "a budget twice": ("budgets", [6, 8, 6], "budgets: [6, 8, 6]: 6 stands there twice; numbers must be distinct"),
    "a negative budget": ("budgets", [6, -1], "budgets: [6, -1]: -1 must not be negative"),
    "a name for an entry": (
        "methods/0",
        "fisher",
        "methods[0]: 'fisher': must have keys with values below it; write {name: fisher}",
    ),
    "a name for all": ("methods", "fisher", "methods: 'fisher': must be a list; write [{name: fisher}]"),
    "an ablation's kind": ("ablations", ["drop_one"], "write {kind: drop_one}"),
    "a list for a mapping": ("models", ["tiny"], "models: ['tiny']: must have keys with values below it, not a list"),
    "initials": ("models/tiny/training/lr", 0.1, "unknown key 'lr'; did you mean 'learning_rate'?"),
    "a key of an entry": ("methods/3/mod", 1, "methods[3].mod of 'dsp.joint': unknown key 'mod'; did you mean 'mode'?"),
    "a long text": ("methods/3/options", {"x": "y" * 2000}, "methods[3].options.x: 'yyy"),
}


@pytest.mark.parametrize("case", INSTEAD)
def test_errors_say_what_to_write(case: str) -> None:
    """One line for a slip, the entry by its place and its label."""
    path, value, message = INSTEAD[case]
    assert message in refused(changed(path, value))


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
    "unknown key of a method": ("methods/2/optoins", {}, ["methods[2].optoins", "did you mean 'options'"]),
    "unknown dataset of a model": ("models/tiny/dataset", "hepl", ["models.tiny.dataset", "'hepl'", "'help'"]),
    "unknown corpus": ("datasets/help/corpus", "lohelp-de", ["datasets.help.corpus", "did you mean 'lohelp-de-en'"]),
    "negative budget": ("budgets", [4, -1], ["budgets", "-1", "must not be negative"]),
    "budget of N + 1": ("budgets", [4, 17], ["budgets", "17", "0…16", "'tiny'"]),
    "budget of a method above N": ("methods/0/budgets", [17], ["methods[0].budgets", "17", "0…16"]),
    "negative budget of a method": ("methods/0/budgets", [-1], ["methods", "budgets", "-1"]),
    "fractional budget": ("budgets", [2.5], ["budgets[0]", "2.5", "whole number"]),
    "budget that is a word": ("budgets", ["half"], ["budgets[0]", "'half'", "whole number"]),
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
    "unknown mode": ("methods/3/mode", "jiont", ["methods[3].mode", "'jiont'", "'joint'"]),
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
    "unsafe arm": ("methods/0/arm", "a/../b", ["methods[0].arm", "'a/../b'", "letters"]),
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
    path.write_text("profile: [unit\n", encoding="utf-8")


def not_a_mapping(path: Path) -> None:
    path.write_text("- profile\n- unit\n", encoding="utf-8")


def empty(path: Path) -> None:
    path.write_text("", encoding="utf-8")


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


def test_attempts_ask_for_more_and_workers_for_memory_of_their_own() -> None:
    execution = Execution(memory_mb={"gates": 3000}, max_memory_mb=40_000, gpus="training")
    asked = [execution.memory_of("gates", attempt, workers) for attempt, workers in ((1, 1), (2, 1), (1, 8), (2, 8))]
    assert asked == [3000, 6000, 24_000, 40_000]
    assert [execution.gpus_of(kind, 8) for kind in ("data", "gates", "test")] == [0, 8, 0]
