"""WMT 2014 English-German: Europarl v7, Common Crawl and News Commentary v9, about 4.5 million pairs; newstest2014.

The steps are those of fairseq's examples/translation/prepare-wmt14en2de.sh with --icml17: punctuation as Moses
normalises it, without characters that do not print; every 100th pair is valid; of train and valid the pairs of 1 to
250 tokens whose lengths differ by at most a factor 1.5. Three things differ. Sentences are not tokenised, since
references are scored as they stand. Lengths count words and punctuation marks where the script counts its subwords,
which are the dataset's here. And no side has more than 1,000 characters, so that a sentence has less than the 1,024
subwords that fairseq trains on, whatever they are. The test set is newstest2014 whole and as it is, as sacrebleu's
wmt14/full has it.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from headprune.data.sources import Source
from headprune.data.standard.base import CLEANING, Route, Standard, plain, read_lines, write_pairs
from headprune.data.standard.lengths import fault
from headprune.data.units import cut
from headprune.data.unpacking import unpack

LANGUAGES = ("en", "de")
CORPORA = {  # archive: stem of the two files in it
    "training-parallel-europarl-v7.tgz": "europarl-v7.de-en",
    "training-parallel-commoncrawl.tgz": "commoncrawl.de-en",
    "training-parallel-nc-v9.tgz": "news-commentary-v9.de-en",
}
TEST = "test-full.tgz"
SIDES = ("newstest2014-deen-src.en.sgm", "newstest2014-deen-ref.de.sgm")
SEGMENT = re.compile(r"<seg\b[^>]*>(.*?)</seg>")
LONGEST = 250  # words and punctuation marks
CHARACTERS = 1000
EVERY = 100
LARGEST = 2**33  # bytes of an unpacked archive
FATES = ("train", "valid", "empty", "long", "uneven")

Pair = tuple[str, str]


def build(files: Mapping[str, Path], folder: Path) -> None:
    """Normalised and cleaned splits, and a table of what became of the pairs of every corpus."""
    counts: dict[str, Counter[str]] = {stem: Counter() for stem in CORPORA.values()}
    normal = [normaliser(language) for language in LANGUAGES]
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        opened = {
            split: stack.enter_context((folder / f"{split}.tsv").open("w", encoding="utf-8", newline="\n"))
            for split in ("train", "valid")
        }
        for number, (stem, raw) in enumerate(train_pairs(files, work), start=1):
            pair = normal[0](raw[0]), normal[1](raw[1])
            fate = reason(pair) or ("train" if number % EVERY else "valid")
            counts[stem][fate] += 1
            if fate in opened:
                opened[fate].write("\t".join(pair) + "\n")
        write_pairs(folder / "test.tsv", newstest(files[TEST], work / "test"))
    (folder / CLEANING).write_text(table(counts), encoding="utf-8")


def train_pairs(files: Mapping[str, Path], work: Path) -> Iterator[tuple[str, Pair]]:
    """The pairs of all corpora, one after the other, each with the stem of its corpus.

    :param work: a folder to unpack into, one archive at a time
    :raises ValueError: the two sides of a corpus have different numbers of lines
    """
    for archive, stem in CORPORA.items():
        found = {path.name: path for path in unpack(files[archive], work / stem, LARGEST)}
        with ExitStack() as stack:
            sides = [
                stack.enter_context(found[f"{stem}.{language}"].open(encoding="utf-8", newline="\n"))
                for language in LANGUAGES
            ]
            for pair in zip(*sides, strict=True):
                yield stem, pair  # type: ignore[misc]
        shutil.rmtree(work / stem)


def newstest(archive: Path, work: Path) -> list[Pair]:
    """The segments of newstest2014, as sacrebleu reads them."""
    found = {path.name: path for path in unpack(archive, work, LARGEST)}
    sides = [[plain(match[1]) for line in read_lines(found[name]) if (match := SEGMENT.search(line))] for name in SIDES]
    return list(zip(*sides, strict=True))


def normaliser(language: str) -> Callable[[str], str]:
    """The text with punctuation as Moses normalises it, and a space for what does not print."""
    from sacremoses import MosesPunctNormalizer

    moses = MosesPunctNormalizer(lang=language)

    def normal(text: str) -> str:
        text = moses.normalize(text.rstrip("\n"))
        return plain("".join(c if c.isprintable() or c.isspace() else " " for c in text))

    return normal


def reason(pair: Pair) -> str:
    """The reason why a pair is left out, `empty`, `long` or `uneven`; an empty text for one that is kept."""
    source, target = (side.split() for side in cut(pair, "words", split_punctuation=True))
    return fault(source, target, LONGEST) or ("long" if max(map(len, pair)) > CHARACTERS else "")


def table(counts: Mapping[str, Counter[str]]) -> str:
    """Tab-separated: for every corpus its pairs, those of train and valid, and those left out, by the reason."""
    rows = [["corpus", "pairs", *FATES]]
    rows += [[stem, *map(str, (sum(found.values()), *map(found.__getitem__, FATES)))] for stem, found in counts.items()]
    return "".join("\t".join(row) + "\n" for row in rows)


WMT14 = Standard(
    name="wmt14-en-de",
    kind="pairs",
    languages=LANGUAGES,
    routes=(
        Route(
            (
                Source(
                    "training-parallel-europarl-v7.tgz",
                    ("http://www.statmt.org/wmt13/training-parallel-europarl-v7.tgz",),
                    657_632_379,
                    {"sha256": "0224c7c710c8a063dfd893b0cc0830202d61f4c75c17eb8e31836103d27d96e7"},
                ),
                Source(
                    "training-parallel-commoncrawl.tgz",
                    ("http://www.statmt.org/wmt13/training-parallel-commoncrawl.tgz",),
                    918_311_367,
                    {"sha256": "c7a74e2ea01ac6c920123108627e35278d4ccb5701e15428ffa34de86fa3a9e5"},
                ),
                Source(
                    "training-parallel-nc-v9.tgz",
                    ("http://www.statmt.org/wmt14/training-parallel-nc-v9.tgz",),
                    80_418_416,
                    {"sha256": "cb8953f292298e6877ae433c98912b927cb0766b303f4540512ddd286c748485"},
                ),
                Source(
                    TEST,
                    ("https://statmt.org/wmt14/test-full.tgz",),
                    checksums={"md5": "a8cd784e006feb32ac6f3d9ec7eb389a"},
                ),
            ),
            build,
        ),
    ),
    licence="for research; Common Crawl and News Commentary belong to their authors: see its home",
    home="https://www.statmt.org/wmt14/translation-task.html",
    counts={"test": 3_003},
    exact=False,  # what others count of train and valid depends on their tokens
)
