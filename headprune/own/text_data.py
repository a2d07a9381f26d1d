"""Text as a folder of fairseq-preprocess, cut and numbered by what the model was trained with."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import headprune.models.compat  # noqa: F401

from fairseq.data.encoders.moses_tokenizer import MosesTokenizer, MosesTokenizerConfig

from headprune.checkpoints import OpenedModel
from headprune.data import Corpus, TextCorpus, read_lines, read_pairs
from headprune.data.binarise import renumber
from headprune.data.bpe import encoder
from headprune.data.splits import checksums
from headprune.data.staging import staged_folder
from headprune.data.subwords import encode
from headprune.own.folders import DATA, SOURCE, write
from headprune.own.request import PruningRequest
from headprune.own.text_files import files_of, named_pair, text_splits
from headprune.results.provenance import digest, file_sha256
from headprune.tasks.translation.reading import subwords_of

Sides = dict[str, dict[str, list[str]]]  # lines by split and language; of running text the language is empty


@dataclass(frozen=True)
class Cutting:
    """The way from text to the pieces of a model.

    :param subwords: as in `headprune.tasks.translation.reading`
    :param languages: source and target; none of running text
    """

    subwords: str
    request: PruningRequest
    languages: tuple[str, ...] = ()

    @classmethod
    def of(cls, request: PruningRequest, dictionary: object, languages: tuple[str, ...] = ()) -> Cutting:
        """The cutting that a request asks for, or that the words of a dictionary show.

        :raises ValueError: the file that it is done with is not given.
        """
        given = {"subword_nmt": request.bpe_codes, "sentencepiece": request.sentencepiece, "gpt2": request.gpt2}
        kind = request.bpe
        if kind == "auto":
            named = [name for name, file in given.items() if file is not None]
            words = dictionary.symbols[dictionary.nspecial :]  # type: ignore[attr-defined]
            kind = named[0] if named else subwords_of(words)
        if kind != "none" and given[kind] is None:
            option = {"subword_nmt": "--bpe-codes", "sentencepiece": "--sentencepiece", "gpt2": "--gpt2"}[kind]
            raise ValueError(
                f"{request.data} is text, and the dictionary of the model holds subwords ({kind}): {option} names the "
                "file that they are cut by"
            )
        return cls(kind, request, languages)

    def pieces(self, lines: Sequence[str], language: str) -> list[str]:
        """Lines as pieces between spaces, as fairseq-interactive makes them."""
        if self.request.tokenizer == "moses":
            moses = MosesTokenizer(MosesTokenizerConfig(source_lang=language, target_lang=language))
            lines = [moses.encode(line) for line in lines]
        return self._cut(lines, language)

    def _cut(self, lines: Sequence[str], language: str) -> list[str]:
        if self.subwords == "subword_nmt":
            return self._by_codes(lines, language)
        if self.subwords == "sentencepiece":
            assert self.request.sentencepiece is not None
            return encode(self.request.sentencepiece, lines)
        if self.subwords == "gpt2":
            return [" ".join(map(str, found)) for found in map(_gpt2(self.request.gpt2), lines)]
        return [" ".join(line.split()) for line in lines]

    def _by_codes(self, lines: Sequence[str], language: str) -> list[str]:
        request = self.request
        assert request.bpe_codes is not None
        known = dict(zip(self.languages or ("",), request.bpe_vocabulary * 2, strict=False))
        cut = encoder(request.bpe_codes, known.get(language), request.vocabulary_threshold).segment
        return [cut(" ".join(line.split())) for line in lines]


def _gpt2(folder: Path | None) -> Callable[[str], list[int]]:
    from fairseq.data.encoders.gpt2_bpe_utils import get_encoder

    assert folder is not None
    encoder = get_encoder(str(folder / "encoder.json"), str(folder / "vocab.bpe"))
    return encoder.encode  # type: ignore[no-any-return]


def numbered(request: PruningRequest, opened: OpenedModel, dictionaries: Path) -> PruningRequest:
    """The request with its text as binarised data, which are written into its folder of results.

    Raw sentences of valid are there with it, so that hypotheses are scored as text.

    :param dictionaries: folder of the model's dictionaries
    :raises ValueError: text that is damaged or lacks a side (see `read_pairs` and `read_lines`), a file for its
        subwords that is not given, or nothing that tells the languages.
    :raises FileExistsError: the folder holds other text of an earlier call.
    """
    languages = _languages(request, opened)
    cutting = Cutting.of(request, opened.model.decoder.dictionary, languages)
    destination, source = request.out / DATA, _digest(request, dictionaries, cutting)
    there = destination / SOURCE
    if there.is_file() and json.loads(there.read_text(encoding="utf-8")) != source:
        raise FileExistsError(f"{request.out} holds the text of another call: name another")
    text = read(request.data, languages)
    if not there.is_file():
        with staged_folder(destination, SOURCE) as folder, tempfile.TemporaryDirectory() as pieces:
            for split, sides in text.items():
                for language, lines in sides.items():
                    cut = cutting.pieces(lines, language)
                    write(Path(pieces) / f"{split}.{language or 'txt'}", "".join(f"{line}\n" for line in cut))
            renumber(Path(pieces), folder, dictionaries, languages)
            if languages:
                write(folder / _raw(languages), "".join(f"{line}\n" for line in text["valid"][languages[1]]))
            write(folder / SOURCE, json.dumps(source))
    references = destination / _raw(languages) if languages else None
    return replace(request, data=destination, references=references, bpe=cutting.subwords)


def _raw(languages: Sequence[str]) -> str:
    return f"raw.valid.{languages[1]}"


def _digest(request: PruningRequest, dictionaries: Path, cutting: Cutting) -> Mapping[str, str]:
    """All that the binarised data depend on."""
    files = [*files_of(request.data), *dictionaries.glob("dict*.txt"), request.bpe_codes, request.sentencepiece]
    content = {file.name: file_sha256(file) for file in files if file is not None and file.is_file()}
    known = [file_sha256(file) for file in request.bpe_vocabulary]
    return {"text": digest([content, known, request.vocabulary_threshold, cutting.subwords, request.tokenizer])}


def _languages(request: PruningRequest, opened: OpenedModel) -> tuple[str, ...]:
    """Source and target language; none of a language model."""
    if opened.description.task_name != "translation":
        return ()
    pair = tuple(place.name.split(".")[1] for place in opened.dictionaries) or named_pair(request.data)
    if pair is None:
        raise ValueError(
            f"nothing tells the languages of {request.data}, source and target: name the folder as in talks-de-en"
        )
    return pair


def read(folder: Path, languages: Sequence[str]) -> Sides:
    """The lines of train, where there is one, and valid.

    :param languages: source and target; none: running text
    """
    splits = [split for split in ("train", "valid") if split in text_splits(folder)]
    if not languages:
        corpus = TextCorpus(folder.resolve().name, folder, checksums(folder))
        return {split: {"": read_lines(corpus, split)} for split in splits}
    source, target = languages
    pairs = Corpus(folder.resolve().name, source, target, folder, checksums(folder))
    found = {split: zip(*read_pairs(pairs, split), strict=True) for split in splits}
    return {split: dict(zip(languages, map(list, sides), strict=True)) for split, sides in found.items()}
