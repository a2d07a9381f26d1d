"""The registration of claims: noted when a run begins, kept from then on."""

from __future__ import annotations

from pathlib import Path

from headprune.analysis.claims import Claim, ClaimsError, load
from headprune.analysis.registration import SECTION, register
from headprune.pipeline.history import now
from headprune.pipeline.records import Record, hint
from headprune.pipeline.store import write_json
from headprune.results.layout import RunFolder
from headprune.system.bundled import bundled

__all__ = ["ClaimsError", "note_claims", "noted_claims", "own_claims"]


def own_claims(file: Path | None = None) -> list[Claim]:
    """The claims of a file; absent: of paper_figures/claims.yaml.

    :raises ClaimsError: the file breaks a rule.
    """
    return load(file or bundled("paper_figures/claims.yaml"))


def note_claims(run: RunFolder, file: Path | None = None) -> Record:
    """Notes what decides the claims, once: a run that has a note, or a manifest with one, keeps the first.

    :param file: of claims; absent: paper_figures/claims.yaml
    :returns: `sha256`, `claims` (`headprune.analysis.registration.register`), `registered`, the time, and `results`,
        the number of cells that had a mask or a score by then
    :raises ClaimsError: the file breaks a rule.
    """
    claims = own_claims(file)
    if found := noted_claims(run):
        return found
    results = len({path.parent for step in ("pruned", "test") for path in run.records(step)})
    note = register(claims) | {"registered": now(), "results": results}
    write_json(run.registration, note)
    return note


def noted_claims(run: RunFolder) -> Record:
    """The first registration of a run: that of its manifest, else of its note; empty where there is none."""
    found = hint(run.manifest).get(SECTION)
    return found if isinstance(found, dict) and found else hint(run.registration)
