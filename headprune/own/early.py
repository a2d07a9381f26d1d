"""Checks of a request that need neither torch nor fairseq, so that a slip is told in a second."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from headprune.naming import unknown
from headprune.own.folders import refuse_foreign
from headprune.own.glance import glance
from headprune.own.request import PruningRequest, budget_of
from headprune.own.targets import KINDS
from headprune.own.text_files import dictionaries_of, text_splits

SUBWORDS = ("auto", "none", "subword_nmt", "sentencepiece", "gpt2")
TOKENIZERS = ("none", "moses")
SPLIT = re.compile("train|valid|test")
RUN = "bin"  # of the data of a run, the folder of what fairseq reads
PAIR = re.compile(r"\.([^.]+-[^.]+)\.")  # `valid.de-en.de.idx`


def check(request: PruningRequest) -> None:
    """Refuses what is known to be wrong before anything heavy is imported.

    :raises ValueError: a method, an option, an amount or a name that there is none of; a file that is no checkpoint;
        data without a split that is needed; names what was found and what is expected.
    :raises FileNotFoundError: a file or folder that is not there.
    :raises FileExistsError: a folder for results that holds something else.
    """
    request.entry()
    _check_amounts(request)
    _check_names(request)
    told = glance(request.checkpoint)
    _check_files(request)
    _check_data(request, told)
    refuse_foreign(request.out)


def _check_amounts(request: PruningRequest) -> None:
    options = ", ".join(kind.option for kind in KINDS.values())
    if bool(request.keep) == (request.target is not None):
        both = f"--keep and {request.target} are both given" if request.target else "nothing tells how much is pruned"
        raise ValueError(f"{both}: give --keep, once or more often, or one target of {options}")
    for text in request.keep:
        budget_of(text, None)
    if request.fine_tune < 0:
        raise ValueError(f"--fine-tune {request.fine_tune}: it is a number of updates")
    if request.learning_rate is not None and not (request.fine_tune and request.learning_rate > 0):
        raise ValueError(f"--learning-rate {request.learning_rate}: it is larger than 0, and of --fine-tune")


def _check_names(request: PruningRequest) -> None:
    for what, name, known in (("bpe", request.bpe, SUBWORDS), ("tokenizer", request.tokenizer, TOKENIZERS)):
        if name not in known:
            raise ValueError(unknown(what, name, known))


def _check_files(request: PruningRequest) -> None:
    for folder in (request.data, request.dictionaries, request.gpt2):
        if folder is not None and not folder.is_dir():
            raise FileNotFoundError(f"there is no folder {folder}")
    files = [("references", request.references), ("BPE codes", request.bpe_codes)]
    files += [("SentencePiece", request.sentencepiece), *(("vocabulary", each) for each in request.bpe_vocabulary)]
    for what, file in files:
        if file is not None and not file.is_file():
            raise FileNotFoundError(f"there is no file of {what} {file}")
    if request.bpe_codes and request.sentencepiece:
        raise ValueError("--bpe-codes and --sentencepiece are both given: a model has subwords of one kind")
    _check_vocabulary(request)


def _check_vocabulary(request: PruningRequest) -> None:
    files, threshold = request.bpe_vocabulary, request.vocabulary_threshold
    if files and request.bpe_codes is None:
        raise ValueError(f"--bpe-vocabulary {files[0]}: it is of --bpe-codes, of which there are none")
    if len(files) > 2:
        raise ValueError(f"--bpe-vocabulary is given {len(files)} times: once, or of source and of target")
    if threshold is not None and not files:
        raise ValueError(f"--vocabulary-threshold {threshold}: it is of a --bpe-vocabulary, of which there is none")


def _check_data(request: PruningRequest, told: Mapping[str, str]) -> None:
    """Looks for the splits of a folder, of text or of fairseq-preprocess, by the names of its files."""
    folder, text = request.data, text_splits(request.data)
    held = text or _splits(folder)
    for split in ("valid", *(["train"] if request.fine_tune else [])):
        if split not in held:
            files = "" if text else _files(folder, split, told)
            reason = "; --fine-tune trains on it" if split == "train" else ""
            if (folder / RUN).is_dir() and split in _splits(folder / RUN):
                reason += f"; did you mean {folder / RUN}?"
            raise ValueError(f"{folder} has no split {split!r}{files}; its splits: {_listed(held)}{reason}")
    if text:
        dictionaries_of(folder, request.checkpoint, request.dictionaries)
        if request.references is not None:
            raise ValueError(f"--references {request.references}: {folder} is text, whose valid split has them itself")
        return
    for option, given in (
        ("dictionaries", request.dictionaries),
        ("bpe-codes", request.bpe_codes),
        ("sentencepiece", request.sentencepiece),
    ):
        if given is not None:
            raise ValueError(f"--{option} {given}: it is for text, and {folder} holds binarised data")


def _files(folder: Path, split: str, told: Mapping[str, str]) -> str:
    """The files of a split of binarised data, as far as the checkpoint or the other files tell them."""
    if told.get("task") == "language_modeling":
        return f" of text, {split}.bin and {split}.idx"
    pair = "-".join(told[key] for key in ("source_lang", "target_lang") if key in told)
    pair = pair or next((found[1] for path in folder.iterdir() if (found := PAIR.search(path.name))), "")
    return f" of {pair}, {split}.{pair}.*" if pair else ""


def _splits(folder: Path) -> set[str]:
    """The splits of a folder of fairseq-preprocess, by the names of its files."""
    return {found[0] for path in folder.iterdir() if (found := SPLIT.match(path.name))}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
