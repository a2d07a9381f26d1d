"""Binarised data of others, prepared for the jobs of a run: linked as they lie, or divided, with their text."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import headprune.models.compat  # noqa: F401

import numpy as np
import torch
from fairseq.data.indexed_dataset import infer_dataset_impl, make_builder

from headprune.data.lengths import Bounds
from headprune.data.portions import Portion, digest_of
from headprune.data.splits import SPLITS
from headprune.data.staging import STATISTICS, staged_folder, write_statistics
from headprune.tasks.translation.data_bin import GPT2, BinarisedCorpus, DataBin
from headprune.tasks.translation.given import BinarisedPairs
from headprune.tasks.translation.reading import TextReading, subwords_of

DRAWN_BY = 1  # the seed of all divisions, so that every model sees the same
POSITIONS, UNBOUNDED = ("max_source_positions", "max_target_positions"), 10**9  # those of models are in the bounds


def prepare(section: BinarisedPairs, folder: Path, bounds: Bounds) -> dict[str, Any]:
    """Link or divide the data, and write their text; `folder` appears complete or not at all.

    It then holds bin/, which fairseq reads; raw/ with sources and references of valid and test, one a line; and
    statistics.json. Whole splits are linked, so the data have to stay where they are.

    :returns: the content of statistics.json
    :raises ValueError: a split is missing, too small to be divided, or has sentences that are too long; references of
        another number than sentences.
    :raises FileNotFoundError: there is no such folder, dictionary or file of references.
    """
    data = source_of(section)
    corpus = BinarisedCorpus(data)
    parts = division(section, corpus)
    with staged_folder(folder, marker=STATISTICS) as work:
        (work / "bin").mkdir()
        (work / "raw").mkdir()
        for language in data.pair:
            shutil.copy(data.folder / f"dict.{language}.txt", work / "bin")
        for split, part in parts.items():
            bring(corpus, split, part, work / "bin")
            if split != "train":
                write_text(corpus, split, part, work / "raw")
        if section.gpt2 is not None:
            shutil.copytree(section.gpt2, work / GPT2)
        reading = {"bpe": data.reading.subwords, "tokenizer": data.reading.tokenizer, "text": bool(data.references)}
        dictionaries = (corpus.task.source_dictionary, corpus.task.target_dictionary)
        told = {
            "corpus": {"name": data.folder.name, "source": data.pair[0], "target": data.pair[1]},
            "sha256": digests(corpus, parts),
            "vocabulary": {one: len(words) for one, words in zip(data.pair, dictionaries, strict=True)},
            "splits": {split: count(corpus, part) for split, part in parts.items()},
        }
        section.check_lengths(told, bounds)
        return write_statistics(work, recipe={"given": section.recipe, **reading}, **told)


def source_of(section: BinarisedPairs) -> DataBin:
    """The folder of a section, and how it is read.

    :raises ValueError: nothing tells the languages; GPT-2's pieces without their files; a split that neither the folder
        nor `divide_valid` has, or both have.
    :raises FileNotFoundError: there is no such folder, or file of references.
    """
    data = DataBin(Path(section.data_bin), section.pair(), options=dict.fromkeys(POSITIONS, UNBOUNDED))
    words = BinarisedCorpus(data).task.target_dictionary
    bpe: Any = subwords_of(words.symbols[words.nspecial :]) if section.bpe == "auto" else section.bpe
    gpt2 = None if section.gpt2 is None else Path(section.gpt2)
    reading = TextReading(bpe, section.tokenizer, data.pair[1], gpt2)
    references: dict[str, Path] = {split: Path(path) for split, path in section.references.items()}
    for split, path in references.items():
        if not path.is_file():
            raise FileNotFoundError(f"references.{split}: there is no file {path}")
    section.require_splits(data.splits)
    for split in set(SPLITS) & set(data.splits):
        data.require(split)
    return replace(data, reading=reading, references=references)


def division(section: BinarisedPairs, corpus: BinarisedCorpus) -> dict[str, Portion]:
    """The sentences of every split: a split of the folder, or a share of its valid split; no sentence is in two.

    :raises ValueError: shares without a sentence.
    """
    if not section.divide_valid:
        return {split: Portion(split) for split in SPLITS}
    total = len(corpus.dataset("valid"))
    order = torch.randperm(total, generator=torch.Generator().manual_seed(DRAWN_BY)).tolist()
    found = {split: Portion(split) for split in SPLITS}
    for split, share in section.divide_valid.items():
        taken, order = order[: int(share * total)], order[int(share * total) :]
        found[split] = Portion("valid", sorted(taken))
    found["valid"] = Portion("valid", sorted(order))
    if empty := [split for split, part in found.items() if part.numbers is not None and not part.numbers]:
        raise ValueError(f"divide_valid: {total} sentences of valid leave none to {' and '.join(empty)}")
    return found


def bring(corpus: BinarisedCorpus, split: str, part: Portion, folder: Path) -> None:
    """The sentences of a split as files that fairseq reads: links, or where they are divided or text, written anew."""
    data, pair = corpus.data, corpus.pair
    place = data.require(part.source)
    if part.numbers is None and infer_dataset_impl(f"{place}.{pair[0]}") != "raw":
        for path in files_of(data, split):
            (folder / path.name).symlink_to(path.absolute())
        return
    dataset = corpus.dataset(part.source)
    dictionaries = (corpus.task.source_dictionary, corpus.task.target_dictionary)
    for language, side, words in zip(pair, (dataset.src, dataset.tgt), dictionaries, strict=True):
        start = folder / f"{split}.{'-'.join(pair)}.{language}"
        builder = make_builder(f"{start}.bin", "mmap", vocab_size=len(words))
        for number in part.of(len(dataset)):
            builder.add_item(side[number])
        builder.finalize(f"{start}.idx")


def files_of(data: DataBin, split: str) -> list[Path]:
    """The files of a split; those of train may be several, `train1.…`, which fairseq reads as one."""
    pairs = "|".join(re.escape("-".join(pair)) for pair in (data.pair, data.pair[::-1]))
    name = re.compile(rf"{split}{r'[0-9]*' if split == 'train' else ''}\.({pairs})\..*")
    return [path for path in sorted(data.folder.iterdir()) if name.fullmatch(path.name)]


def write_text(corpus: BinarisedCorpus, split: str, part: Portion, folder: Path) -> None:
    """Sources and references of a split, one a line: raw references where there are any, else words of the tokens."""
    dataset, reading = corpus.dataset(part.source), corpus.data.reading
    references, words = corpus.references(part.source), corpus.task.source_dictionary
    chosen = part.of(len(dataset))
    sources = (reading.words(str(words.string(dataset.src[number]))) for number in chosen)
    (folder / f"{split}.src").write_text("".join(f"{line}\n" for line in sources), encoding="utf-8")
    targets = "".join(f"{references[number]}\n" for number in chosen)
    (folder / f"{split}.tgt").write_text(targets, encoding="utf-8")


def count(corpus: BinarisedCorpus, part: Portion) -> dict[str, Any]:
    """Pairs of a split, and by language the mean number of tokens, end of sentence not counted, and the longest."""
    dataset = corpus.dataset(part.source)
    chosen = np.asarray(part.of(len(dataset)))
    found: dict[str, Any] = {"pairs": len(chosen), "mean_tokens": {}, "longest": {}}
    for language, sizes in zip(corpus.pair, (dataset.src_sizes, dataset.tgt_sizes), strict=True):
        own = np.asarray(sizes)[chosen]
        longest = int(own.argmax())
        found["mean_tokens"][language] = round(float(own.mean()) - 1, 3)
        found["longest"][language] = {"tokens": int(own[longest]), "line": int(chosen[longest]) + 1}
    return found


def digests(corpus: BinarisedCorpus, parts: Mapping[str, Portion]) -> dict[str, str]:
    """The marks of the data: of the files of every split, and of all that a model may have seen; the text of test
    references is in that of test alone."""
    data = corpus.data
    words = [data.folder / f"dict.{language}.txt" for language in data.pair]
    own = {split: files_of(data, part.source) for split, part in parts.items()}
    texts = {split: [data.references[key]] for split, part in parts.items() if (key := part.source) in data.references}
    found = {split: digest_of([*own[split], *texts.get(split, [])]) for split in parts}
    return found | {"train+valid": digest_of([*words, *dict.fromkeys([*own["train"], *own["valid"]])])}
