"""All that the results of a request depend on."""

from __future__ import annotations

from typing import Any

from headprune.own.judging import Judge
from headprune.own.workpiece import Workpiece
from headprune.results.provenance import code_sha256, digest, file_sha256

PARTS = ("dict.", "train.", "valid.")  # the beginnings of names of files that are read


def terms_of(work: Workpiece, judge: Judge) -> dict[str, dict[str, Any]]:
    """The terms of a request, by what depends on them: measurements, masks, fine-tuning."""
    request = work.request
    files = [path for path in sorted(request.data.iterdir()) if path.name.startswith(PARTS)]
    content = {path.name: file_sha256(path) if path.suffix != ".bin" else path.stat().st_size for path in files}
    measured = {
        "checkpoint": file_sha256(request.checkpoint),
        "data": digest(content),
        "references": file_sha256(request.references) if request.references else "",
        "reading": list(work.reading),
        "sentences": len(work.measured),
        "seed": request.seed,
        "speed": request.timed,
        "calibration": request.calibration.model_dump(),
        "evaluation": request.evaluation.model_dump(),
        "code": code_sha256(),
    }
    training = {"fine_tune": request.fine_tune, "learning_rate": request.learning_rate}
    return {"measured": measured, "method": judge.terms, "training": training}
