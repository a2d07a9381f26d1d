"""fairseq's own preprocessing, run inside this process: dictionaries and binarised datasets."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headprune.data.splits import SPLITS


def binarise(pieces: Path, destination: Path, source: str, target: str, joined: bool) -> None:
    """Write dict.<language>.txt and <split>.<source>-<target>.<language>.{bin,idx} into `destination`.

    Dictionaries hold every piece of the train split, the most frequent first, and nothing of valid and test.

    :param pieces: folder with <split>.<language>, one line of space-separated pieces a sentence
    :param joined: one dictionary of both languages (written under both names) instead of one for each
    """
    prefixes = [word for split in SPLITS for word in (f"--{split}pref", str(pieces / split))]
    words = [*prefixes, "--source-lang", source, "--target-lang", target]
    _preprocess([*words, *(["--joined-dictionary"] if joined else [])], destination)


def binarise_text(pieces: Path, destination: Path, minimum_count: int = 1, most: int | None = None) -> None:
    """Write dict.txt and <split>.{bin,idx} into `destination`; every line, blank ones too, ends in `</s>`.

    The dictionary holds the units of the train split, the most frequent first, and nothing of valid and test.

    :param pieces: folder with <split>.txt, space-separated units
    :param minimum_count: units that the train split has less often are left out
    :param most: units in the dictionary at most; None: no limit
    """
    prefixes = [word for split in SPLITS for word in (f"--{split}pref", str(pieces / f"{split}.txt"))]
    words = [*prefixes, "--only-source", "--thresholdsrc", str(minimum_count)]
    # fairseq's limit includes its four special symbols, and -1 means none.
    _preprocess([*words, "--nwordssrc", str(-1 if most is None else most + 4)], destination)


def binarise_known(pieces: Path, destination: Path, dictionary: Path) -> None:
    """Write dict.txt and <split>.{bin,idx} into `destination`; every line ends in `</s>`.

    :param pieces: folder with <split>.txt, space-separated units
    :param dictionary: a file with a unit and its count on each line, which decides on the numbers of units
    """
    prefixes = [word for split in SPLITS for word in (f"--{split}pref", str(pieces / f"{split}.txt"))]
    _preprocess([*prefixes, "--only-source", "--srcdict", str(dictionary)], destination)


def _preprocess(words: list[str], destination: Path) -> None:
    """Runs fairseq-preprocess with these arguments."""
    words = [*words, "--destdir", str(destination), "--workers", "1"]
    with contained_logging():
        from fairseq import options
        from fairseq_cli import preprocess

        preprocess.main(options.get_preprocessing_parser().parse_args(words))
    # The log holds the time and this machine's paths, which would make equal results differ.
    (destination / "preprocess.log").unlink(missing_ok=True)


@contextmanager
def contained_logging() -> Iterator[None]:
    """Keep fairseq from configuring the root logger at its import and from leaving a log file open."""
    root, logger = logging.getLogger(), logging.getLogger("fairseq_cli.preprocess")
    placeholder, before = logging.NullHandler(), list(logger.handlers)
    root.addHandler(placeholder)  # logging.basicConfig does nothing where the root has a handler
    try:
        yield
    finally:
        root.removeHandler(placeholder)
        for handler in set(logger.handlers).difference(before):
            logger.removeHandler(handler)
            handler.close()
