"""Archives of the standard corpora as they are distributed, a few hundred made-up lines in each."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from headprune.data.standard import Standard, iwslt14, multi30k, wmt14

WORDS = {
    "en": "a man woman dog child house tree river runs sees holds builds small red old new under near with the",
    "de": "ein Mann Frau Hund Kind Haus Baum Fluss läuft sieht hält baut klein rot alt neu unter bei mit die",
}


def sentence(language: str, number: int) -> str:
    """A sentence of four to seven words; the same number is the same sentence in both languages."""
    words = WORDS[language].split()
    chosen = [words[(number * 7 + place * place + place * number) % len(words)] for place in range(4 + number % 4)]
    return f"{' '.join(chosen)} {number % 40}."


def lines(language: str, begin: int, count: int) -> str:
    return "".join(f"{sentence(language, number)}\n" for number in range(begin, begin + count))


def tgz(members: Mapping[str, str]) -> bytes:
    """A gzipped tar archive."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, text in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return content.getvalue()


def zipped(members: Mapping[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return content.getvalue()


def segments(language: str, begin: int, count: int) -> str:
    """A test set as evaluation campaigns have it."""
    texts = [f'<seg id="{i + 1}"> {sentence(language, begin + i)} </seg>\n' for i in range(count)]
    return (
        f'<srcset setid="newstest2014" srclang="any">\n<doc docid="1">\n<p>\n{"".join(texts)}</p>\n</doc>\n</srcset>\n'
    )


def iwslt14_files(train: int = 300) -> dict[str, bytes]:
    members = {}
    for language in iwslt14.LANGUAGES:
        head = f"<url>http://x</url>\n<talkid>1</talkid>\n<title>{sentence(language, 3)}</title>\n"
        members[f"de-en/train.tags.de-en.{language}"] = head + lines(language, 0, train)
        for number, name in enumerate(iwslt14.TESTS):
            members[f"de-en/IWSLT14.{name}.de-en.{language}.xml"] = segments(language, 1000 + 10 * number, 4)
    return {"de-en.tgz": tgz(members)}


def wmt14_files(train: int = 200) -> dict[str, bytes]:
    files = {}
    for number, (archive, stem) in enumerate(wmt14.CORPORA.items()):
        folder = "" if "crawl" in stem else "training/"
        begin = number * train
        files[archive] = tgz({f"{folder}{stem}.{language}": lines(language, begin, train) for language in WORDS})
    members = {
        f"test-full/newstest2014-deen-{side}.{language}.sgm": segments(language, 2000, 20)
        for side, language in (("src", "en"), ("ref", "de"), ("src", "de"), ("ref", "en"))
    }
    return files | {wmt14.TEST: tgz(members)}


def multi30k_files(train: int = 300) -> dict[str, bytes]:
    sizes = {"train": (0, train), "val": (1000, 20), "test_2016_flickr": (2000, 20)}
    return {
        name: gzip.compress(lines(name.split(".")[1], *sizes[name.split(".")[0]]).encode()) for name in multi30k.SHA256
    }


def tatoeba_files(pairs: int = 500) -> dict[str, bytes]:
    rows = [
        f"{number} {sentence('en', number)}\t{number} {sentence('de', number)}\tCC-BY 2.0\n" for number in range(pairs)
    ]
    return {"deu-eng.zip": zipped({"_about.txt": "about", "deu.txt": "".join(rows)})}


def paragraphs(begin: int, count: int) -> str:
    """Text as WikiText has it: headings, paragraphs, blank lines, `<unk>`."""
    texts: Sequence[str] = [sentence("en", number).replace(".", " . <unk>") for number in range(begin, begin + count)]
    return f" \n = heading = \n \n {' '.join(texts)} \n"


def wikitext_files(folder: str, paragraph: int = 100) -> dict[str, bytes]:
    sizes = {"train": (0, 4 * paragraph), "valid": (500, paragraph), "test": (700, paragraph)}
    return {
        f"{folder}-v1.zip": zipped(
            {f"{folder}/wiki.{split}.tokens": paragraphs(*size) for split, size in sizes.items()}
        )
    }


def enwik8_files(count: int = 600) -> dict[str, bytes]:
    text = "<mediawiki>\n" + "".join(f"    <text>{sentence('de', n)} ’{n}’</text>\n" for n in range(count))
    return {"enwik8.zip": zipped({"enwik8": text})}


def ptb_files(count: int = 60) -> dict[str, bytes]:
    sizes = {"train": (0, 5 * count), "valid": (500, count), "test": (700, count)}
    return {f"ptb.{split}.txt": lines("en", *size).encode() for split, size in sizes.items()}


FILES = {  # of every standard corpus, by the name under which it is kept
    "multi30k": multi30k_files,
    "tatoeba-deu-eng": tatoeba_files,
    "iwslt14-de-en": iwslt14_files,
    "wmt14-en-de": wmt14_files,
    "wikitext2": lambda: wikitext_files("wikitext-2"),
    "wikitext103": lambda: wikitext_files("wikitext-103"),
    "enwik8": enwik8_files,
    "ptb": ptb_files,
}


def served(standard: Standard, serve: Callable[[str, bytes], str]) -> Standard:
    """The corpus with the first of its routes that made-up files fit, from addresses where these are served.

    :param serve: makes an address of a name and a content
    """
    files = FILES[standard.shelf]()
    route = standard.routes[0]
    sources = tuple(
        replace(
            source,
            addresses=(serve(f"{standard.name}/{source.name}", files[source.name]),),
            size=len(files[source.name]),
            checksums={"sha256": hashlib.sha256(files[source.name]).hexdigest()},
        )
        for source in route.sources
    )
    return replace(standard, routes=(replace(route, sources=sources),), counts={})
