"""Standard corpora: what is made of the files that they come in."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from headprune.data.standard import (
    STANDARD,
    enwik8,
    iwslt14,
    multi30k,
    tatoeba,
    wikitext,
    wmt14,
)
from headprune.data.standard.base import Standard, count, plain, read_lines
from tests.data import archives

pytestmark = pytest.mark.usefixtures("cache")


def quiet(line: str) -> None:
    pass


def pairs_of(folder: Path, split: str) -> list[tuple[str, ...]]:
    return [tuple(line.split("\t")) for line in read_lines(folder / f"{split}.tsv")]


# What fairseq's prepare-iwslt14.sh does, written out by hand for a few lines.
GERMAN = [
    "<url>http://www.ted.com</url>",
    "<title>Al Gore: Die Klimakrise</title>",
    "<description>TED Talk Subtitles</description>",
    "<talkid>1</talkid>",
    "<keywords>talks, culture</keywords>",
    " Vielen Dank, Chris. ",
    "Es ist mir wirklich eine Ehre.\u2028Danke",
    "Nein.",
    "",
    "Ja & nein",
]
ENGLISH = [
    "<url>http://www.ted.com</url>",
    "<title>Al Gore: Averting the climate crisis</title>",
    "<description>TED Talk Subtitles and Transcript</description>",
    "<talkid>1</talkid>",
    "<keywords>talks, culture</keywords>",
    "Thank you so much, Chris.",
    "It's truly a great honor. Thanks",
    "This is much longer than it.",
    "Nothing.",
    "Yes & no",
]
PREPARED = [
    ("al gore : die klimakrise", "al gore : averting the climate crisis"),
    ("vielen dank , chris .", "thank you so much , chris ."),
    ("es ist mir wirklich eine ehre . danke", "it &apos;s truly a great honor . thanks"),
    ("ja &amp; nein", "yes &amp; no"),
]


def talks(path: Path, lines: Mapping[str, list[str]]) -> Path:
    """An archive as the evaluation campaign has it."""
    with tarfile.open(path, "w:gz") as archive:

        def add(name: str, text: str) -> None:
            entry = tarfile.TarInfo(f"de-en/{name}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))

        for language, text in lines.items():
            add(f"train.tags.de-en.{language}", "".join(f"{line}\n" for line in text))
            for number, name in enumerate(iwslt14.TESTS):
                segment = (
                    f'<doc>\n<title>no</title>\n<seg id="1"> {language.upper()} don\u2019t {number} </seg>\n</doc>\n'
                )
                add(f"IWSLT14.{name}.de-en.{language}.xml", segment)
    return path


def test_iwslt14_is_prepared_as_the_script_of_fairseq_does(tmp_path: Path) -> None:
    archive = talks(tmp_path / "de-en.tgz", {"de": GERMAN, "en": ENGLISH})
    (tmp_path / "out").mkdir()
    iwslt14.build({"de-en.tgz": archive}, tmp_path / "out")
    assert pairs_of(tmp_path / "out", "train") == PREPARED  # of the descriptions, one is 5/3 as long as the other
    assert pairs_of(tmp_path / "out", "test")[0] == (
        "de don &apos; t 0",  # an apostrophe belongs to what follows in English only
        "en don &apos;t 0",
    )
    assert [pair[0][-1] for pair in pairs_of(tmp_path / "out", "test")] == ["0", "1", "2", "3", "4"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"train.tsv", "valid.tsv", "test.tsv"}


@pytest.mark.parametrize(
    ("language", "line", "tokens"),
    [
        ("en", "It joined the E.U.", "It joined the E.U ."),  # from the prepared valid set
        ("en", "The U.S. National Academy.", "The U.S. National Academy ."),
        ("de", "Jede Spitze ergibt 37.", "Jede Spitze ergibt 37 ."),
        ("de", "Am 3. Tag, Nr. 4 usw.", "Am 3. Tag , Nr. 4 usw ."),
        ("de", "Und dann ...", "Und dann ..."),
        ("de", "Und dann.", "Und dann ."),
    ],
)
def test_a_full_stop_that_ends_a_line_is_a_token(language: str, line: str, tokens: str) -> None:
    assert iwslt14.tokenised(iter([line]), language) == [tokens]


def test_every_23rd_pair_of_iwslt14_that_is_kept_is_valid(tmp_path: Path) -> None:
    """The empty line is dropped before the pairs are counted."""
    lines = ["", *(f"line {number}" for number in range(1, 70))]
    archive = talks(tmp_path / "de-en.tgz", {"de": lines, "en": lines})
    (tmp_path / "out").mkdir()
    iwslt14.build({"de-en.tgz": archive}, tmp_path / "out")
    valid = pairs_of(tmp_path / "out", "valid")
    assert valid == [(f"line {n}", f"line {n}") for n in (23, 46, 69)]
    assert len(pairs_of(tmp_path / "out", "train")) == 66


@pytest.mark.parametrize(
    ("source", "target", "kept"),
    [
        ("a b", "a b c", True),  # 1.5
        ("a b", "a b c d", False),
        ("a b c", "a b", True),
        ("", "", False),
        ("a", "", False),
        (" ".join("a" * 175), " ".join("a" * 175), True),
        (" ".join("a" * 176), " ".join("a" * 175), False),
        ("a" * 1000, "a", True),
        ("a" * 1001, "a", False),
    ],
)
def test_what_is_cleaned_away(source: str, target: str, kept: bool) -> None:
    assert iwslt14.fits(source, target) is kept


def test_tatoeba_keeps_translations_of_a_sentence_together_and_off_the_test_set(tmp_path: Path) -> None:
    lines = [f"Sentence {n}.\tSatz {n}.\tCC-BY" for n in range(2000)]
    lines += [f"Sentence {n}.\tAnderer Satz {n}." for n in range(2000)]
    tested = next(n for n in range(2000) if tatoeba.split_of(f"Sentence {n}.") == "test")
    train = next(n for n in range(5000, 6000) if tatoeba.split_of(f"Sentence {n}.") == "train")
    lines.append(f"Sentence {train}.\tSatz {tested}.")  # German side of the test set
    with zipfile.ZipFile(tmp_path / "deu-eng.zip", "w") as archive:
        archive.writestr("_about.txt", "about")
        archive.writestr("deu.txt", "".join(f"{line}\n" for line in lines))
    (tmp_path / "out").mkdir()
    tatoeba.build({"deu-eng.zip": tmp_path / "deu-eng.zip"}, tmp_path / "out")
    splits = {split: pairs_of(tmp_path / "out", split) for split in ("train", "valid", "test")}
    sides = {split: [{pair[side] for pair in pairs} for side in (0, 1)] for split, pairs in splits.items()}
    for one, other in (("train", "valid"), ("train", "test"), ("valid", "test")):
        assert not sides[one][0] & sides[other][0]
        assert not sides[one][1] & sides[other][1]
    assert sum(map(len, splits.values())) == 4000
    assert splits["train"][0] == ("Satz 0.", "Sentence 0.")
    assert 10 <= len(sides["test"][1]) <= 30 and 10 <= len(sides["valid"][1]) <= 30  # 1 % of 2,000 each


def test_the_split_of_a_sentence_never_changes() -> None:
    """sha256 of these sentences, its first eight bytes modulo 100, by hand."""
    assert int(hashlib.sha256(b"Hi.").hexdigest()[:16], 16) % 100 >= 2
    assert tatoeba.split_of("Hi.") == "train"


def test_wikitext_is_taken_as_it_is(tmp_path: Path) -> None:
    text = {split: f" \n = {split} = \n a <unk> b \n" for split in ("train", "valid", "test")}
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        for split, content in text.items():
            archive.writestr(f"wikitext-2/wiki.{split}.tokens", content)
    (tmp_path / "out").mkdir()
    wikitext.from_archive("w.zip", {"w.zip": tmp_path / "w.zip"}, tmp_path / "out")
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == {
        f"{split}.txt": content for split, content in text.items()
    }
    assert count(tmp_path / "out" / "train.txt", "text") == 0 + 3 + 3 + 3  # words and an end for every line


def test_multi30k_takes_the_captions_as_they_are(tmp_path: Path) -> None:
    files = {}
    for name in multi30k.SHA256:
        files[name] = tmp_path / name
        files[name].write_bytes(gzip.compress(f" Zwei {name}\u0085 Hunde.\nDrei.\n".encode()))
    (tmp_path / "out").mkdir()
    multi30k.build(files, tmp_path / "out")
    assert pairs_of(tmp_path / "out", "valid") == [
        ("Zwei val.de.gz Hunde.", "Zwei val.en.gz Hunde."),
        ("Drei.", "Drei."),
    ]


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [
        ("a b", "a b c", ""),  # 1.5
        ("a b", "a b, c", "uneven"),  # the comma is a token
        ("", "a", "empty"),
        (" ".join("a" * 250), " ".join("a" * 250), ""),
        (" ".join("a" * 251), " ".join("a" * 250), "long"),
        (" ".join(["a" * 9] * 100), " ".join("b" * 100), ""),  # 999 characters
        (" ".join(["a" * 9] * 100) + "aa", " ".join("b" * 100), "long"),  # 1,001
    ],
)
def test_the_reason_why_a_pair_of_wmt14_goes(source: str, target: str, why: str) -> None:
    assert wmt14.reason((source, target)) == why


def test_wmt14_is_normalised_as_moses_does(tmp_path: Path) -> None:
    """White space of any kind and what does not print is one space; by hand, from normalize-punctuation.perl."""
    english, german = wmt14.normaliser("en"), wmt14.normaliser("de")
    assert english("“Yes”,\u00a0he  said – \u200bnow…\n") == '"Yes," he said - now...'
    assert german("„Ja“, sagte\ter ( bald ) .") == '"Ja", sagte er (bald).'


def test_wmt14_keeps_every_hundredth_pair_for_validation(tmp_path: Path) -> None:
    """Counted over all corpora, before pairs are left out; the 100th is too uneven here."""
    texts = [[f"Wort {c} {n}" for n in range(70)] for c in range(3)]
    other = [list(text) for text in texts]
    other[1][29] += " and much more than that"
    files = {}
    for (archive, stem), one, two in zip(wmt14.CORPORA.items(), texts, other, strict=True):
        members = {f"x/{stem}.en": two, f"x/{stem}.de": one}
        files[archive] = tmp_path / archive
        files[archive].write_bytes(
            archives.tgz({name: "".join(f"{x}\n" for x in text) for name, text in members.items()})
        )
    files[wmt14.TEST] = tmp_path / wmt14.TEST
    files[wmt14.TEST].write_bytes(archives.wmt14_files()[wmt14.TEST])
    (tmp_path / "out").mkdir()
    wmt14.build(files, tmp_path / "out")
    assert pairs_of(tmp_path / "out", "valid") == [("Wort 2 59", "Wort 2 59")]
    assert len(pairs_of(tmp_path / "out", "train")) == 208
    rows = [line.split("\t") for line in (tmp_path / "out" / "cleaning.tsv").read_text().splitlines()]
    assert rows[2] == ["commoncrawl.de-en", "70", "69", "0", "0", "0", "1"]


def test_newstest_is_read_as_sacrebleu_reads_it(tmp_path: Path) -> None:
    """Entities stay, spaces at the ends go; source is English, the reference German."""
    (tmp_path / "t.tgz").write_bytes(
        archives.tgz(
            {
                f"test-full/{wmt14.SIDES[0]}": '<doc>\n<seg id="1">A &amp; B </seg>\n<seg id="2">C.</seg>\n</doc>\n',
                f"test-full/{wmt14.SIDES[1]}": '<doc>\n<seg id="1"> A &amp; Bé</seg>\n<seg id="2">D.</seg>\n</doc>\n',
            }
        )
    )
    assert wmt14.newstest(tmp_path / "t.tgz", tmp_path / "work") == [("A &amp; B", "A &amp; Bé"), ("C.", "D.")]


def test_enwik8_is_cut_at_90_and_95_per_cent_and_never_within_a_character(tmp_path: Path) -> None:
    """The cut after 180 of 200 bytes falls into é, so that train has one byte more."""
    content = ("x" * 179 + "é" + "\n" + "y" * 18).encode()
    assert len(content) == 200
    (tmp_path / "enwik8.zip").write_bytes(archives.zipped({"enwik8": content.decode()}))
    (tmp_path / "out").mkdir()
    enwik8.build({"enwik8.zip": tmp_path / "enwik8.zip"}, tmp_path / "out")
    found = {path.stem: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert found == {"train": content[:181], "valid": content[181:190], "test": content[190:]}


def test_multi30k_comes_in_both_directions_from_the_same_files() -> None:
    there, back = STANDARD["multi30k"], STANDARD["multi30k-en-de"]
    assert (there.languages, back.languages) == (("de", "en"), ("en", "de"))
    assert there.routes[0].sources == back.routes[0].sources
    assert there.shelf == back.shelf == "multi30k"
    assert there.counts == back.counts


def test_plain_text_is_one_line_for_everybody() -> None:
    assert plain("\ufeff a\u2028b\x85c\td\x00e\u00a0 ") == "a b c d e"
    assert plain(" ") == ""


@pytest.mark.parametrize("standard", STANDARD.values(), ids=STANDARD)
def test_every_standard_corpus_is_told_whole(standard: Standard) -> None:
    assert standard.licence and standard.home.startswith("https://")
    assert (standard.languages is None) == (standard.kind == "text")
    for route in standard.routes:
        names = [source.name for source in route.sources]
        assert len(set(names)) == len(names)
        assert all(source.addresses for source in route.sources)
