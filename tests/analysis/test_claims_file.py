"""The file of claims, and what is said about a wrong one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headprune.analysis.claims import KINDS, ClaimsError, load

FILE = Path(__file__).parents[2] / "paper_figures" / "claims.yaml"


def test_file_of_claims_is_valid() -> None:
    claims = load(FILE)
    assert len(claims) >= 15
    sources = " ".join(claim.source for claim in claims)
    assert all(name in sources for name in ("Li, Cotterell", "Shim", "Voita", "Michel"))
    assert {claim.check.predicate for claim in claims} == set(KINDS)  # no predicate that nothing uses
    assert {claim.track for claim in claims} == {"mt", "lm", "nli"}


GOOD = """
- id: fine
  text: It is so.
  source: somebody
  track: mt
  margin_of: ours
  least_n: 6
  check: {predicate: compare, margin: 0, systems: [dsp.joint], baselines: [random]}
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("compare", "comprae", "claim fine: check.predicate: unknown predicate 'comprae'; did you mean 'compare'?"),
        ("baselines", "baseline", "check.baseline: unknown key 'baseline'; did you mean 'baselines'?"),
        ("source", "sources", "claim fine: sources: unknown key 'sources'; did you mean 'source'?"),
        ("track: mt", "track: nil", "claim fine: track: unknown track 'nil'; did you mean 'nli'?"),
        ("[random]", "[]", "claim fine: check.baselines: []:"),
        ("[random]}", "[random], kept: [0.5, 0.1]}", "the first share may not be larger"),
        ("[random]}", "[random], kept: [0.5, 1.5]}", "check.kept.1: 1.5:"),
        (
            "predicate: compare, margin: 0, systems: [dsp.joint], baselines: [random]",
            "predicate: saving, margin: 0, systems: [dsp.joint], metric: parametres",
            "unknown metric 'parametres'; did you mean 'parameters'?",
        ),
        ("margin: 0, ", "", "claim fine: check.margin: this key is required"),
        ("  least_n: 6\n", "", "claim fine: least_n: this key is required"),
        ("least_n: 6", "least_n: 0", "claim fine: least_n: 0:"),
        ("margin_of: ours", "margin_of: mine", "claim fine: margin_of: 'mine':"),
        ("- id", "- {}\n- id", "claim [0]: id: this key is required"),
    ],
)
def test_wrong_files_are_explained(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ClaimsError, match=re.escape(message)):
        load(path)


def test_an_id_is_given_once(tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(GOOD * 2, encoding="utf-8")
    with pytest.raises(ClaimsError, match="claim fine: this id is given twice"):
        load(path)
    path.write_text("a: [", encoding="utf-8")
    with pytest.raises(ClaimsError, match="not a readable YAML file"):
        load(path)
