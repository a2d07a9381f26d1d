"""The rows of a table: models with some of their heads, each measured beside the unpruned one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headprune import cost, removal
from headprune.evaluation.likelihood import perplexity
from headprune.heads import HeadMask
from headprune.method import Pruning
from headprune.own.folders import MASK, MODEL, UNPRUNED, Folder, Record, write
from headprune.own.judging import Judge
from headprune.own.steps import Steps
from headprune.own.tuning import fine_tuned
from headprune.own.workpiece import Workpiece
from headprune.results.provenance import digest
from headprune.system.files import discard

BEFORE, TRAINING = "before", "training"  # folders within that of a row: the model before its training, and that itself
AFTERWARDS = ("scores", "perplexity", "against_unpruned")  # entries that training changes


@dataclass(frozen=True)
class Rows:
    """The rows that there are, and those that are still to be made, in a folder."""

    work: Workpiece
    judge: Judge
    terms: dict[str, dict[str, Any]]
    out: Path
    say: Steps

    def unpruned(self) -> Record:
        """The record of the model with all heads; made if it is not there."""
        if (record := self.first.kept()) is not None:
            return record
        self.say(f"{len(self.work.measured):,} {self.work.examples} with all {len(self.work.space)} heads")
        return self.first.keep(*measured(self.work, self.work.model))

    @property
    def first(self) -> Folder:
        """The folder of that model."""
        return Folder(self.out / UNPRUNED, digest(self.terms["measured"]), self.work.outputs)

    def folder(self, budget: int) -> Folder:
        """The folder of the model that keeps so many heads."""
        return Folder(self.out / f"keep{budget}", digest([self.terms, budget]), self.work.outputs)

    def row(self, budget: int) -> Record:
        """The record of the model that keeps so many heads; made if it is not there."""
        folder = self.folder(budget)
        if (record := folder.kept()) is not None:
            return record
        self.unpruned()  # every other row is compared with it
        if not self.work.request.fine_tune:
            return self.pruned(budget, folder)
        before = folder.within(BEFORE)
        return self.tuned(before.kept() or self.pruned(budget, before), before, folder)

    def missing(self, budget: int) -> bool:
        """Tells whether heads must be judged for a row."""
        folder = self.folder(budget)
        return not (folder.kept() or folder.within(BEFORE).kept())

    def all(self) -> list[Record]:
        """Every record that is there, the unpruned model first, then those with the most heads."""
        kept = (self.folder(budget).kept() for budget in range(len(self.work.space), -1, -1))
        return [self.unpruned(), *(record for record in kept if record is not None)]

    def parameters(self, budget: int) -> int:
        """The parameters of the model that keeps so many heads; it is not measured for that."""
        space = self.work.space
        mask = self.judge.pruning(budget).mask if budget else space.keep(())
        return cost.parameters(removal.remove_heads(self.work.model, mask))

    def pruned(self, budget: int, folder: Folder) -> Record:
        """Remove heads, save the model, and compare it with the masked and with the unpruned one."""
        work, found = self.work, self.judge.pruning(budget)
        self.say(f"{len(work.measured):,} {work.examples} with {budget} heads")
        model = removal.reconstructed(work.model, found.outputs)
        smaller: Any = removal.remove_heads(model, found.mask)
        self.save(smaller, found, folder)
        record, lines = measured(work, smaller)
        record |= work.agreed(found.mask, model, smaller) | (work.times(smaller) if work.request.timed else {})
        return folder.keep(record | self.compared(lines) | {"kept": list(found.mask.names())}, lines)

    def tuned(self, record: Record, before: Folder, folder: Folder) -> Record:
        """Train a pruned model on, and measure it again; its training goes on where it was stopped."""
        work, scratch = self.work, folder.path / TRAINING
        model = fine_tuned(work, before.path / MODEL, scratch, self.say.within)
        mask = HeadMask(work.space, [int(name in record["kept"]) for name in work.space.names])
        self.save(model, Pruning(mask), folder)
        self.say(f"{len(work.measured):,} {work.examples} with {mask.count} heads, fine-tuned")
        after, lines = measured(work, model)
        then = {key: record[key] for key in AFTERWARDS}
        kept = folder.keep(record | after | self.compared(lines) | {"before_fine_tuning": then}, lines)
        discard(scratch)
        return kept

    def save(self, model: Any, found: Pruning, folder: Folder) -> None:
        """Write the checkpoint of a model and its mask."""
        removal.save(model, folder.path / MODEL)
        write(folder.path / MASK, mask_text(found.mask))

    def compared(self, lines: list[str]) -> Record:
        """The entry of the paired test of what a model put out with what the unpruned one did."""
        return {"against_unpruned": asdict(self.work.compare(self.first.lines(), lines))}


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


def mask_text(mask: HeadMask) -> str:
    """A mask as lines of `head 0` and `head 1`."""
    return "".join(f"{head} {keep}\n" for head, keep in zip(mask.space.names, mask.keep, strict=True))
