"""The work of jobs for language models that read text block by block."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from headprune import cost
from headprune.evaluation.likelihood import Agreement, agreement, require_numbers
from headprune.evaluation.scores import Paired, Score, against_first
from headprune.heads import HeadMask
from headprune.importance import example_losses, padding_index
from headprune.method import Batches
from headprune.results.outputs import file_name
from headprune.settings import Calibration, Evaluation, GivenShape, Speed
from headprune.tasks.language_blocks.arguments import arguments
from headprune.tasks.language_blocks.corpus import BlockCorpus, PreparedText
from headprune.tasks.language_blocks.sections import BlockTraining, readable
from headprune.tasks.prepared import require_dictionary
from headprune.tasks.work import Outcome, Work
from headprune.timing import Timing

if TYPE_CHECKING:
    import pandas as pd

    from headprune.statistics.paired import PairedComparison


class BlockWork(Work):
    """Examples are blocks of running text, which do not see each other; every token of one is a target."""

    def corpus(self, folder: Path, device: torch.device, sealed: bool = False) -> PreparedText:
        return PreparedText(folder, device, sealed)

    def arguments(self, corpus: PreparedText, architecture: GivenShape, training: BlockTraining) -> list[str]:
        return arguments(corpus.binarised, corpus.settings, architecture, training)

    def require_words(self, model: Any, corpus: PreparedText) -> None:
        require_dictionary(model.decoder.dictionary, corpus.task.dictionary)

    def calibration(
        self, corpus: PreparedText, architecture: GivenShape, settings: Calibration, seed: int
    ) -> list[dict[str, Any]]:
        return corpus.sample_train(settings.sentences, seed, settings.max_tokens, readable(architecture))

    def validation(self, corpus: PreparedText, architecture: GivenShape, settings: Evaluation) -> Batches:
        return corpus.batches("valid", settings.max_tokens)

    def agreement(
        self, model: Any, mask: HeadMask, pruned: Any, corpus: PreparedText, settings: Evaluation
    ) -> Agreement:
        """Outputs (logits; hidden states before an adaptive softmax) of the first `checked_segments` blocks."""
        checked = corpus.batches(
            "valid", settings.max_tokens, range(len(corpus.lengths("valid")))[: settings.checked_segments]
        )
        return agreement(model, mask, pruned, checked, corpus.batches("valid", settings.max_tokens))

    def macs_per_token(self, model: Any, corpus: PreparedText) -> float:
        """Multiply-accumulates per token of a validation block of mean length."""
        length = round(corpus.statistics["splits"]["valid"]["mean_tokens"])
        return cost.macs(model, 0, length) / length

    def evaluate(self, model: Any, corpus: PreparedText, split: str, settings: Evaluation) -> Outcome:
        """Perplexity per token, and for the paired tests the log-likelihood of every block."""
        table = likelihoods(model, corpus, split, settings.max_tokens)
        signature = "|".join(f"{name}:{value}" for name, value in corpus.settings.items())
        score = Score(perplexity_of(table), f"{signature}|tokens:{table['tokens'].sum()}")
        content = io.BytesIO()
        table.to_parquet(content, index=False)
        return Outcome({"perplexity": score}, {file_name("likelihoods", split): content.getvalue()})

    def time(
        self, models: Mapping[str, nn.Module], corpus: PreparedText, settings: Speed, evaluation: Evaluation
    ) -> dict[str, tuple[Timing, Timing]]:
        """Milliseconds of a forward pass over a block alone, and tokens read per second, on blocks of median length."""
        return cost.measure_passes(models, *corpus.typical(settings), settings) if models else {}

    def compare(
        self, models: Iterable[tuple[str, Any]], corpus: PreparedText, settings: Evaluation, samples: int
    ) -> dict[str, Paired]:
        """Perplexity of the valid split, with permutation tests of the log-likelihoods of its blocks."""
        from headprune.statistics.paired import paired_means  # half a second of scipy, which most jobs never use

        tables = {name: likelihoods(model, corpus, "valid", settings.max_tokens) for name, model in models}

        def test(base: pd.DataFrame, table: pd.DataFrame) -> PairedComparison:
            return paired_means(base["log_likelihood"], table["log_likelihood"], base["tokens"], samples)

        return against_first(tables, perplexity_of, test)


@torch.no_grad()
def likelihoods(model: Any, corpus: BlockCorpus, split: str, max_tokens: int) -> pd.DataFrame:
    """The log-likelihood of every block of a split, in nats.

    :param max_tokens: of a batch
    :returns: `segment` (number of the block), `tokens`, `log_likelihood` (sum)
    :raises ValueError: one of them is NaN.
    """
    import pandas as pd  # of no use to jobs that train

    model.eval()
    padding = padding_index(model)
    rows: list[tuple[int, int, float]] = []
    for batch in corpus.batches(split, max_tokens):
        losses, sizes = example_losses(model, batch).double(), batch["target"].ne(padding).sum(1).tolist()
        require_numbers(losses, "losses of blocks")
        rows += zip(batch["id"].tolist(), sizes, (-losses).tolist(), strict=True)
    return pd.DataFrame(sorted(rows), columns=["segment", "tokens", "log_likelihood"])


def perplexity_of(table: pd.DataFrame) -> float:
    """exp of the mean cross-entropy per token."""
    return math.exp(-math.fsum(table["log_likelihood"]) / int(table["tokens"].sum()))
