"""The job that takes one head, or all but one head of a module, away at a time (Michel et al. 2019, tables 1–3;
docs/theory/ablation.md#ablations)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from headprune import removal
from headprune.heads import HeadMask, HeadSpace
from headprune.models.devices import device
from headprune.pipeline.context import ModelContext
from headprune.pipeline.identity import ablation_identity
from headprune.pipeline.progress import Reporter
from headprune.pipeline.records import Record
from headprune.pipeline.store import kept_or_computed
from headprune.results.provenance import digest


def run(context: ModelContext, reporter: Reporter) -> Record:
    """Quality on the validation set of the unpruned model under every mask of a kind, with paired tests."""
    assert context.ablation is not None
    path = context.run.ablation(context.model, context.ablation.kind, context.seed)
    return kept_or_computed(path, digest(ablation_identity(context)), partial(study, context, reporter))


def study(context: ModelContext, reporter: Reporter) -> Record:
    """Tests of the model under each mask against the unpruned model."""
    assert context.ablation is not None
    context.trained()
    model = removal.load(context.checkpoint).to(device())
    space = HeadSpace.of(model)
    removed = space.drop_one() if context.ablation.kind == "drop_one" else space.keep_one()
    masks = dict(zip(space.names, removed, strict=True))
    models = each(model, masks, reporter)
    tests = context.work.compare(models, context.corpus, context.evaluation, context.ablation.samples)
    return {"unpruned": tests[""].score, "heads": {head: vars(tests[head]) for head in masks}}


def each(model: Any, masks: dict[str, HeadMask], reporter: Reporter) -> Iterator[tuple[str, Any]]:
    """The unpruned model, named by an empty text, and the model under every mask, removed for real."""
    yield "", model
    for position, (head, mask) in enumerate(masks.items()):
        yield head, removal.remove_heads(model, mask)
        reporter.update(position + 1, len(masks), None)
