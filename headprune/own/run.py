"""Pruning of somebody's model: heads judged, removed, and what that did to its quality.

The results lie in one folder. What is there already and was asked for in the same way is not computed again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from headprune import cost, removal
from headprune.evaluation.likelihood import perplexity
from headprune.heads import HeadMask
from headprune.method import Pruning
from headprune.method.guards import undisturbed
from headprune.own.materials import workpiece
from headprune.own.page import page
from headprune.own.request import PruningRequest, budget_of
from headprune.own.workpiece import Workpiece
from headprune.results.provenance import code_sha256, digest, file_sha256
from headprune.system.files import replacing

Record = dict[str, Any]
Tell = Callable[[int, int, str], None]  # steps done, steps in all, what comes next
SUMMARY, RECORD, MODEL, MASK = "summary.json", "record.json", "model.pt", "mask.txt"
UNPRUNED = "unpruned"


@dataclass(frozen=True)
class Folder:
    """The folder of one model among the results.

    :param signature: of what it depends on
    :param outputs: the file of what the model put out
    """

    path: Path
    signature: str
    outputs: str

    def kept(self) -> Record | None:
        """The record that is there; None: there is none, or of something else."""
        place = self.path / RECORD
        if not place.is_file():
            return None
        found: Record = json.loads(place.read_text(encoding="utf-8"))
        return found if found.get("signature") == self.signature else None

    def lines(self) -> list[str]:
        """The lines that the model put out."""
        return (self.path / self.outputs).read_text(encoding="utf-8").split("\n")[:-1]

    def keep(self, record: Record, lines: list[str]) -> Record:
        """Write the record, as the last of the files."""
        write(self.path / self.outputs, "".join(f"{line}\n" for line in lines))
        record = {"signature": self.signature} | record
        write(self.path / RECORD, json.dumps(record, indent=2) + "\n")
        return record


def prune(request: PruningRequest, tell: Tell = lambda done, total, what: None) -> Record:
    """Do what a request asks for; its folder then holds `summary.json`, `summary.md` and a folder of every model.

    A folder with results of the same request gets further rows.

    :returns: the summary
    :raises ValueError: see `PruningRequest.entry`, `workpiece` and `budget_of`; nothing is written then.
    """
    entry = request.entry()
    work = workpiece(request)
    budgets = sorted({budget_of(text, len(work.space)) for text in request.keep}, reverse=True)
    terms = terms_of(work)
    refuse_other_results(request.out, terms)
    whole = Folder(request.out / UNPRUNED, digest(terms["measured"]), work.outputs)
    folders = {
        budget: Folder(request.out / f"keep{budget}", digest([terms, budget]), work.outputs)
        for budget in range(len(work.space), -1, -1)
    }
    steps = 2 + len(budgets)
    tell(0, steps, f"{len(work.measured):,} {work.examples} with all {len(work.space)} heads")
    first = whole.kept() or whole.keep(*measured(work, work.model))
    if any(folders[budget].kept() is None for budget in budgets):
        tell(1, steps, f"judging {len(work.space)} heads by {entry.name}")
        masks = masks_of(work, budgets)
    for done, budget in enumerate(budgets, start=2):
        tell(done, steps, f"{len(work.measured):,} {work.examples} with {budget} heads")
        folders[budget].kept() or pruned(work, masks[budget], folders[budget], whole)
    models = [first, *(record for folder in folders.values() if (record := folder.kept()))]
    summary = {"terms": terms, "metric": metric_of(first), "models": models}
    write(request.out / SUMMARY, json.dumps(summary, indent=2) + "\n")
    write(request.out / "summary.md", page(request, work, summary))
    return summary


def refuse_other_results(out: Path, terms: Record) -> None:
    """:raises FileExistsError: a folder that is not empty and holds no results, or those of another request."""
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"{out} is a file; --out names a folder")
    held = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    if held and not {SUMMARY, UNPRUNED} & set(held):
        raise FileExistsError(f"{out} holds {', '.join(held[:4])} and no earlier results of this command: name another")
    if SUMMARY in held:
        before = json.loads((out / SUMMARY).read_text(encoding="utf-8"))["terms"]
        changed = [key for part in terms for key in terms[part] if before.get(part, {}).get(key) != terms[part][key]]
        if changed:
            raise FileExistsError(
                f"{out} holds results of another call, which differs in {', '.join(changed)}: name another"
            )


def terms_of(work: Workpiece) -> Record:
    """All that the results depend on."""
    request = work.request
    files = [path for path in sorted(request.data.iterdir()) if path.name.startswith(("dict.", "train.", "valid."))]
    content = {path.name: file_sha256(path) if path.suffix != ".bin" else path.stat().st_size for path in files}
    measured = {
        "checkpoint": file_sha256(request.checkpoint),
        "data": digest(content),
        "references": file_sha256(request.references) if request.references else "",
        "reading": list(work.reading),
        "sentences": len(work.measured),
        "seed": request.seed,
        "speed": request.speed,
        "calibration": request.calibration.model_dump(),
        "evaluation": request.evaluation.model_dump(),
        "code": code_sha256(),
    }
    entry = request.entry()
    method = {"name": entry.name, "options": asdict(entry.options(request.options)), "file": entry.sha256}
    return {"measured": measured, "method": method}


def masks_of(work: Workpiece, budgets: list[int]) -> Mapping[int, Pruning]:
    """A pruning for every budget.

    :raises ConductError: the method changed the model or the state of the process.
    :raises ValueError: a mask misses its budget.
    """
    entry = work.request.entry()
    method = entry.method(entry.options(work.request.options))
    rng = torch.Generator().manual_seed(work.request.seed)
    batches = work.calibration()
    with undisturbed(entry.name, work.model):
        found = {k: Pruning.of(mask) for k, mask in method.masks(work.model, batches, budgets, rng).items()}
    for budget in budgets:
        if (count := found[budget].mask.count) != budget:
            raise ValueError(f"{entry.name} keeps {count} heads, it was asked to keep {budget}")
    return found


def measured(work: Workpiece, model: Any) -> tuple[Record, list[str]]:
    """The record of a model, and what it put out."""
    lines = work.put_out(model)
    scores = work.scores(lines)
    record = {
        "heads_kept": sum(len(point.indices) for point in removal.attention_points(model)),
        "heads": len(work.space),
        "scores": {name: score.value for name, score in scores.items()},
        "signatures": {name: score.signature for name, score in scores.items() if score.signature},
        "perplexity": perplexity(model, work.batches()),
        "parameters": cost.parameters(model),
        "macs_per_token": work.macs_per_token(model),
    }
    return record, lines


def pruned(work: Workpiece, found: Pruning, folder: Folder, whole: Folder) -> Record:
    """Remove heads, save the model, and compare it with the masked and with the unpruned one."""
    model = removal.reconstructed(work.model, found.outputs)
    smaller: Any = removal.remove_heads(model, found.mask)
    removal.save(smaller, folder.path / MODEL)
    write(folder.path / MASK, mask_text(found.mask))
    record, lines = measured(work, smaller)
    record |= work.agreed(found.mask, model, smaller) | (work.times(smaller) if work.request.speed else {})
    record |= {"against_unpruned": asdict(work.compare(whole.lines(), lines)), "kept": list(found.mask.names())}
    return folder.keep(record, lines)


def metric_of(record: Record) -> str:
    """The metric that stands for quality, the first of a model's scores."""
    return next(iter(record["scores"]))


def mask_text(mask: HeadMask) -> str:
    """A mask as lines of `head 0` and `head 1`."""
    return "".join(f"{head} {keep}\n" for head, keep in zip(mask.space.names, mask.keep, strict=True))


def write(path: Path, text: str) -> None:
    """Write a file that is whole or not there."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
