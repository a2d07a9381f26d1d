"""Data recipes: find and verify a corpus, cut it into subwords, binarise it for fairseq.

`corpus("lohelp-de-en")` finds a corpus, `prepare(corpus, TranslationRecipe(), folder)` makes training data
of it, and `folder` appears complete or not at all.
Importing this package imports neither torch nor fairseq.
"""

from headprune.data.corpora import CORPORA, Corpus, corpus, read_pairs
from headprune.data.subwords import decode, encode
from headprune.data.translation import TranslationRecipe, prepare

__all__ = [
    "CORPORA",
    "Corpus",
    "TranslationRecipe",
    "corpus",
    "decode",
    "encode",
    "prepare",
    "read_pairs",
]
