"""Masked-language-model training on pairs of sentences, as `--task masked_pairs`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairseq.data import ConcatSentencesDataset, Dictionary, PrependTokenDataset, data_utils
from fairseq.data.shorten_dataset import maybe_shorten_dataset
from fairseq.tasks import register_task
from fairseq.tasks.masked_lm import MaskedLMConfig, MaskedLMTask

INPUTS = ("input0", "input1")  # the folders of a pair, as fairseq's sentence_prediction reads them


@register_task("masked_pairs", dataclass=MaskedLMConfig)
class MaskedPairs(MaskedLMTask):
    """fairseq's `masked_lm`, with a pair as a sequence: `<s> premise </s></s> hypothesis </s>`.

    A masked word of one sentence can be read off the other, so that heads learn to align them. Masks and batches are
    `masked_lm`'s; the folder of data, and what becomes of longer pairs, `sentence_prediction`'s with
    `--shorten-method truncate`.
    """

    cfg: MaskedLMConfig

    @classmethod
    def load_dict(cls, cfg: MaskedLMConfig) -> Dictionary:
        return Dictionary.load(str(Path(cfg.data) / INPUTS[0] / "dict.txt"))

    def _load_dataset_split(self, split: str, epoch: int, combine: bool) -> Any:
        words = self.source_dictionary
        sides = (
            data_utils.load_indexed_dataset(str(Path(self.cfg.data) / name / split), words, combine=combine)
            for name in INPUTS
        )
        marked = (PrependTokenDataset(side, mark) for side, mark in zip(sides, (words.bos(), words.eos()), strict=True))
        limits = (self.cfg.shorten_data_split_list, self.cfg.shorten_method, self.cfg.tokens_per_sample, self.cfg.seed)
        return maybe_shorten_dataset(ConcatSentencesDataset(*marked), split, *limits)
