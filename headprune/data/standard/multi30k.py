"""Multi30k, task 1: German and English captions of 31,014 pictures (Elliott et al. 2016), the splits of WMT 2016.

It comes in both directions, from the same files.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from headprune.data.sources import Source
from headprune.data.standard.base import Route, Standard, plain, write_pairs

COMMIT = "a3d2e0d26b56f3846f66a952536ffed4e401d05a"
ADDRESS = f"https://raw.githubusercontent.com/multi30k/dataset/{COMMIT}/data/task1/raw"
FILES = {"train": "train", "valid": "val", "test": "test_2016_flickr"}
SHA256 = {
    "train.de.gz": "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    "train.en.gz": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    "val.de.gz": "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    "val.en.gz": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    "test_2016_flickr.de.gz": "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
    "test_2016_flickr.en.gz": "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
}


LANGUAGES = ("de", "en")


def build(files: Mapping[str, Path], folder: Path, languages: tuple[str, str] = LANGUAGES) -> None:
    """The captions as they are, cased and not tokenised.

    :param languages: source and target
    """
    for split, name in FILES.items():
        sides = []
        for language in languages:
            with gzip.open(files[f"{name}.{language}.gz"], "rt", encoding="utf-8", newline="\n") as lines:
                sides.append([plain(line) for line in lines])
        write_pairs(folder / f"{split}.tsv", zip(*sides, strict=True))


SOURCES = tuple(Source(name, (f"{ADDRESS}/{name}",), checksums={"sha256": sha}) for name, sha in SHA256.items())
MULTI30K = Standard(
    name="multi30k",
    kind="pairs",
    languages=LANGUAGES,
    routes=(Route(SOURCES, build),),
    licence="research only: the pictures' captions come from Flickr users; see its home",
    home="https://github.com/multi30k/dataset",
    counts={"train": 29_000, "valid": 1_014, "test": 1_000},
)
REVERSED = (LANGUAGES[1], LANGUAGES[0])
MULTI30K_EN_DE = replace(
    MULTI30K,
    name="multi30k-en-de",
    languages=REVERSED,
    routes=(Route(SOURCES, partial(build, languages=REVERSED)),),
    shares="multi30k",
)
