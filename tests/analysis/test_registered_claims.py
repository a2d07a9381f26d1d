"""Verdicts say whether claims were noted before the results, after them, with another margin, or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_up_cells import N_HEADS, rows_of

from headprune.analysis.claims import Claim, evaluate
from headprune.analysis.registration import (
    AFTERWARDS,
    OF_PAPER,
    REGISTERED,
    deciding,
    register,
    registered_in,
    sentence,
    standing,
)
from headprune.analysis.tables import read

CHECK = {"predicate": "compare", "systems": ["dsp.joint"], "baselines": ["random"], "margin": -0.02}


def claim(name: str = "one", check: dict[str, Any] | None = None, **own: Any) -> Claim:
    given = {"text": "It is so.", "source": "somebody", "track": "mt", "margin_of": "ours", "least_n": 6} | own
    return Claim(id=name, check=CHECK | (check or {}), **given)


def noted(*claims: Claim, results: int = 0) -> dict[str, Any]:
    return register(claims) | {"registered": "2026-01-02T03:04:05+00:00", "results": results}


def test_the_digest_is_that_of_what_decides() -> None:
    text = json.dumps(deciding(claim()), sort_keys=True).encode()
    assert register([claim()])["claims"]["one"] == hashlib.sha256(text).hexdigest()
    assert json.loads(text)["check"]["margin"] == -0.02


@pytest.mark.parametrize(
    "change",
    [
        {"check": {"margin": -0.03}},
        {"check": {"direction": "below"}},
        {"check": {"baselines": ["random", "magnitude"]}},
        {"check": {"kept": [0, 0.5]}},
        {"check": {"least_budgets": 2}},
        {"least_n": 5},
        {"track": "lm"},
        {"model": "t*"},
    ],
    ids=str,
)
def test_what_decides_cannot_change_unseen(change: dict[str, Any]) -> None:
    assert register([claim(**change)]) != register([claim()])
    assert standing(claim(**change), [noted(claim())]) == AFTERWARDS


def test_keys_that_came_later_change_no_claim_that_does_not_use_them() -> None:
    assert "least_budgets" not in deciding(claim())["check"]
    assert register([claim(check={"least_budgets": 1})]) == register([claim()])


def test_wording_and_order_decide_nothing() -> None:
    assert register([claim(text="Other words.", note="A note.")]) == register([claim()])
    assert register([claim(), claim("two")]) == register([claim("two"), claim()])


def test_standing() -> None:
    assert standing(claim(), [noted(claim())]) == REGISTERED
    assert standing(claim(), []) == AFTERWARDS
    assert standing(claim(margin_of="paper"), []) == OF_PAPER
    assert standing(claim(), [noted(claim(), results=1)]) == AFTERWARDS  # too late
    assert standing(claim("two"), [noted(claim())]) == AFTERWARDS  # another one was added
    assert standing(claim(), [noted(claim()), noted(claim("two"))]) == AFTERWARDS  # one of two merged runs lacks it
    assert standing(claim(), [noted(claim()), noted(claim(), claim("two"))]) == REGISTERED


def test_captions_name_what_has_changed() -> None:
    now = [claim(check={"margin": 0.0}), claim("two"), claim("three")]
    told = sentence(now, [noted(claim(), claim("two"), claim("gone"))])
    assert told.startswith("Registered 2026-01-02T03:04:05+00:00, sha256 ")
    assert told.endswith("; changed since: gone, one; added since: three.")
    assert "after 7 results" in sentence(now, [noted(*now, results=7)])
    assert sentence(now, [noted(*now)]).endswith("; unchanged since.")
    assert sentence(now, []) == "Not registered before these results."


def test_manifests_of_runs_and_of_merged_runs(tmp_path: Path) -> None:
    note = noted(claim())
    for manifest, found in (
        ({"claims": note}, [note]),
        ({"claims": note, "merged": [{"claims": note}, {"claims": note}]}, [note, note]),
        ({"claims": note, "merged": [{"claims": note}, {}]}, []),
        ({}, []),
        ([], []),
    ):
        (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        assert registered_in(tmp_path) == found
    (tmp_path / "manifest.json").write_text("{", encoding="utf-8")
    assert registered_in(tmp_path) == []


def test_verdicts_say_it_and_need_the_seeds_that_were_registered(write: Callable) -> None:
    cells = {("unpruned", "", N_HEADS, seed): 20.0 for seed in range(7)}
    cells |= {("dsp", "joint", 4, seed): 15.0 + seed / 10 for seed in range(7)}
    cells |= {("random", "", 4, seed): 5.0 for seed in range(7)}
    folder = write(rows_of(cells))
    (folder / "manifest.json").write_text(json.dumps({"claims": noted(claim(), claim("two"))}), encoding="utf-8")
    table = evaluate([claim(), claim("two", least_n=8), claim("three", least_n=7)], read(folder)).set_index("id")
    assert table["registered"].tolist() == [REGISTERED, AFTERWARDS, AFTERWARDS]
    assert table["verdict"].tolist() == ["held", "undecidable", "held"]
    assert table.loc["two", "note"] == "7 seeds, fewer than the 8 of the claim"
