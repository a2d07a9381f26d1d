"""Binarised text of others, prepared for the jobs of a run: linked as it lies, or divided."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import headprune.models.compat  # noqa: F401

from fairseq.data import data_utils
from fairseq.data.indexed_dataset import infer_dataset_impl, make_builder

from headprune.data.lengths import Bounds
from headprune.data.portions import Portion, digest_of
from headprune.data.splits import SPLITS
from headprune.data.staging import STATISTICS, staged_folder, write_statistics
from headprune.tasks.language_blocks.corpus import BlockCorpus, TextFolder
from headprune.tasks.language_blocks.sections import BinarisedText


def prepare(section: BinarisedText, folder: Path, bounds: Bounds) -> dict[str, Any]:
    """Link or divide the text; `folder` appears complete or not at all.

    It then holds bin/, which fairseq reads, and statistics.json. Whole splits are linked, so the data have to stay
    where they are.

    :returns: the content of statistics.json
    :raises ValueError: a split is missing, or too small to be divided; blocks that are too long.
    :raises FileNotFoundError: there is no such folder, or dictionary.
    """
    corpus = source_of(section)
    parts = division(section, corpus)
    with staged_folder(folder, marker=STATISTICS) as work:
        binarised = work / "bin"
        binarised.mkdir()
        shutil.copy(corpus.binarised / "dict.txt", binarised)
        for split, part in parts.items():
            bring(corpus, split, part, binarised)
        told = {
            "corpus": {"name": corpus.binarised.name},
            "sha256": digests(corpus, parts),
            "vocabulary": len(corpus.task.dictionary),
            "splits": counts(TextFolder(binarised, section.blocks)),
        }
        section.check_lengths(told, bounds)
        return write_statistics(work, recipe={"given": section.recipe, "blocks": section.blocks}, **told)


def source_of(section: BinarisedText) -> BlockCorpus:
    """The folder of a section, and how it is read.

    :raises ValueError: a split that neither the folder nor `divide_valid` has, or both have.
    :raises FileNotFoundError: there is no such folder, or it has no `dict.txt`.
    """
    folder = Path(section.data_bin)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    if not (folder / "dict.txt").is_file():
        held = ", ".join(sorted(each.name for each in folder.iterdir())[:6]) or "nothing"
        raise FileNotFoundError(
            f"{folder} has no running text as fairseq-preprocess --only-source writes it, dict.txt, valid.bin, …; in "
            f"it: {held}"
        )
    corpus = TextFolder(folder, section.blocks)
    section.require_splits([split for split in SPLITS if split in corpus.splits])
    return corpus


def division(section: BinarisedText, corpus: BlockCorpus) -> dict[str, Portion]:
    """The lines of every split: a split of the folder, or a run of lines of its valid split. Of these train has the
    first ones and test the last, so that every split is running text.

    :raises ValueError: shares without a line.
    """
    found = {split: Portion(split) for split in SPLITS}
    if not section.divide_valid:
        return found
    total = len(lines_of(corpus, "valid"))
    first, last = (int(section.divide_valid.get(split, 0) * total) for split in ("train", "test"))
    runs = {"train": range(first), "valid": range(first, total - last), "test": range(total - last, total)}
    for split in (*section.divide_valid, "valid"):
        if not runs[split]:
            raise ValueError(f"divide_valid: {total} lines of valid leave none to {split}")
        found[split] = Portion("valid", runs[split])
    return found


def lines_of(corpus: BlockCorpus, split: str) -> Any:
    """The lines of a split as fairseq reads them, a tensor of token ids each, with the end of the line."""
    place = str(corpus.binarised / split)
    raw = "raw" if infer_dataset_impl(place) == "raw" else None
    return data_utils.load_indexed_dataset(place, corpus.task.dictionary, raw, combine=split == "train")


def bring(corpus: BlockCorpus, split: str, part: Portion, folder: Path) -> None:
    """The lines of a split as files that fairseq reads: links, or where they are divided or text, written anew."""
    if part.numbers is None and infer_dataset_impl(str(corpus.binarised / part.source)) != "raw":
        for path in files_of(corpus, split):
            (folder / path.name).symlink_to(path.absolute())
        return
    lines = lines_of(corpus, part.source)
    builder = make_builder(f"{folder / split}.bin", "mmap", vocab_size=len(corpus.task.dictionary))
    for number in part.of(len(lines)):
        builder.add_item(lines[number])
    builder.finalize(f"{folder / split}.idx")


def files_of(corpus: BlockCorpus, split: str) -> list[Path]:
    """The files of a split; those of train may be several, `train1.…`, which fairseq reads as one."""
    name = re.compile(rf"{split}{r'[0-9]*' if split == 'train' else ''}(\.(bin|idx))?")
    return [path for path in sorted(corpus.binarised.iterdir()) if name.fullmatch(path.name)]


def counts(corpus: BlockCorpus) -> dict[str, Any]:
    """Blocks of every split, their tokens, ends of lines included, and those of a mean and of the longest block."""
    found = {}
    for split in SPLITS:
        lengths = corpus.lengths(split)
        whole = {"blocks": len(lengths), "tokens": int(lengths.sum()), "longest": int(lengths.max())}
        found[split] = whole | {"mean_tokens": round(float(lengths.mean()), 3)}
    return found


def digests(corpus: BlockCorpus, parts: Mapping[str, Portion]) -> dict[str, str]:
    """The marks of the data: of the files of every split, and of all that a model may have seen."""
    own = {split: files_of(corpus, part.source) for split, part in parts.items()}
    seen = [corpus.binarised / "dict.txt", *dict.fromkeys([*own["train"], *own["valid"]])]
    return {split: digest_of(files) for split, files in own.items()} | {"train+valid": digest_of(seen)}
