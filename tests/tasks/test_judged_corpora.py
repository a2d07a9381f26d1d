"""JudgedPair pairs from files: the embedded corpus, a user's own, and archives as MNLI, SNLI and RTE come in."""

from __future__ import annotations

import gzip
import hashlib
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from headprune.cli.commands import app
from headprune.data.sources import Source
from headprune.data.splits import SPLITS
from headprune.data.standard import folder_of, obtain
from headprune.data.standard.base import Standard
from headprune.tasks.nli import standard
from headprune.tasks.nli.corpora import JUDGED, JUDGED_CORPORA, JudgedPair, judged_corpus, labels_of, read_judged
from headprune.tasks.nli.standard import STANDARD_JUDGED, archived, is_held_out
from tests.data import loopback

LABELS = ("contradiction", "entailment", "neutral")
PLAIN = "A man sleeps.\tHe rests.\tentailment\nA man sleeps.\tHe runs.\tcontradiction\n"


def own(folder: Path, **changes: str) -> Path:
    """A folder with a small corpus; `changes` are the texts of splits."""
    folder.mkdir(parents=True)
    for split in SPLITS:
        (folder / f"{split}.tsv").write_text(changes.get(split, PLAIN), encoding="utf-8", newline="")
    return folder


def test_versenli_has_its_published_sizes() -> None:
    """Examples as in the table of the corpora; about a third of each label, and no chapter in two splits."""
    splits = {split: read_judged(judged_corpus("versenli"), split) for split in SPLITS}
    assert [len(splits[split]) for split in SPLITS] == [25_704, 677, 717]
    for examples in splits.values():
        counts = Counter(example.label for example in examples)
        assert set(counts) == set(LABELS)
        assert all(0.29 < count / len(examples) < 0.37 for count in counts.values())
    premises = [{example.premise for example in splits[split]} for split in SPLITS]
    assert len(premises[1] & premises[0]) + len(premises[2] & premises[0]) < 10  # verses that stand in two chapters


def test_the_folder_of_versenli_says_that_its_labels_are_made_by_rules() -> None:
    folder = JUDGED_CORPORA["versenli"].folder
    assert "public domain" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert "made by rules, not by people" in (folder / "NOTICE").read_text(encoding="utf-8")
    lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    assert {file: digest for digest, file in map(str.split, lines)} == JUDGED_CORPORA["versenli"].sha256


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PLAIN, "He rests."),
        ("premise\thypothesis\tlabel\n" + PLAIN, "He rests."),
        ("gold_label\tid\tsentence2\tsentence1\nentailment\t7\tHe rests.\tA man sleeps.\n", "He rests."),
        ('Label\tPremise\tHypothesis\r\nentailment\tA man sleeps.\tHe "rests".\r\n', 'He "rests".'),
        ("\ufeffA man sleeps.\tHe  rests. \tentailment\n", "He rests."),
        ('# "Sentence 1"\t"sentence 2"\t"Gold Label"\n' + PLAIN, "He rests."),
        ("A man sleeps.\tمی‌خوابد 👩\u200d💻\tentailment\n", "می‌خوابد 👩\u200d💻"),
    ],
    ids=["no names", "names", "other order and columns", "Windows", "byte order mark", "names with signs", "joiners"],
)
def test_columns_are_found(tmp_path: Path, text: str, expected: str) -> None:
    found = read_judged(judged_corpus(own(tmp_path / "mine", train=text)), "train")
    assert found[0] == JudgedPair("A man sleeps.", expected, "entailment")


def test_a_folder_may_be_packed_and_verified(tmp_path: Path) -> None:
    folder = own(tmp_path / "mine")
    (folder / "valid.tsv").unlink()
    packed = gzip.compress(PLAIN.encode())
    (folder / "valid.tsv.gz").write_bytes(packed)
    assert len(read_judged(judged_corpus(folder), "valid")) == 2
    (folder / "SHA256SUMS").write_text(f"{hashlib.sha256(b'').hexdigest()}  valid.tsv.gz\n", encoding="utf-8")
    with pytest.raises(ValueError, match="checksum differs"):
        read_judged(judged_corpus(folder), "valid")


MALFORMED = {
    "two columns": (PLAIN[:36] + "a\tb\n", r"train.tsv, line 2: must have 3 columns separated by a tab, has 2"),
    "an empty premise": (" \tb\tentailment\n", "line 1: must have a premise"),
    "no label": ("a\tb\t\n", "line 1: must have a label"),
    "the label first": ("entailment\tA man\tHe rests.\n", r"line 1: a label is one word, has 'He rests\.'"),
    "a control character": (
        "a\u0007\tb\tc\n",
        r"line 1: must not contain control characters or line separators, has U\+0007",
    ),
    "a separator of lines": ("a\u2028b\tb\tc\n", r"line 1: must not contain control .*, has U\+2028"),
    "names of some columns": ("text_a\ttext_b\tlabel\n" + PLAIN, "line 1: names columns, .*none for the premise: prem"),
    "names in quotation marks": (
        '"premise"\t"other"\t"label"\n' + PLAIN,
        "line 1: names columns, .*for the hypothesis",
    ),
    "two labels": (
        "sentence1\tsentence2\tlabel\tgold_label\na\tb\tc\td\n",
        "line 1: names more than one column for the label, 'label' and 'gold_label': leave one",
    ),
    "names again": ("premise\thypothesis\tlabel\n" * 2 + PLAIN, "line 2: names the columns again"),
    "no gold label": (PLAIN + "a\tb\t-\n", "line 3: the label '-' stands for none"),
    "a tab in quotation marks": ('"a\tb"\tc\tentailment\n', "has 4; .*quotation marks do not protect a tab"),
    "quoted columns": (
        '"premise"\t"hypothesis"\t"label"\n"a"\t"b"\t"yes"\n',
        'line 2: the label "yes" is quoted, and a quotation mark is a letter here: write columns without',
    ),
    "a blank last line": (PLAIN + "\r\n", "line 3: is blank: remove it"),
    "names alone": ("premise\thypothesis\tlabel\n", "no examples below the names"),
    "nothing": ("", "empty; expected one example a line"),
}


@pytest.mark.parametrize(("text", "message"), MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    corpus = judged_corpus(own(tmp_path / "mine", train=text))
    with pytest.raises(ValueError, match=message):
        read_judged(corpus, "train")


def test_labels_are_those_of_the_train_split(tmp_path: Path) -> None:
    corpus = judged_corpus(own(tmp_path / "mine", test="a\tb\tneutral\n"))
    splits = {split: read_judged(corpus, split) for split in SPLITS}
    with pytest.raises(ValueError, match=r"test.tsv, example 1: label 'neutral' is not in train.tsv; known"):
        labels_of(corpus, splits)
    with pytest.raises(ValueError, match="1 different labels: 2 to 100 are expected"):
        labels_of(corpus, {**splits, "train": splits["train"][:1]})
    assert labels_of(corpus, {**splits, "test": []}) == ["contradiction", "entailment"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["Entailment", "entailment", "neutral"], "'Entailment' and 'entailment' differ in case or encoding alone"),
        (["peut-e\u0302tre", "peut-\xeatre"], r"'peut-e\\u0302tre' and 'peut-\\xeatre' differ in case or encoding"),
        (["yes", "<pad>"], "the label '<pad>' is a symbol of fairseq's dictionaries"),
        (["Gold", *["yes", "no"] * 20], "line 1: no other line has the label 'Gold', as if it named a column"),
    ],
    ids=["case", "encoding", "fairseq's", "a name of a column"],
)
def test_labels_that_are_no_classes_are_refused(tmp_path: Path, labels: list[str], message: str) -> None:
    corpus = judged_corpus(own(tmp_path / "mine", train="".join(f"a\tb\t{label}\n" for label in labels)))
    with pytest.raises(ValueError, match=message):
        labels_of(corpus, {split: read_judged(corpus, split) for split in SPLITS})


def test_a_rare_label_may_stand_first_below_names(tmp_path: Path) -> None:
    labels = ["rare", *["yes", "no"] * 20]
    text = "premise\thypothesis\tlabel\n" + "".join(f"a\tb\t{label}\n" for label in labels)
    assert len(read_judged(judged_corpus(own(tmp_path / "mine", train=text)), "train")) == 41


def test_unknown_names_and_folders_without_a_split(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown dataset 'versenly'; did you mean 'versenli'"):
        judged_corpus("versenly")
    (own(tmp_path / "mine") / "test.tsv").unlink()
    with pytest.raises(ValueError, match="not a corpus: mine: neither test.tsv nor test.tsv.gz"):
        judged_corpus(tmp_path / "mine")


def test_a_folder_of_three_columns_is_of_judged_pairs(tmp_path: Path) -> None:
    assert JUDGED.owns(own(tmp_path / "mine"))
    assert not JUDGED.owns(own(tmp_path / "talks-de-en", train="ein\tone\n"))
    assert not JUDGED.owns(tmp_path)
    damaged = own(tmp_path / "damaged", train="")
    assert JUDGED.owns(damaged)
    (damaged / "train.tsv").unlink()
    assert JUDGED.owns(damaged)


def test_the_command_line_counts_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app(["data", str(own(tmp_path / "mine"))], standalone_mode=False)
    told = capsys.readouterr().out
    assert "mine train: 2 examples, no checksum known" in told
    assert "mine train labels: contradiction 1, entailment 1" in told
    assert "mine note: 2 pairs of test stand in train, too" in " ".join(told.split())
    with pytest.raises(ValueError, match=r"label 'neutral' is not in train\.tsv"):
        app(["data", str(own(tmp_path / "other", test="a\tb\tneutral\n"))], standalone_mode=False)


# Archives: their lines by file, columns as in the originals.
def glue(gold: str, *rows: tuple[str, str, str]) -> str:
    """MNLI's columns; the label is the last of many, and the second column from the left is no sentence."""
    names = ["index", "promptID", "genre", "sentence1", "sentence2", "label1", gold]
    lines = [[str(i), "p", "fiction", one, two, "neutral", label] for i, (one, two, label) in enumerate(rows)]
    return "".join("\t".join(line) + "\n" for line in [names, *lines])


def archive(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as target:
        for name, text in files.items():
            target.writestr(f"folder/{name}", text)
    return path


TRAIN = [(f'Premise "{number}', f"Hypothesis {number}{side}", "neutral") for number in range(200) for side in "ab"]


def test_mnli_holds_premises_out_and_tests_on_the_mismatched_set(tmp_path: Path) -> None:
    files = {
        name: glue("gold_label", ("One", "Two", "entailment")) for name in ("dev_matched.tsv", "dev_mismatched.tsv")
    }
    files |= {"train.tsv": glue("gold_label", *TRAIN), "dev_mismatched.tsv": glue("gold_label", ("A", "B", "neutral"))}
    (tmp_path / "out").mkdir()
    path = archive(tmp_path / "MNLI.zip", files)
    standard.MNLI.routes[0].build({"MNLI.zip": path}, tmp_path / "out")
    found = judged_corpus(tmp_path / "out")
    splits = {split: read_judged(found, split) for split in SPLITS}
    assert splits["test"] == [("A", "B", "neutral")]
    assert sorted(splits["train"] + splits["valid"]) == sorted(TRAIN)
    premises = [{example.premise for example in splits[split]} for split in ("train", "valid")]
    assert not premises[0] & premises[1]
    assert {premise for premise, _, _ in TRAIN if is_held_out(premise, 2)} == premises[1]


def test_what_is_held_out_never_changes() -> None:
    """sha256, its first eight bytes modulo 100, by hand; about as many of each hundred as asked for."""
    for premise in ("A man sleeps.", "x"):
        place = int(hashlib.sha256(premise.encode()).hexdigest()[:16], 16) % 100
        assert [is_held_out(premise, percent) for percent in (place, place + 1)] == [False, True]
    assert 60 < sum(is_held_out(str(number), 10) for number in range(1000)) < 140


def test_snli_leaves_out_what_people_did_not_agree_on(tmp_path: Path) -> None:
    text = "gold_label\tsentence1_binary_parse\tsentence1\tsentence2\n-\t( A )\tA\tB\nneutral\t( A )\tA b\tC\n"
    files = {f"snli_1.0_{name}.txt": text for name in ("train", "dev", "test")}
    path = archive(tmp_path / "snli_1.0.zip", {"Icon\r": "", **files})  # as the archive has it
    (tmp_path / "out").mkdir()
    standard.SNLI.routes[0].build({"snli_1.0.zip": path}, tmp_path / "out")
    assert (tmp_path / "out" / "valid.tsv").read_text(encoding="utf-8") == "A b\tC\tneutral\n"


def test_an_archive_that_lacks_a_file_or_a_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    path = archive(tmp_path / "RTE.zip", {"train.tsv": "index\tsentence1\tsentence2\n"})
    with pytest.raises(ValueError, match=r"RTE.zip holds no dev.tsv"):
        standard.RTE.routes[0].build({"RTE.zip": path}, tmp_path / "out")
    path = archive(path, dict.fromkeys(("train.tsv", "dev.tsv"), "index\tsentence1\tsentence2\n"))
    with pytest.raises(ValueError, match=r"no column 'label'; the first line names index, sentence1, sentence2"):
        standard.RTE.routes[0].build({"RTE.zip": path}, tmp_path / "out")


@pytest.mark.parametrize("corpus", STANDARD_JUDGED.values(), ids=STANDARD_JUDGED)
def test_every_standard_corpus_is_verified_by_sha256(corpus: Standard) -> None:
    ((source,),) = (route.sources for route in corpus.routes)
    assert corpus.licence and corpus.home.startswith("https://")
    assert len(source.checksums["sha256"]) == 64 and source.size


def test_a_truncated_archive_from_loopback_is_fetched_and_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RTE's way, its archive replaced by a small one."""
    monkeypatch.setenv("HEADPRUNE_CACHE", str(tmp_path / "cache"))
    files = {"train.tsv": glue("label", *TRAIN), "dev.tsv": glue("label", ("A", "B", "entailment"))}
    content = archive(tmp_path / "RTE.zip", files).read_bytes()
    with loopback.running() as site:
        address = site.serve("RTE.zip", content)
        source = Source("RTE.zip", (address,), len(content), {"sha256": hashlib.sha256(content).hexdigest()})
        routes = archived(source, {"train": "train.tsv", "test": "dev.tsv"}, percent=10)
        small = replace(standard.RTE, routes=routes, counts={"test": 1})
        monkeypatch.setitem(STANDARD_JUDGED, "rte", small)
        assert obtain(small, tell=lambda line: None) == folder_of(small)
    corpus = judged_corpus("rte")
    assert read_judged(corpus, "test") == [("A", "B", "entailment")]
    assert len(read_judged(corpus, "train")) + len(read_judged(corpus, "valid")) == len(TRAIN)
    assert corpus.licence == standard.RTE.licence
