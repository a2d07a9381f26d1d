"""Standard corpora, fetched from their canonical addresses and verified; never shipped.

`obtain("multi30k")` gives the folder with train, valid and test, fetching and building it where it is not there yet.

`ensure(name)` does nothing for corpora of other kinds.
"""

from headprune.data.standard.base import CLEANING, Standard
from headprune.data.standard.enwik8 import ENWIK8
from headprune.data.standard.fetching import RECORD, folder_of, obtain
from headprune.data.standard.iwslt14 import IWSLT14
from headprune.data.standard.multi30k import MULTI30K, MULTI30K_EN_DE
from headprune.data.standard.tatoeba import TATOEBA
from headprune.data.standard.wikitext import PENN, WIKITEXT2, WIKITEXT103
from headprune.data.standard.wmt14 import WMT14

PAIRS = (MULTI30K, MULTI30K_EN_DE, TATOEBA, IWSLT14, WMT14)
STANDARD = {each.name: each for each in (*PAIRS, WIKITEXT2, WIKITEXT103, ENWIK8, PENN)}


def ensure(name: str) -> None:
    """Fetches a standard corpus that is not there yet; another name is left alone.

    :raises ValueError, OSError: as `obtain`
    """
    if name in STANDARD:
        obtain(STANDARD[name])


def standard_names(kind: str) -> list[str]:
    """The names of the standard corpora of one kind, `pairs` or `text`."""
    return [name for name, each in STANDARD.items() if each.kind == kind]


__all__ = ["CLEANING", "RECORD", "STANDARD", "Standard", "ensure", "folder_of", "obtain", "standard_names"]
