"""Every document, section and defect that code, tests, profiles and documents mention is in the repository.

The rules are those of `docs/theory/README.md#references`: code names a document by its path from the root, Markdown
links to it, a section is an anchor and never a number, and a file that mentions a defect by its number names the page
of defects.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS, TOOLS = ROOT / "docs", ROOT / "tools"
THEORY = DOCS / "theory"
DEFECTS = THEORY / "defects.md"
PRODUCTS = ROOT / "results" / "published"  # what a run writes is named like a document: `claims.md`
KINDS = {".py", ".md", ".yaml", ".smk"}
NAMES_OF_KINDS = {"NAME.md"}  # stand for any name

DOCUMENT = re.compile(r"(?<![\w:/.#-])(?P<path>[\w./-]*\w\.md)\b(?:#(?P<anchor>[\w-]+))?")
LINK = re.compile(r"\]\((?P<path>[^)\s:#]*)(?:#(?P<anchor>[\w-]+))?\)")  # of URLs there is a colon
BY_NUMBER = re.compile(r"\.md\b(?:#[\w-]+)?(?:\s+\d+\.\d+|\W{1,5}(?:[Ss]ections?|§+)\s*\d+)")
DEFECT = re.compile(r"(?<![\w#])D\d+\b")
ANCHOR = re.compile(r'<a id="([\w-]+)"></a>')
HEADING = re.compile(r"^(#{1,6}) (.+)$")


def files() -> Iterator[Path]:
    """The files written by hand; results, environments and caches are not."""
    for top in sorted(ROOT.iterdir()):
        if top.is_dir() and not top.name.startswith((".", "_")) and top.name not in ("results", "build"):
            yield from sorted(path for path in top.rglob("*") if path.suffix in KINDS)
        elif top.suffix in KINDS or top.name == "Snakefile":
            yield top


def prose(path: Path, text: str) -> str:
    """The prose of a file: of Python comments and the strings with more than one word, of others all."""
    if path.suffix != ".py":
        return text
    constants = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
    strings = [value for value in constants if isinstance(value, str) and len(value.split()) > 1]
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return "\n".join([*strings, *(token.string for token in tokens if token.type == tokenize.COMMENT)])


def lines_outside_code(text: str) -> list[str]:
    """The lines of a Markdown text, those of fenced blocks left out."""
    lines, fenced = [], False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced:
            lines.append(line)
    return lines


@cache
def anchors(document: Path) -> frozenset[str]:
    """The anchors that a `#` may name: explicit ones, and headings as GitHub turns them into one."""
    text = document.read_text(encoding="utf-8")
    headings = [match[2] for line in lines_outside_code(text) if (match := HEADING.match(line))]
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return frozenset(slugs | set(ANCHOR.findall(text)))


@cache
def products() -> frozenset[str]:
    return frozenset(path.name for path in PRODUCTS.rglob("*.md"))


def found(name: str, beside: Path) -> Path | None:
    """The file or folder of this path, from the root, in Markdown from the file that mentions it, in a tool, which may
    write a page of the documents, from there."""
    folders = [ROOT, *([beside.parent] if beside.suffix == ".md" else []), *([DOCS] if beside.parent == TOOLS else [])]
    return next((folder / name for folder in folders if (folder / name).exists()), None)


def unresolved(text: str, path: Path) -> list[str]:
    """The references of `text`, that of the file at `path`, to what is not there.

    :returns: a sentence for each
    """
    said, wrong = prose(path, text), []
    mentions = [match.group("path", "anchor") for match in DOCUMENT.finditer(said)]
    mentions += [match.group("path", "anchor") for match in LINK.finditer(said) if path.suffix == ".md"]
    for name, anchor in mentions:
        document = found(name, path) if name else path
        if document is None:
            if Path(name).name not in NAMES_OF_KINDS and name not in products():
                wrong.append(f"there is no {name}")
        elif anchor and anchor not in anchors(document):
            wrong.append(f"{name} has no anchor #{anchor}")
    wrong += [f"a section by its number: {match[0]!r}" for match in BY_NUMBER.finditer(said)]
    numbers = set(DEFECT.findall(said))
    wrong += [f"there is no defect {number}" for number in sorted(numbers) if number.lower() not in anchors(DEFECTS)]
    if numbers and path != DEFECTS and DEFECTS.name not in said:
        wrong.append(f"mentions {min(numbers)}, but not {DEFECTS.relative_to(ROOT)}")
    return wrong


def test_every_reference_resolves() -> None:
    wrong = {path: unresolved(path.read_text(encoding="utf-8"), path) for path in files() if path != Path(__file__)}
    assert {path.relative_to(ROOT).as_posix(): what for path, what in wrong.items() if what} == {}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('"""As in NOTES.md."""', "there is no NOTES.md"),
        ("# see docs/theory/import.md", "there is no docs/theory/import.md"),
        ("# see docs/theory/importance.md#normalization", "docs/theory/importance.md has no anchor #normalization"),
        ("# see importance.md#normalisation", "there is no importance.md"),
        ("# see docs/theory/importance.md 7.2", "a section by its number: '.md 7.2'"),
        ("# see docs/theory/importance.md, section 2", "a section by its number: '.md, section 2'"),
        ('x = "D99, docs/theory/defects.md"', "there is no defect D99"),
        ('"""No weight decay (D11)."""', "mentions D11, but not docs/theory/defects.md"),
    ],
)
def test_what_does_not_resolve_is_told(text: str, complaint: str) -> None:
    assert unresolved(text + "\n", ROOT / "headprune" / "some.py") == [complaint]


def test_links_of_documents_are_followed() -> None:
    text = "[a](../theory/importance.md#score) [b](../theory/ste.md) [c](../nowhere) [d](https://x.org/x.md) [e](#here)"
    wrong = ["there is no ../theory/ste.md", "there is no ../theory/ste.md", "there is no ../nowhere"]
    page = ROOT / "docs" / "methods" / "dsp.md"
    assert unresolved(text, page) == [*wrong, " has no anchor #here"]
    assert unresolved("no weight decay ([D11](../theory/defects.md#d11)), README.md", page) == []
    assert unresolved('"docs/theory/importance.md#normalisation, D3 of docs/theory/defects.md"', ROOT / "x.py") == []


@pytest.mark.parametrize("page", sorted(THEORY.glob("*.md")), ids=lambda page: page.stem)
def test_every_section_of_the_theory_has_an_anchor_of_its_own(page: Path) -> None:
    lines = lines_outside_code(page.read_text(encoding="utf-8"))
    for before, line in zip(["", *lines], lines, strict=False):
        if (heading := HEADING.match(line)) and len(heading[1]) > 1:
            assert ANCHOR.fullmatch(before), f"no anchor before {line!r}"
    names = ANCHOR.findall("\n".join(lines))
    assert len(names) == len(set(names))


def test_the_index_lists_every_page_of_the_theory() -> None:
    index = (THEORY / "README.md").read_text(encoding="utf-8")
    listed = {match["path"] for match in LINK.finditer(index.split("## Where")[0])}
    assert {path.name for path in THEORY.glob("*.md")} - {"README.md"} == {name for name in listed if "/" not in name}
