"""Data recipes: find and verify a corpus, cut it into subwords, binarise it for fairseq.

`corpus("lohelp-de-en")` finds a parallel corpus and `text_corpus("austen")` one of running text;
`prepare(corpus, TranslationRecipe(), folder)` makes training data of the former, `LanguageModelingRecipe()` of the
latter, and `folder` appears complete or not at all. `ensure("multi30k")` fetches a standard corpus before.
Importing this package imports neither torch nor fairseq.
"""

from headprune.data.corpora import CORPORA, Corpus, corpus, read_pairs
from headprune.data.language_modeling import LanguageModelingRecipe
from headprune.data.preparing import check_prepared, prepare
from headprune.data.standard import STANDARD, ensure
from headprune.data.subwords import decode, encode
from headprune.data.text import TEXT_CORPORA, TextCorpus, read_lines, text_corpus
from headprune.data.translation import TranslationRecipe

__all__ = [
    "CORPORA",
    "STANDARD",
    "TEXT_CORPORA",
    "Corpus",
    "LanguageModelingRecipe",
    "TextCorpus",
    "TranslationRecipe",
    "check_prepared",
    "corpus",
    "decode",
    "encode",
    "ensure",
    "prepare",
    "read_lines",
    "read_pairs",
    "text_corpus",
]
