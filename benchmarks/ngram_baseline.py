#!/usr/bin/env python3
"""Perplexity of Kneser–Ney n-gram models on the tokens that a prepared corpus gives to a neural model.

    python benchmarks/ngram_baseline.py FOLDER [--orders 3 4 5]

FOLDER is what `headprune.data.prepare` wrote for a text corpus. The models learn from train; valid chooses the order.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np

from headprune.tasks.language_modeling.corpus import LanguageCorpus
from headprune.tasks.language_modeling.ngram import KneserNey


def predictable(corpus: LanguageCorpus) -> np.ndarray:
    """The number of a token id among the symbols that can occur: units, `</s>` and `<unk>`; −1 for the others."""
    dictionary = corpus.task.dictionary
    never = {dictionary.bos(), dictionary.pad()}
    can = [i for i in range(len(dictionary)) if i not in never and not dictionary[i].startswith("madeupword")]
    numbers = np.full(len(dictionary), -1)
    numbers[can] = np.arange(len(can))
    return numbers


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--orders", type=int, nargs="+", default=[1, 2, 3, 4, 5, 6])
    arguments = parser.parse_args()
    corpus = LanguageCorpus(arguments.folder)
    numbers = predictable(corpus)
    text = {split: numbers[corpus.stream(split).tokens.numpy()] for split in ("train", "valid", "test")}
    print(f"{corpus.folder.name}: {numbers.max() + 1:,} symbols, {len(text['train']) - 1:,} train tokens")
    print("order  valid perplexity  bits/byte  test perplexity  bits/byte")
    for order in arguments.orders:
        model = KneserNey(text["train"], order, int(numbers.max()) + 1)
        columns = []
        for split in ("valid", "test"):
            counts = corpus.statistics["splits"][split]
            perplexity = model.perplexity(text[split], start=1)  # the first token stands for the line before
            columns.append(f"{perplexity:16.2f}  {math.log2(perplexity) * counts['tokens'] / counts['bytes']:9.4f}")
        print(f"{order:5d}  {'  '.join(columns)}", flush=True)


if __name__ == "__main__":
    main()
