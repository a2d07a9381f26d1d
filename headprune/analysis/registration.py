"""Registered claims: digests of what decides them, noted before a run has results, and what verdicts say of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headprune.analysis.manifests import told

if TYPE_CHECKING:
    from headprune.analysis.claims import Claim

SECTION = "claims"  # of the manifest
LATER = {"least_budgets": 1}  # keys of checks that came after the first registrations, and what they are without use
REGISTERED, AFTERWARDS = "registered before the results", "margin set afterwards"
OF_PAPER = "margin of the paper, not registered"


def deciding(claim: Claim) -> dict[str, Any]:
    """All of a claim that its verdict depends on: quantity, margin, comparison, smallest n; not its wording.

    A key that came later counts where it is used: without it a claim is what it was when it was registered.
    """
    found = claim.model_dump(mode="json", include={"track", "model", "check", "least_n"})
    check = {key: value for key, value in found["check"].items() if LATER.get(key, ...) != value}
    return {**found, "check": check}


def register(claims: Iterable[Claim]) -> dict[str, Any]:
    """The digests of claims.

    :returns: `claims`, the sha256 of each by id, and `sha256`, of them together, whatever their order in the file
    """
    each = {claim.id: _sha256(deciding(claim)) for claim in sorted(claims, key=lambda claim: claim.id)}
    return {"sha256": _sha256(each), "claims": each}


def registered_in(folder: Path) -> list[Mapping[str, Any]]:
    """The registrations in the manifest of results: one, or one of every run that was merged.

    :returns: none where a run has none, as nothing is registered then
    """
    manifest = told(folder)
    runs = manifest.get("merged") or [manifest]
    found = [run[SECTION] for run in runs if isinstance(run, dict) and isinstance(run.get(SECTION), dict)]
    return found if len(found) == len(runs) else []


def standing(claim: Claim, registrations: Iterable[Mapping[str, Any]]) -> str:
    """The words of a verdict: REGISTERED where every run has noted this very claim before its first result."""
    own = _sha256(deciding(claim))
    noted = [each.get("results") == 0 and each.get("claims", {}).get(claim.id) == own for each in registrations]
    if noted and all(noted):
        return REGISTERED
    return OF_PAPER if claim.margin_of == "paper" else AFTERWARDS


def sentence(claims: Iterable[Claim], registrations: Iterable[Mapping[str, Any]]) -> str:
    """The sentence of a caption: when the claims were registered, under which hash, and which differ now."""
    now, texts = register(claims), []
    for each in registrations:
        noted = each.get("claims", {})
        changed = [name for name in sorted(noted) if noted[name] != now["claims"].get(name)]
        added = sorted(set(now["claims"]) - set(noted))
        late = f", after {each['results']} results" if each.get("results") else ""
        state = f"changed since: {', '.join(changed)}" if changed else "unchanged since"
        state += f"; added since: {', '.join(added)}" if added else ""
        texts.append(f"Registered {each.get('registered')}{late}, sha256 {str(each.get('sha256'))[:12]}; {state}.")
    return " ".join(dict.fromkeys(texts)) or "Not registered before these results."


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
