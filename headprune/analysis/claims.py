"""A file of claims, each a predicate over results, and what the results say to them."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from math import isclose, isnan
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from headprune.analysis.evidence import Evidence
from headprune.analysis.predicates import ALL, Comparison, Predicate
from headprune.analysis.registration import registered_in, standing
from headprune.analysis.tables import GROUP, Results
from headprune.analysis.verdicts import HELD, NO_DATA, NOT_HELD, UNDECIDABLE, UNDECIDED, Decision
from headprune.naming import unknown
from headprune.statistics.base import LEVEL
from headprune.statistics.seeds import ALPHA
from headprune.tasks import TASKS

ELSEWHERE = "elsewhere"  # of a track or of methods that the results are not about
COLUMNS = [
    "id",
    "source",
    "text",
    *GROUP,
    "verdict",
    "registered",
    "effect",
    "low",
    "high",
    "level",
    "p_value",
    "p_floor",
    "wanted",
    "margin_of",
    "n",
    "unit",
    "decided_by",
    "note",
]
WORST_FIRST = (NOT_HELD, UNDECIDABLE, UNDECIDED, HELD)
KINDS = {get_args(kind.model_fields["predicate"].annotation)[0]: kind for kind in ALL}
_AnyPredicate: Any = Annotated[functools.reduce(operator.or_, ALL), Field(discriminator="predicate")]


class ClaimsError(ValueError):
    """A file of claims that breaks a rule; the message names the claim, key, value and the nearest valid name."""


class Claim(BaseModel):
    """One claim of a paper."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9-]+$")
    text: str = Field(min_length=1)
    source: str = Field(min_length=1)  # paper and place
    track: str
    model: str = "*"  # a pattern of names: of the models that it is about
    note: str = ""  # what a reader of the verdict must know
    margin_of: Literal["paper", "ours"]  # who has set the margin
    least_n: int = Field(ge=1)  # seeds below which there is no verdict; what is settled needs none
    check: _AnyPredicate  # one of the classes of headprune.analysis.predicates


def load(path: Path) -> list[Claim]:
    """Reads and checks a file: a list of claims.

    :returns: the claims, in the order of the file
    :raises ClaimsError: whatever is wrong with it, all of it at once.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ClaimsError(f"{path} is not a readable YAML file: {error}") from error
    if not isinstance(content, list) or not content:
        raise ClaimsError(f"{path} holds no list of claims")
    claims, problems, seen = [], [], set()
    for position, entry in enumerate(content):
        name = entry.get("id", f"[{position}]") if isinstance(entry, dict) else f"[{position}]"
        try:
            claim = Claim.model_validate(entry)
        except ValidationError as error:
            problems += [f"claim {name}: {line}" for line in _explain(error, entry)]
            continue
        if claim.track not in TASKS:
            problems.append(f"claim {name}: track: " + unknown("track", claim.track, TASKS))
        if claim.id in seen:
            problems.append(f"claim {name}: this id is given twice")
        if "margin" not in claim.check.model_fields_set:
            problems.append(f"claim {name}: check.margin: this key is required")
        seen.add(claim.id)
        claims.append(claim)
    if problems:
        raise ClaimsError(f"{path} is not valid:\n  " + "\n  ".join(problems))
    return claims


def evaluate(claims: list[Claim], results: Results) -> pd.DataFrame:
    """One row per claim and model of its track, with the columns COLUMNS.

    A claim with several comparisons holds when all of them do, and does not when one of them does not
    (`headprune.analysis.verdicts`); what is shown is the comparison that decides. A claim of which a comparison cannot
    be made is not held, however the others come out: it is undecided at best. One whose track or methods are not in
    the results has the verdict ELSEWHERE.
    """
    groups = [Evidence(results, group) for group in results.groups()]
    rows, registrations = [], registered_in(results.folder)
    for claim in claims:
        track = [evidence for evidence in groups if evidence.track == claim.track]
        own = [evidence for evidence in track if fnmatchcase(evidence.group[3], claim.model)]
        rows += [_row(claim, dict(zip(GROUP, e.group, strict=True)), list(claim.check.parts(e))) for e in own]
        if not own:
            nowhere = dict.fromkeys(GROUP, "") | {"track": claim.track}
            rows.append(_row(claim, nowhere, [_absent(claim, bool(track))]))
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.assign(registered=table["id"].map({c.id: standing(c, registrations) for c in claims}))


def effect_text(row: Mapping[str, Any], digits: int = 3) -> str:
    """The effect of a row of verdicts in words, `0.12 [0.03, 0.21]`; a dash without data.

    The level of the interval follows where it is not the one of all others, `at 99 %`.

    :param row: keys of COLUMNS; "" or NaN, or no such key, for what is not known
    """
    effect, low, high, level = (_number(row.get(key)) for key in ("effect", "low", "high", "level"))
    if isnan(effect):
        return "–"
    at = "" if isnan(level) or isclose(level, LEVEL) else f" at {100 * level:g} %"
    interval = "" if isnan(low) or isnan(high) else f" [{low:.{digits}g}, {high:.{digits}g}]{at}"
    return f"{effect:.{digits}g}{interval}".replace("-", "−")


def _number(value: Any) -> float:
    return float("nan") if value in ("", None) else float(value)


def elsewhere(table: pd.DataFrame) -> str:
    """The sentence that names the claims which the results are not about; empty where they are about all."""
    told = set(table.loc[table["verdict"] != ELSEWHERE, "id"])
    own = table[(table["verdict"] == ELSEWHERE) & ~table["id"].isin(told)].drop_duplicates("id")
    parts = [f"{', '.join(part['id'])} ({reason!s})" for reason, part in own.groupby("note", sort=False)]
    return f"Not about these results: {'; '.join(parts)}." if parts else ""


def _absent(claim: Claim, has_track: bool) -> Comparison:
    what = f"no model {claim.model} is" if has_track else f"track {claim.track} is not"
    return Comparison("", missing=f"{what} in the results", elsewhere=True)


def _row(claim: Claim, group: dict[str, str], parts: list[Comparison]) -> dict[str, Any]:
    check: Predicate = claim.check
    row: dict[str, Any] = {"id": claim.id, "source": claim.source, "text": " ".join(claim.text.split())} | group
    row |= {"wanted": check.wanted(), "margin_of": claim.margin_of, "unit": check.unit}
    missing = list(dict.fromkeys(part.missing for part in parts if part.missing))
    known = [part for part in parts if not part.missing]
    if not known and all(part.elsewhere for part in parts):
        return row | {"verdict": ELSEWHERE, "n": 0, "note": "; ".join(missing)}
    if not known:
        return row | {"verdict": NO_DATA, "n": 0, "note": f"no data: {'; '.join(missing)}"}
    found = [(part, _decide(claim, part, len(known))) for part in known]
    worst = min((decision.verdict for _, decision in found), key=WORST_FIRST.index)
    part, decision = _weakest([pair for pair in found if pair[1].verdict == worst], check)
    notes = [_why_no_interval(part, decision, claim.least_n)]
    notes += [claim.note, f"{part.lost} cell{'s' * (part.lost != 1)} without a result left out" if part.lost else ""]
    notes += [f"no data: {'; '.join(missing)}" if missing else ""]
    estimate = part.estimate(1 - check.significance)
    return row | {
        "verdict": UNDECIDED if worst == HELD and missing else worst,
        "effect": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "level": 1 - check.significance if estimate.has_interval else float("nan"),
        "p_value": decision.p_value,
        "p_floor": decision.p_floor,
        "n": estimate.n,
        "decided_by": part.what,
        "note": "; ".join(note for note in notes if note),
    }


def _decide(claim: Claim, part: Comparison, parts: int) -> Decision:
    """The verdict on one of so many comparisons; of fewer seeds than were registered there is none."""
    decision = claim.check.decide(part, parts)
    few = not part.settled and part.estimate().n < claim.least_n
    return replace(decision, verdict=UNDECIDABLE) if few else decision


def _why_no_interval(part: Comparison, decision: Decision, least_n: int) -> str:
    n = part.estimate().n
    seeds = f"{n} seed{'s' * (n != 1)}"
    if part.settled:
        return part.settled
    if decision.verdict == UNDECIDABLE and decision.p_floor <= ALPHA:
        return f"{seeds}, fewer than the {least_n} of the claim"
    if decision.verdict == UNDECIDABLE:
        return f"no p below {decision.p_floor:g} from {seeds}"
    return "" if part.estimate().has_interval else f"no interval from {seeds} that are all equal"


def _weakest(found: list[tuple[Comparison, Decision]], check: Predicate) -> tuple[Comparison, Decision]:
    """The comparison that speaks least for the claim."""
    return min(found, key=lambda pair: check.room(pair[0].estimate().value))


def _explain(error: ValidationError, entry: Any) -> list[str]:
    """pydantic's findings, one a line: key, value, rule, nearest name."""
    lines = []
    check = entry.get("check") if isinstance(entry, dict) else None
    kind = KINDS.get(check.get("predicate", "")) if isinstance(check, dict) else None
    for item in error.errors():
        path = [str(part) for part in item["loc"] if part not in KINDS]
        key = ".".join(path)
        if item["type"] == "extra_forbidden":
            fields = kind.model_fields if path[0] == "check" and kind else Claim.model_fields
            lines.append(f"{key}: {unknown('key', path[-1], fields)}")
        elif item["type"] == "missing":
            lines.append(f"{key}: this key is required")
        elif item["type"] in ("union_tag_invalid", "union_tag_not_found"):
            name = str(check.get("predicate", "")) if isinstance(check, dict) else ""
            lines.append(f"{key}.predicate: {unknown('predicate', name, KINDS)}")
        else:
            lines.append(f"{key}: {item['input']!r}: {item['msg'].removeprefix('Value error, ')}")
    return lines
