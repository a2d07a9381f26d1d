"""IWSLT 2014 German-English, TED talks, prepared as the papers on head pruning have it.

The steps are those of fairseq's examples/translation/prepare-iwslt14.sh, with sacremoses for the Moses scripts: train
lines that hold <url>, <talkid> or <keywords> are dropped and the tags <title> and <description> taken away; tokenised,
special characters escaped; train pairs of 1 to 175 tokens whose lengths differ by at most a factor 1.5; lower case;
every 23rd of these pairs is valid; test is dev2010, TEDX dev2012 and tst2010 to tst2012. Subwords are the recipe's.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from headprune.data.sources import Source
from headprune.data.standard.base import Route, Standard, plain, read_lines, write_pairs
from headprune.data.standard.lengths import fault
from headprune.data.unpacking import unpack

LANGUAGES = ("de", "en")
DROPPED = ("<url>", "<talkid>", "<keywords>")
TAGS = re.compile(r"</?(?:title|description)>")
TESTS = ("TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012")
SEGMENT = re.compile(r'<seg id="[0-9]*">\s*|\s*</seg>\s*')
LAST_STOP = re.compile(r"(?<=[^\s.])\.$")
LONGEST = 175  # tokens
EVERY = 23


def build(files: Mapping[str, Path], folder: Path) -> None:
    """Tokenised, lower-cased splits."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        found = {path.name: path for path in unpack(files["de-en.tgz"], Path(name) / "tgz", 2**29)}
        train = [tokenised(train_lines(found[f"train.tags.de-en.{language}"]), language) for language in LANGUAGES]
        test = [tokenised(test_lines(found, language), language) for language in LANGUAGES]
    kept = [tuple(map(str.lower, pair)) for pair in zip(*train, strict=True) if fits(*pair)]
    splits = {"train": [], "valid": [], "test": [tuple(map(str.lower, pair)) for pair in zip(*test, strict=True)]}
    for number, pair in enumerate(kept, start=1):
        splits["train" if number % EVERY else "valid"].append(pair)
    for split, pairs in splits.items():
        write_pairs(folder / f"{split}.tsv", pairs)  # type: ignore[arg-type]


def train_lines(path: Path) -> Iterator[str]:
    """Sentences and titles of a file of the train set."""
    for line in read_lines(path):
        if not any(tag in line for tag in DROPPED):
            yield TAGS.sub("", line)


def test_lines(found: Mapping[str, Path], language: str) -> Iterator[str]:
    """Segments of the test set, from the XML files of five others."""
    for name in TESTS:
        for line in read_lines(found[f"IWSLT14.{name}.de-en.{language}.xml"]):
            if "<seg id" in line:
                yield SEGMENT.sub("", line).replace("\u2019", "'")


def tokenised(lines: Iterator[str], language: str) -> list[str]:
    """Moses tokens separated by single spaces, special characters escaped.

    A full stop that ends a line is always a token, as in Moses' own script; sacremoses leaves it with an abbreviation
    or a German ordinal.
    """
    from sacremoses import MosesTokenizer

    tokenizer = MosesTokenizer(lang=language)
    return [LAST_STOP.sub(" .", tokenizer.tokenize(plain(line), return_str=True)) for line in lines]


def fits(source: str, target: str) -> bool:
    """True for a pair that Moses' clean-corpus-n keeps with `-ratio 1.5` and 1 to 175 tokens."""
    return not fault(source.split(), target.split(), LONGEST)


IWSLT14 = Standard(
    name="iwslt14-de-en",
    kind="pairs",
    languages=LANGUAGES,
    routes=(
        Route(
            (
                Source(
                    "de-en.tgz",
                    (
                        "https://dl.fbaipublicfiles.com/fairseq/data/iwslt14/de-en.tgz",
                        "http://dl.fbaipublicfiles.com/fairseq/data/iwslt14/de-en.tgz",
                    ),
                    size=19_982_877,
                ),
            ),
            build,
        ),
    ),
    licence="CC BY-NC-ND 4.0, TED talks: never to be given on",
    home="https://wit3.fbk.eu",
    counts={"train": 160_239, "valid": 7_283, "test": 6_750},  # with Moses' own scripts
    exact=False,  # sacremoses may cut a sentence otherwise, and then another pair is too long
)
