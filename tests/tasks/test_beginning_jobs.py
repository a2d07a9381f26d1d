"""Weights that trainings begin with, through the jobs of a profile: who waits for them, what they are and cost."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import Any

import pytest
import released_roberta
import torch
import verses

from headprune import removal
from headprune.config import ConfigError, load
from headprune.heads import HeadSpace
from headprune.pipeline import estimate
from headprune.pipeline.cells import Job
from headprune.pipeline.context import ModelContext
from headprune.pipeline.identity import dense_identity, pretrained_identity
from headprune.pipeline.inventory import Inventory
from headprune.pipeline.plan import Plan
from headprune.pipeline.planned import origin
from headprune.pipeline.specification import specification
from headprune.results.jobs import JOBS
from headprune.results.provenance import file_sha256
from headprune.training.digests import model_digest
from tests.checkpoints.own_profile import run

TRAINING = {"updates": 4, "batch_size": 8, "learning_rate": 0.003, "warmup": 2, "schedule": "linear"}
PRETRAINING = TRAINING | {"updates": 6, "batch_size": 16}
MODEL = {"track": "nli", "dataset": "own", "architecture": released_roberta.ARCHITECTURE, "training": TRAINING}
METHODS: list[dict[str, Any]] = [
    {"name": "unpruned"},
    {"name": "magnitude"},
    {"name": "dsp", "mode": "joint", "options": {"cooldown": 0.5}},
]
SCRATCH = {"name": "from_scratch", "of": ["magnitude"]}


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return released_roberta.write(tmp_path_factory.mktemp("released") / "roberta.tiny")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return verses.write(tmp_path_factory.mktemp("verses") / "own")


def profile(own: Path, results: Path, start: Any, dataset: Any = None, **changes: Any) -> dict[str, Any]:
    """:param start: of the model; None: random weights"""
    data = {"track": "nli", "corpus": str(own), **(dataset or {"vocabulary": 250})}
    model = MODEL | ({"start": start} if start is not None else {})
    sections = {"datasets": {"own": data}, "models": {"judge": model}, "methods": METHODS, "treatments": [SCRATCH]}
    lists = {"seeds": [1], "budgets": [2], "calibration": {"sentences": 20}}
    return copy.deepcopy({"profile": "own", "results": str(results), **sections, **lists, **changes})


@pytest.fixture(scope="module")
def finished(own: Path, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A run of all jobs of a model that is pre-trained, once for all tests, which leave it as it is."""
    return run(profile(own, tmp_path_factory.mktemp("results"), {"pretraining": PRETRAINING}), without=("speed",))


def record(plan: Plan, place: str) -> Any:
    return json.loads((plan.folder / place).read_text(encoding="utf-8"))


def test_all_trainings_wait_for_the_weights_that_they_begin_with(finished: Plan) -> None:
    waiting = {job.name for job in finished.jobs if Job("pretrain", "judge", seed=1) in finished.needs(job)}
    scratch = "retrain/judge/magnitude+scratch/k2/s1"
    assert waiting == {"dense/judge/s1", "gates/judge/dsp/k2/s1", scratch}
    cells = [json.loads(path.read_text(encoding="utf-8")) for path in finished.run.records("test")]
    assert [cell["status"] for cell in cells] == ["ok"] * 4


def test_trainings_begin_with_the_same_weights_but_for_heads_that_are_removed(finished: Plan) -> None:
    dense, joint = record(finished, "dense/judge/s1.json"), record(finished, "cells/judge/dsp/k2-s1/pruned.json")
    assert dense["trainings"][0]["initial_weights"] == joint["trainings"][0]["initial_weights"]
    pretrained = removal.load(finished.folder / "pretrained/judge/s1.pt")
    assert model_digest(pretrained) not in (dense["trainings"][0]["initial_weights"], model_digest(_random(finished)))
    scratch = removal.load(finished.folder / "cells/judge/magnitude+scratch/k2-s1/model.pt")
    assert len(HeadSpace.of(scratch)) == 2
    unused = "encoder.lm_head.dense.weight"  # labels give it no gradient, so that it stays as it was
    for place in (
        "cells/judge/magnitude+scratch/k2-s1/model.pt",
        "cells/judge/dsp/k2-s1/model.pt",
        "dense/judge/s1.pt",
    ):
        assert torch.equal(removal.load(finished.folder / place).state_dict()[unused], pretrained.state_dict()[unused])
    assert not torch.equal(_random(finished).state_dict()[unused], pretrained.state_dict()[unused])


def _random(plan: Plan) -> Any:
    model = removal.load(plan.folder / "pretrained/judge/s1.pt")
    torch.manual_seed(1)
    return removal.kind_of(model).build(removal.plain_arguments(model.cfg), [model.encoder.dictionary])


def test_costs_count_the_pretraining(finished: Plan) -> None:
    before, dense = record(finished, "pretrained/judge/s1.json"), record(finished, "dense/judge/s1.json")
    assert before["updates"] == 6 and len(before["trainings"]) == 1
    assert 0 < before["seconds"] < dense["seconds"]
    for cell in ("dsp/k2-s1", "magnitude+scratch/k2-s1"):
        assert record(finished, f"cells/judge/{cell}/pruned.json")["train_seconds"] > before["seconds"]


def test_the_plan_counts_the_jobs_and_their_updates(finished: Plan) -> None:
    job, dense = Job("pretrain", "judge", seed=1), Job("dense", "judge", seed=1)
    assert [estimate.updates(finished, each) for each in (job, dense)] == [6, 4]
    costs = [estimate.update_cost(finished, "judge", JOBS[kind]) for kind in ("pretrain", "dense")]
    assert costs[0] == pytest.approx(2 * costs[1])  # twice the pairs
    assert origin(finished.config.models["judge"]) == "4 updates after 6 of pre-training"
    several = profile(Path(finished.config.datasets["own"].corpus), finished.folder, {"pretraining": PRETRAINING})
    found = Plan(load(several | {"seeds": [1, 2], "methods": METHODS[2:], "treatments": []})).jobs
    assert [job.name for job in found if job.kind in ("pretrain", "dense")] == [
        "pretrain/judge/s1",
        "pretrain/judge/s2",
    ]


def test_seeds_can_share_one_pretraining(own: Path, tmp_path: Path) -> None:
    """Trained for the seed it names, which need not be one of those that run; the weights of all others, too."""
    start = {"pretraining": PRETRAINING, "seed": 7}
    plan = run(profile(own, tmp_path, start, seeds=[1, 2], methods=METHODS[:1], treatments=[]), without=("speed",))
    before = Job("pretrain", "judge", seed=7)
    assert [job for job in plan.jobs if job.kind == "pretrain"] == [before]
    assert {job.name for job in plan.jobs if before in plan.needs(job)} == {"dense/judge/s1", "dense/judge/s2"}
    assert origin(plan.config.models["judge"]) == "4 updates after 6 of pre-training, the same for every seed"
    records = [record(plan, f"dense/judge/s{seed}.json") for seed in (1, 2)]
    encoders = [removal.load(plan.folder / f"dense/judge/s{seed}.pt").state_dict() for seed in (1, 2)]
    unused = "encoder.lm_head.dense.weight"  # labels give it no gradient, so that it stays as it was
    assert torch.equal(encoders[0][unused], encoders[1][unused])
    trained = "encoder.sentence_encoder.layers.0.fc1.weight"
    assert not torch.equal(encoders[0][trained], encoders[1][trained])
    assert all(each["seconds"] > record(plan, "pretrained/judge/s7.json")["seconds"] for each in records)


def test_a_checkpoint_is_not_drawn_by_a_seed(own: Path, roberta: Path, tmp_path: Path) -> None:
    start = {"checkpoint": str(roberta / "model.pt"), "seed": 1}
    with pytest.raises(ConfigError, match="seed is 1; a `checkpoint` is what it is"):
        load(profile(own, tmp_path, start, {"gpt2": str(roberta)}))


def test_what_is_lost_is_found(finished: Plan) -> None:
    assert "pretrain/judge/s1" not in {damage.job for damage in Inventory(finished.folder).damages()}
    path = finished.folder / "pretrained/judge/s1.pt"
    content = path.read_bytes()
    path.unlink()
    try:
        with pytest.raises(RuntimeError, match=r"pretrained/judge/s1.pt is lost; `headprune retry` has it made again"):
            context(finished).beginning()
    finally:
        path.write_bytes(content)


def context(plan: Plan) -> ModelContext:
    return ModelContext.of(specification(plan, Job("pretrain", "judge", seed=1)))


def test_signatures_depend_on_the_start(finished: Plan) -> None:
    own = Path(finished.config.datasets["own"].corpus)

    def identities(start: Any, **training: Any) -> tuple[Any, Any]:
        changed = profile(own, finished.folder, start)
        changed["models"]["judge"]["training"] |= training
        found = context(Plan(load(changed), finished.folder))
        return pretrained_identity(found), dense_identity(found)

    plain = identities({"pretraining": PRETRAINING})
    more, other = (
        identities({"pretraining": PRETRAINING | {"mask": 0.3}}),
        identities({"pretraining": PRETRAINING}, updates=5),
    )
    assert more[0] != plain[0] and more[1] != plain[1]
    assert other[0] == plain[0] and other[1] != plain[1]
    assert "start" not in identities(None)[1]["settings"]


def test_a_checkpoint_begins_the_trainings_and_counts_by_its_content(roberta: Path, own: Path, tmp_path: Path) -> None:
    start = {"checkpoint": str(roberta / "model.pt")}
    only = {"methods": METHODS[:1], "treatments": []}
    plan = run(profile(own, tmp_path, start, {"gpt2": str(roberta)}, **only), without=("speed",))
    before, dense = record(plan, "pretrained/judge/s1.json"), record(plan, "dense/judge/s1.json")
    assert before["given"] == {"sha256": file_sha256(roberta / "model.pt")} and before["seconds"] is None
    assert (before["status"], dense["status"]) == ("ok", "ok")
    assert dense_identity(context(plan))["settings"]["start"] == {"checkpoint": file_sha256(roberta / "model.pt")}
    assert set(dense_identity(context(plan))["data"]["recipe"]) == {"gpt2"}
    assert estimate.seconds(plan, Job("pretrain", "judge", seed=1)) < 10
    assert origin(plan.config.models["judge"]) == f"4 updates from {roberta / 'model.pt'}"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "sizes": (
        {"architecture": released_roberta.ARCHITECTURE | {"layers": 3}},
        r"models\.judge\.start\.checkpoint: .*model\.pt has encoder_layers = 2, architecture\.layers is 3: they must",
    ),
    "positions": (
        {"architecture": released_roberta.ARCHITECTURE | {"positions": 300}},
        r"model\.pt has 256 positions, architecture\.positions is 300: at most as many",
    ),
    "neither": (
        {"start": {}},
        r"one of `checkpoint`, weights of others, and `pretraining`, weights made here, is needed",
    ),
    "both": ({"start": {"checkpoint": "a", "pretraining": {"updates": 1}}}, r"one of `checkpoint`.* is needed"),
    "shares": (
        {"start": {"pretraining": {"updates": 1, "random": 0.6, "unchanged": 0.6}}},
        r"random 0\.6 and unchanged 0\.6 are more than 1 together",
    ),
    "a slip": ({"start": {"checkpont": "a"}}, r"unknown key 'checkpont'; did you mean 'checkpoint'\?"),
    "no file": ({"start": {"checkpoint": "nowhere.pt"}}, r"start\.checkpoint: .*nowhere\.pt"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_starts_are_refused(roberta: Path, own: Path, tmp_path: Path, change: Any, message: str) -> None:
    section = profile(own, tmp_path, {"checkpoint": str(roberta / "model.pt")}, {"gpt2": str(roberta)})
    section["models"]["judge"] |= change
    with pytest.raises(ConfigError, match=message):
        load(section)


def test_bad_files_are_refused_in_time(roberta: Path, own: Path, tmp_path: Path) -> None:
    """No wall clock: processor time, of one that has imported torch."""
    start, gpt2 = {"checkpoint": str(roberta / "model.pt")}, {"gpt2": str(tmp_path / "gpt2")}
    (tmp_path / "gpt2").mkdir()
    for name in ("encoder.json", "vocab.bpe"):
        (tmp_path / "gpt2" / name).write_bytes((roberta / name).read_bytes())
    begun = time.process_time()
    refused(own, tmp_path, start, gpt2, r"gpt2 must hold encoder\.json, vocab\.bpe, dict\.txt; it lacks dict\.txt")
    (tmp_path / "gpt2" / "dict.txt").write_text("7 1\n8 1\n", encoding="utf-8")
    refused(
        own, tmp_path, start, gpt2, r"embeddings of 269 symbols; .*dict\.txt has 6, .*the dictionary of another model"
    )
    refused(
        own, tmp_path, start, {"vocabulary": 250}, r"start\.checkpoint: dataset 'own' has subwords and a dictionary of"
    )
    refused(own, tmp_path, start, gpt2 | {"vocabulary": 250}, r"vocabulary is 250, beside `gpt2`")
    (tmp_path / "text.pt").write_text("no model", encoding="utf-8")
    refused(
        own, tmp_path, {"checkpoint": str(tmp_path / "text.pt")}, {"gpt2": str(roberta)}, r"text\.pt is damaged, or no"
    )
    torch.save({"model": {"a": torch.zeros(1)}, "args": {"arch": "transformer"}}, tmp_path / "other.pt")
    refused(
        own, tmp_path, {"checkpoint": str(tmp_path / "other.pt")}, {"gpt2": str(roberta)}, r"architecture 'transformer'"
    )
    assert time.process_time() - begun < 5


def refused(own: Path, folder: Path, start: Any, dataset: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(profile(own, folder, start, dataset))
