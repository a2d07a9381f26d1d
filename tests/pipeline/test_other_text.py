"""Masks found on the text of another dataset: what waits for it, what is computed, and what signatures say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from headprune.data import TranslationRecipe, corpus, prepare
from headprune.importance import head_importance, normalise_per_module
from headprune.method import Ranking
from headprune.pipeline.store import read_json
from headprune.tasks.translation.corpus import RereadCorpus, TranslationCorpus

DATASETS = {"help": {"corpus": "lohelp-de-en"}, "other": {"corpus": "lohelp-de-en", "max_words": 4}}
OTHER = {"datasets": DATASETS, "calibration": {"sentences": 30, "corpus": "other"}}
METHODS = [{"name": "gradient_importance"}, {"name": "dsp", "mode": "joint"}]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> TranslationCorpus:
    """Sentences of four words at most, cut into pieces of their own."""
    folder = tmp_path_factory.mktemp("other") / "prepared"
    prepare(corpus("lohelp-de-en"), TranslationRecipe(vocabulary=300, max_words=4), folder)
    return TranslationCorpus(folder)


def names(jobs: Any) -> set[str]:
    return {job.name for job in jobs}


def test_what_finds_masks_waits_for_the_other_text(start: Callable[..., Any]) -> None:
    """The unpruned model does not, and without the key the other dataset is nobody's."""
    plain, plan = (start(METHODS, name=name, **changes).plan for name, changes in (("a", {}), ("b", OTHER)))
    assert names(plan.jobs) - names(plain.jobs) == {"data/other"}
    for job in plan.jobs:
        waits = "data/other" in names(plan.needs(job))
        assert waits == (job.kind in ("score", "gates")), job
    assert not any("data/other" in names(plain.needs(job)) for job in plain.jobs)
    order = [job.name for job in plan.jobs]
    assert all(order.index(need) < order.index(job.name) for job in plan.jobs for need in names(plan.needs(job)))


def test_masks_are_those_of_the_other_text(
    start: Callable[..., Any], small: TranslationCorpus, other: TranslationCorpus
) -> None:
    """Importance on 30 sentences of it, in the model's own pieces; not those of the model's own dataset."""
    runs = {}
    for name, changes in (("a", {}), ("b", OTHER)):
        runs[name] = run = start(METHODS, name=name, **changes)
        (run.plan.folder / "data" / "other").symlink_to(other.folder)
        assert run.job("score", "all-score")["status"] == "ok"
    run = runs["b"]
    model = run.dense
    scores = head_importance(model, RereadCorpus(small, other.folder).sample_train(30, 1, 4000))
    space = run.plan.config.models["tiny"].architecture.head_space
    expected = Ranking.by_score(space, normalise_per_module(scores, space))
    found = {
        name: {cell.budget: each.record(cell)["mask"] for cell in each.cells("gradient_importance")}
        for name, each in runs.items()
    }
    for budget, kept in found["b"].items():
        assert kept == list(expected.mask(budget).names())
    assert found["a"] != found["b"]


def test_a_job_reads_every_text_once(
    start: Callable[..., Any], small: TranslationCorpus, other: TranslationCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job of all score methods asks for its batches once for every method."""
    made: list[str] = []
    for kind in (TranslationCorpus, RereadCorpus):

        def init(self: Any, *values: Any, kind: Any = kind, init: Any = kind.__init__, **named: Any) -> None:
            made.extend([kind.__name__] if type(self) is kind else [])
            init(self, *values, **named)

        monkeypatch.setattr(kind, "__init__", init)
    run = start([{"name": "gradient_importance"}, {"name": "drop_one"}], **OTHER)
    (run.plan.folder / "data" / "other").symlink_to(other.folder)
    cells = run.job("score", "all-score")["cells"].values()
    assert {cell["status"] for cell in cells} == {"ok"}
    assert sorted(made) == ["RereadCorpus", "TranslationCorpus"]


def test_signatures_name_the_other_text(start: Callable[..., Any], other: TranslationCorpus) -> None:
    run = start(METHODS, **OTHER)
    (run.plan.folder / "data" / "other").symlink_to(other.folder)
    run.job("score", "all-score")
    identity = read_json(run.path(run.cells("gradient_importance")[0]) / "identity.json")
    assert identity["calibration"]["corpus"] == "other"
    assert identity["calibration_data"]["sha256"] == other.statistics["sha256"]["train+valid"]
    assert identity["data"]["sha256"] != identity["calibration_data"]["sha256"]
    plain = start(METHODS, name="plain")
    plain.job("score", "all-score")
    assert "calibration_data" not in read_json(plain.path(plain.cells("gradient_importance")[0]) / "identity.json")
