#!/usr/bin/env python3
"""Accuracy of bags of words on a corpus of judged pairs: of hypotheses alone, and of both sentences.

    python benchmarks/hypothesis_only.py CORPUS

CORPUS is a name or a folder, as a profile has it. What hypotheses alone give away is no inference (Gururangan et
al. 2018; Poliak et al. 2018). Logistic regression on words and pairs of words, 200 steps; valid chooses its penalty.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence

from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from headprune.data.splits import SPLITS
from headprune.tasks.nli.corpora import JudgedPair, judged_corpus, read_judged

STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3)  # inverse ones, of the squared penalty
Splits = dict[str, list[JudgedPair]]
SEEN: dict[str, Callable[[JudgedPair], str]] = {
    "hypothesis only": lambda pair: pair.hypothesis,
    "premise only": lambda pair: pair.premise,
    "both, unordered": lambda pair: f"{pair.premise} {pair.hypothesis}",
}


def majority(splits: Splits) -> dict[str, float]:
    """The share of the label that is most frequent in train, by split."""
    (label, _), *_ = Counter(pair.label for pair in splits["train"]).most_common(1)
    return {name: sum(pair.label == label for pair in pairs) / len(pairs) for name, pairs in splits.items()}


def bag_of_words(splits: Splits, seen: Callable[[JudgedPair], str]) -> dict[str, float]:
    """Accuracies by split, of the penalty that is best on valid.

    :param seen: the text of a pair that the model is shown
    """
    counts = CountVectorizer(ngram_range=(1, 2), min_df=2)
    inputs = {"train": counts.fit_transform(map(seen, splits["train"]))}
    inputs |= {name: counts.transform(map(seen, splits[name])) for name in SPLITS[1:]}
    labels = {name: [pair.label for pair in pairs] for name, pairs in splits.items()}
    models: Sequence[LogisticRegression] = [
        LogisticRegression(C=strength, max_iter=200).fit(inputs["train"], labels["train"]) for strength in STRENGTHS
    ]
    best = max(models, key=lambda model: model.score(inputs["valid"], labels["valid"]))
    return {name: float(best.score(inputs[name], labels[name])) for name in SPLITS}


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("corpus")
    corpus = judged_corpus(parser.parse_args().corpus)
    splits = {split: read_judged(corpus, split) for split in SPLITS}
    print(f"{corpus.name}: {', '.join(f'{len(splits[split]):,} {split}' for split in SPLITS)}")
    print(f"{'accuracy':16}  {'  '.join(f'{split:>6}' for split in SPLITS)}")
    rows = {"majority": majority(splits)} | {name: bag_of_words(splits, seen) for name, seen in SEEN.items()}
    for name, found in rows.items():
        print(f"{name:16}  {'  '.join(f'{found[split]:6.3f}' for split in SPLITS)}", flush=True)


if __name__ == "__main__":
    main()
