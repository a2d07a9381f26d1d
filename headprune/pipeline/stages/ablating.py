"""One head, or all but one head of a module, taken away at a time (Michel et al. 2019, tables 1–3;
docs/theory/ablation.md#ablations)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headprune import removal
from headprune.config import Ablation
from headprune.heads import HeadSpace
from headprune.models.devices import device
from headprune.pipeline.cells import ablation_path
from headprune.pipeline.progress import Reporter
from headprune.pipeline.specification import (
    Spec,
    corpus_of,
    dense_identity,
    dense_path,
    evaluation_of,
    folder_of,
    track_of,
    trained_record,
)
from headprune.pipeline.store import Record, kept_or_computed
from headprune.results.provenance import digest


def ablate(spec: Spec, reporter: Reporter) -> Record:
    """Quality on the validation set of the unpruned model under every mask of a kind, with paired tests."""
    ablation = Ablation(**spec["ablation"])
    identity = dense_identity(spec) | {"ablation": spec["ablation"], "evaluation": spec["evaluation"]}

    def compute() -> Record:
        trained_record(spec)
        model = removal.load(dense_path(spec)).to(device())
        space = HeadSpace.of(model)
        removed = space.drop_one() if ablation.kind == "drop_one" else space.keep_one()
        masks = dict(zip(space.names, removed, strict=True))

        def models() -> Iterator[tuple[str, Any]]:
            yield "", model
            for position, (head, mask) in enumerate(masks.items()):
                yield head, removal.remove_heads(model, mask)
                reporter.update(position + 1, len(masks), None)

        tests = track_of(spec).compare(models(), corpus_of(spec), evaluation_of(spec), ablation.samples)
        return {"unpruned": tests[""].score, "heads": {head: vars(tests[head]) for head in masks}}

    path = ablation_path(folder_of(spec), spec["model"], ablation.kind, spec["seed"])
    return kept_or_computed(path, digest(identity), compute)
