"""The work of jobs for reversing."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from headprune import cost
from headprune.evaluation.likelihood import Agreement, agreement
from headprune.evaluation.scores import Paired, Score, against_first
from headprune.heads import HeadMask
from headprune.models.transformer import ARCHITECTURE
from headprune.results.outputs import file_name
from headprune.settings import Calibration, Evaluation, Speed
from headprune.statistics.paired import PairedComparison, paired_means
from headprune.tasks.work import Outcome, Work
from headprune.timing import Timing, in_turn
from headprune.training.arguments import optimisation_arguments
from toy_task.corpus import StringCorpus
from toy_task.data import SIDES
from toy_task.sections import Layers, Reading

BATCH = 50  # strings that are read at once


class ReversingWork(Work):
    """Models are read with the answers before every symbol known; there is no search."""

    def corpus(self, folder: Path, device: torch.device, sealed: bool = False) -> StringCorpus:
        return StringCorpus(folder, device, sealed)

    def arguments(self, corpus: StringCorpus, architecture: Layers, training: Reading) -> list[str]:
        a, (forth, back) = architecture, SIDES.values()
        argv: list[Any] = [corpus.folder / "bin", "--task", "translation", "--source-lang", forth]
        argv += ["--target-lang", back, "--arch", ARCHITECTURE, "--share-all-embeddings", "--dropout", 0]
        for side in ("encoder", "decoder"):
            argv += [f"--{side}-embed-dim", a.width, f"--{side}-ffn-embed-dim", a.width]
            argv += [f"--{side}-layers", a.layers, f"--{side}-attention-heads", a.heads]
        argv += ["--criterion", "gated_label_smoothed_cross_entropy", "--batch-size", training.batch_size]
        return [str(argument) for argument in [*argv, *optimisation_arguments(training)]]

    def calibration(
        self, corpus: StringCorpus, architecture: Layers, settings: Calibration, seed: int
    ) -> list[dict[str, Any]]:
        total = corpus.statistics["splits"]["train"]["strings"]
        drawn = torch.randperm(total, generator=torch.Generator().manual_seed(seed))[: settings.sentences]
        return corpus.batches("train", BATCH, sorted(drawn.tolist()))

    def validation(self, corpus: StringCorpus, architecture: Layers, settings: Evaluation) -> list[dict[str, Any]]:
        return corpus.batches("valid", BATCH)

    def agreement(
        self, model: Any, mask: HeadMask, pruned: Any, corpus: StringCorpus, settings: Evaluation
    ) -> Agreement:
        batches = corpus.batches("valid", BATCH)
        return agreement(model, mask, pruned, batches, batches)

    def macs_per_token(self, model: Any, corpus: StringCorpus) -> float:
        return cost.macs(model, corpus.length, corpus.length) / corpus.length

    def evaluate(self, model: Any, corpus: StringCorpus, split: str, settings: Evaluation) -> Outcome:
        table = answers(model, corpus, split)
        content = io.BytesIO()
        table.to_parquet(content, index=False)
        score = Score(share(table), f"strings:{len(table)}")
        return Outcome({"right_symbols": score}, {file_name("answers", split): content.getvalue()})

    def time(
        self, models: Mapping[str, Any], corpus: StringCorpus, settings: Speed, evaluation: Evaluation
    ) -> dict[str, tuple[Timing, Timing]]:
        (one,), (many,) = (corpus.batches("valid", n, list(range(n))) for n in (1, settings.batch_size))

        def run(model: Any) -> tuple[float, float]:
            return 1000 * seconds(model, one), many["ntokens"] / seconds(model, many)

        return in_turn(models, run, settings)

    def compare(
        self, models: Iterable[tuple[str, Any]], corpus: StringCorpus, settings: Evaluation, samples: int
    ) -> dict[str, Paired]:
        tables = {name: answers(model, corpus, "valid") for name, model in models}

        def test(base: pd.DataFrame, table: pd.DataFrame) -> PairedComparison:
            return paired_means(base["right"], table["right"], base["symbols"], samples)

        return against_first(tables, share, test)


def answers(model: Any, corpus: StringCorpus, split: str) -> pd.DataFrame:
    """The answers of a model, a row for every string: segment, expected, answered, symbols, right."""
    model.eval()
    dictionary, rows = corpus.task.target_dictionary, []
    for batch in corpus.batches(split, BATCH):
        with torch.no_grad():
            said = model(**batch["net_input"])[0].argmax(-1)  # (batch, tgt)
        for number, expected, answered in zip(batch["id"].tolist(), batch["target"], said, strict=True):
            right = int((expected == answered)[:-1].sum())  # the end is not a symbol
            texts = [dictionary.string(tokens[:-1]) for tokens in (expected, answered)]
            rows.append((number, *texts, len(expected) - 1, right))
    names = ["segment", "expected", "answered", "symbols", "right"]
    return pd.DataFrame(rows, columns=names).sort_values("segment", ignore_index=True)


def share(table: pd.DataFrame) -> float:
    """The share of symbols that are right."""
    return float(table["right"].sum() / table["symbols"].sum())


def seconds(model: Any, batch: Mapping[str, Any]) -> float:
    """The seconds that one forward pass takes."""
    start = time.perf_counter()
    with torch.no_grad():
        model(**batch["net_input"])
    return time.perf_counter() - start
