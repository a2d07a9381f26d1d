"""`headprune prune --data` with text: cut and numbered as the model's own data, scored as text."""

from __future__ import annotations

import dataclasses
import random
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import headprune.models.compat  # noqa: F401

import pytest
import sacrebleu
import sentencepiece
from fairseq.data import Dictionary

from headprune.data import read_pairs
from headprune.data.corpora import Corpus
from headprune.data.subwords import learn
from headprune.own.early import check
from headprune.own.materials import workpiece
from headprune.own.request import PruningRequest
from headprune.own.run import prune
from headprune.own.text_data import Cutting
from headprune.own.text_files import text_splits
from headprune.settings import Calibration
from tests.checkpoints.conftest import WORDS, StockModel

Stock = Callable[[str], StockModel]
Make = Callable[..., PruningRequest]
CODES = "#version: 0.2\n" + "".join(f"{a} {b}\n" for a in "zabcdef" for b in ("o", "u</w>", "i</w>", "u", "i"))


def sentence(rng: random.Random) -> tuple[str, list[str]]:
    """A sentence of words that end in u or i, and its pieces: `aobu ci` is `ao@@ bu ci`."""
    pieces = [rng.choice(WORDS) for _ in range(rng.randint(3, 7))] + [rng.choice("abcdef") + "u"]
    return " ".join(pieces).replace("@@ ", ""), pieces


@pytest.fixture
def sentences() -> dict[str, list[tuple[str, list[str]]]]:
    rng = random.Random(7)
    return {split: [sentence(rng) for _ in range(12)] for split in ("train", "valid")}


@pytest.fixture
def text(sentences: dict[str, list[tuple[str, list[str]]]], tmp_path: Path) -> Path:
    """Two files a split, as Moses has them; of the target the letter a is z."""
    folder = tmp_path / "talks"
    folder.mkdir()
    for split, lines in sentences.items():
        source = "".join(f"{line}\n" for line, _ in lines)
        (folder / f"{split}.xx").write_text(source, encoding="utf-8")
        (folder / f"{split}.yy").write_text(source.replace("a", "z"), encoding="utf-8")
    (tmp_path / "codes").write_text(CODES, encoding="utf-8")
    return folder


@pytest.fixture
def request_of(stock: Stock, text: Path, tmp_path: Path) -> Make:
    def of(**changes: Any) -> PruningRequest:
        made = stock("separate, pre-norm")
        given = {"dictionaries": made.data, "bpe_codes": tmp_path / "codes", "calibration": Calibration(sentences=10)}
        plain = PruningRequest(made.checkpoint, text, "magnitude", ("6",), tmp_path / "out")
        return dataclasses.replace(plain, **(given | changes))

    return of


def test_it_is_numbered_as_the_models_own_data(request_of: Make, sentences: dict[str, Any]) -> None:
    """Numbers are those of the pieces of every sentence, which are known here."""
    work = workpiece(request_of())
    words = [Dictionary.load(str(request_of().dictionaries / f"dict.{side}.txt")) for side in ("xx", "yy")]  # type: ignore[operator]
    for split, lines in sentences.items():
        dataset = work.corpus.dataset(split)
        assert len(dataset) == len(lines)
        for number, (_, pieces) in enumerate(lines):
            for dictionary, found, letter in zip(words, (dataset.src, dataset.tgt), "az", strict=True):
                expected = [dictionary.index(piece.replace("a", letter)) for piece in pieces] + [dictionary.eos()]
                assert found[number].tolist() == expected
                assert dictionary.unk() not in expected
    assert work.judged is None


def test_quality_is_bleu_of_text(request_of: Make, text: Path) -> None:
    """sacrebleu's own, of the hypotheses that were written and the file of the user."""
    request = request_of()
    summary = prune(request)
    assert summary["metric"] == "bleu"
    references = (text / "valid.yy").read_text(encoding="utf-8").splitlines()
    for record, name in zip(summary["models"], ("unpruned", "keep6"), strict=True):
        lines = (request.out / name / "hypotheses.txt").read_text(encoding="utf-8").splitlines()
        assert record["scores"]["bleu"] == pytest.approx(sacrebleu.corpus_bleu(lines, [references]).score, abs=1e-9)
        assert not any("@@" in line for line in lines)
    assert f"fairseq-generate {request.out / 'data-bin'}" in (request.out / "summary.md").read_text(encoding="utf-8")
    assert prune(request_of(keep=("3",)))["models"][:2] == summary["models"]
    (text / "valid.xx").write_text("ai\n" * 12, encoding="utf-8")
    with pytest.raises(FileExistsError, match="holds the text of another call: name another"):
        prune(request)


def test_pairs_in_one_file_are_the_same(request_of: Make, text: Path, tmp_path: Path) -> None:
    folder = tmp_path / "one-xx-yy"
    folder.mkdir()
    for split in ("train", "valid"):
        pairs = read_pairs(Corpus("talks", "xx", "yy", text), split)
        (folder / f"{split}.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in pairs), encoding="utf-8")
    one, other = workpiece(request_of(data=folder, out=tmp_path / "one")), workpiece(request_of())
    assert one.put_out(one.model) == other.put_out(other.model)
    assert one.corpus.references("valid") == other.corpus.references("valid")


def test_sentencepiece_and_moses(request_of: Make, tmp_path: Path) -> None:
    """Pieces are those of the library; Moses' tokens are those of its rules."""
    lines = ["abu cobi ai", "doi, eu!"]
    (tmp_path / "model").write_bytes(learn(lines * 5, 20))
    dictionary = Namespace(symbols=["<s>", "\u2581a", "b"], nspecial=1)
    pieces = Cutting.of(request_of(sentencepiece=tmp_path / "model", bpe_codes=None), dictionary).pieces(lines, "xx")
    expected = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "model")).encode(lines, out_type=str)
    assert pieces == [" ".join(each) for each in expected]
    moses = Cutting.of(request_of(tokenizer="moses", bpe="none"), dictionary).pieces(
        ["It's, a well-known & plain case."], "en"
    )
    assert moses == ["It &apos;s , a well @-@ known &amp; plain case ."]


def test_every_side_has_its_vocabulary(request_of: Make, tmp_path: Path) -> None:
    """`ab` is a piece of the source alone; one file stands for both sides."""
    (tmp_path / "merges").write_text("#version: 0.2\na b\n", encoding="utf-8")
    (tmp_path / "of-xx").write_text("ab@@ 9\nc 9\n", encoding="utf-8")
    (tmp_path / "of-yy").write_text("ab@@ 2\na@@ 9\nb@@ 9\nc 9\n", encoding="utf-8")
    files = (tmp_path / "of-xx", tmp_path / "of-yy")
    for given, expected in ((files, ["ab@@ c", "a@@ b@@ c"]), (files[1:], ["a@@ b@@ c"] * 2)):
        request = request_of(bpe_codes=tmp_path / "merges", bpe_vocabulary=given, vocabulary_threshold=3)
        cutting = Cutting.of(request, Namespace(symbols=[], nspecial=0), ("xx", "yy"))
        assert [cutting.pieces(["abc"], language)[0] for language in ("xx", "yy")] == expected


def test_kinds_of_folders(text: Path, stock: Stock, tmp_path: Path) -> None:
    assert text_splits(text) == {"train", "valid"}
    assert text_splits(stock("separate, pre-norm").data) == set()
    for name in ("wiki.valid.tokens", "train.txt.gz"):
        (tmp_path / name).touch()
    assert text_splits(tmp_path) == {"train", "valid"}


def without(*names: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return remove


def blank(folder: Path) -> None:
    (folder / "valid.yy").write_text("\n" * 12, encoding="utf-8")


REFUSED: dict[str, tuple[dict[str, Any], Callable[[Path], None], str]] = {
    "no dictionaries": (
        {"dictionaries": None},
        lambda folder: None,
        r"there is no dict\.\*\.txt in .*--dictionaries names",
    ),
    "no codes": (
        {"bpe_codes": None},
        lambda folder: None,
        r"holds subwords \(subword_nmt\): --bpe-codes names the file",
    ),
    "vocabulary without codes": (
        {"bpe_codes": None, "bpe_vocabulary": (Path("words"),)},
        lambda folder: None,
        "there is no file of vocabulary words",
    ),
    "threshold without a vocabulary": (
        {"vocabulary_threshold": 3},
        lambda folder: None,
        "--vocabulary-threshold 3: it is of a --bpe-vocabulary",
    ),
    "no such codes": ({"bpe_codes": Path("nowhere")}, lambda folder: None, "there is no file of BPE codes nowhere"),
    "two kinds": (
        {"sentencepiece": Path(__file__)},
        lambda folder: None,
        "--bpe-codes and --sentencepiece are both given",
    ),
    "references": (
        {"references": Path(__file__)},
        lambda folder: None,
        "--references .* is text, whose valid split has",
    ),
    "no valid split": ({}, without("valid.xx", "valid.yy"), "has no split 'valid'; its splits: train"),
    "no targets": ({}, without("valid.yy"), "valid.xx is there, its other side valid.yy"),
    "blank lines": ({}, blank, "valid.yy, line 1: must have text"),
    "too many heads": ({"keep": ("13",)}, lambda folder: None, "--keep is '13', outside 0…12"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_missing_is_told_and_nothing_is_written(request_of: Make, text: Path, case: str) -> None:
    changes, damage, message = REFUSED[case]
    damage(text)
    request = request_of(**changes)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        prune(request)
    assert not request.out.exists()


def test_files_for_text_are_refused_where_data_are_binarised(request_of: Make, stock: Stock) -> None:
    with pytest.raises(ValueError, match=r"--dictionaries .*: it is for text, and .*data-bin holds binarised data"):
        check(request_of(data=stock("separate, pre-norm").data))
