"""Statements of README and docs/: links lead somewhere, pictures are linked, numbers and counts are those of files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from found import Found, rows

import headprune.tasks  # noqa: F401, whose metrics are in the tables
from headprune.data import CORPORA, STANDARD, TEXT_CORPORA
from headprune.method import load_methods
from headprune.results.schema import UNITS
from headprune.tasks.nli.corpora import JUDGED

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9}
TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)


def text(path: Path | str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def links(page: Path) -> list[str]:
    """Addresses within the repository, code left out."""
    plain = re.sub(r"```.*?```|`[^`]*`", "", text(page), flags=re.DOTALL)
    return [address for address in LINK.findall(plain) if not re.match(r"[a-z]+:", address)]


def anchors(page: Path) -> set[str]:
    """Those that a page sets itself, and those of the headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", text(page), re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    return made | set(re.findall(r'<a id="([\w-]+)"></a>', text(page)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for address in links(page):
        name, _, anchor = address.partition("#")
        target = page if not name else page.parent / name
        assert target.exists(), f"{page.name} links {address}"
        assert not anchor or anchor in anchors(target), f"{page.name} links {address}: no such heading"


@rows(Found("pictures of docs/ that nothing links", ["pareto.png"], [], "the links of README and docs/"))
def test_every_picture_is_linked(found: Found) -> None:
    linked = {(page.parent / address).resolve() for page in PAGES for address in links(page)}
    pictures = [path for path in (ROOT / "docs").rglob("*") if path.suffix in (".png", ".svg", ".jpg", ".gif")]
    assert pictures
    assert [path.name for path in pictures if path.resolve() not in linked] == found.right


@rows(Found("metrics that docs/results.md does not name", "bits_per_byte, test perplexity", set(), "results.UNITS"))
def test_every_metric_is_documented(found: Found) -> None:
    documented = {
        name: row
        for row in re.findall(r"^\| `.+$", text("docs/results.md"), re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    assert set(UNITS) - set(documented) == found.right
    assert "test" in documented["perplexity"].split("|")[2]
    assert "*token*" in documented["latency_ms"] and "*sentence*" in documented["latency_ms"]


def pruning(models: str) -> set[str]:
    """The methods that prune a track of the quick profile."""
    profile = yaml.safe_load(text("workflows/config/quick.yaml"))
    tracks = {name: model["track"] for name, model in profile["models"].items()}
    chosen = {
        entry["name"]
        for entry in profile["methods"]
        if any(tracks[name] == models for name in entry.get("models") or tracks)
    }
    return chosen - {"unpruned"}


@rows(
    Found("all of quick", 6, 5, "quick.yaml without unpruned", (r"prunes them with (\w+) methods", ("mt", "lm"))),
    Found("translation", 5, 4, "quick.yaml without unpruned", (r"translation: (\w+) methods", ("mt",))),
    Found("language modeling", 5, 5, "quick.yaml without unpruned", (r"language modeling: (\w+) methods", ("lm",))),
)
def test_methods_are_counted_without_unpruned(found: Found) -> None:
    pattern, tracks = found.case
    (told,) = re.findall(pattern, text("README.md"))
    assert NUMBERS[told] == len(set.union(*map(pruning, tracks))) == found.right


def test_every_method_is_listed() -> None:
    listed = text("README.md").split("## Methods")[1].split("##")[0]
    assert set(load_methods()) <= set(re.findall(r"`(\w+)`", listed))


@rows(
    Found("hardly which heads", "hardly which", None, "twins share 22 to 24 of 24 heads"),
    Found("normalisation against estimators", "costs more than any choice", None, "2.48 against 3.65 at K = 32"),
    Found("from scratch", "against Voita", None, "400 updates against 2,000"),
    Found("equal terms", "equal terms", None, "trainings of different length, one method tuned"),
    Found("the test set", "read once", None, "it was seen while the recipe was made"),
    Found("two seeds", "6.37 ± 22.60", None, "wider than the scale"),
    Found("perplexities", "1211724.56 ± 5099213.28", None, "no perplexity is negative"),
    Found("underlining", "<u>", None, "renderers of Markdown drop it and keep <ins>"),
    Found("the best of noise", "**0.08", None, "0.08 BLEU is noise"),
)
def test_what_was_withdrawn_stays_withdrawn(found: Found) -> None:
    for page in (*PAGES, ROOT / "pyproject.toml", *sorted((ROOT / "results/published").glob("*/*.md"))):
        assert found.wrong not in " ".join(text(page).split()), page


def test_tables_of_the_readme_are_the_published_ones() -> None:
    published = [table.splitlines() for table in TABLE.findall(text("results/published/quick/results.md"))]
    shown = [table.splitlines() for table in TABLE.findall(text("README.md"))]
    assert len(published) == 2
    assert all(table in shown for table in published)


@pytest.mark.parametrize("name", [*CORPORA, *TEXT_CORPORA, *STANDARD, *JUDGED.names])
def test_every_corpus_with_a_name_is_documented(name: str) -> None:
    assert f"`{name}`" in text("docs/own-corpora.md")


@pytest.mark.parametrize(
    "word", ["train.tsv", "train.de", "SHA256SUMS", "$HEADPRUNE_MIRROR", "$HEADPRUNE_CACHE", "-de-en"]
)
def test_what_a_folder_needs_is_documented(word: str) -> None:
    assert word in text("docs/own-corpora.md")


@pytest.mark.parametrize("page", ["README.md", "docs/profiles.md"])
def test_readers_find_the_page(page: str) -> None:
    assert "own-corpora.md)" in text(page)
    assert "profile-keys.md)" in text(page)
