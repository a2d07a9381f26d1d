"""Figures, tables and claims as other steps left them, for the page."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from headprune.analysis.claims import effect_text
from headprune.report.sources import Sources

IMAGES = {".png": "image/png", ".svg": "image/svg+xml"}
# What a reader asks first stands first; all others follow by name.
FIGURES_FIRST = ("one_page", "quality_vs_heads", "pareto", "survival_maps", "kept_by_type")
TABLES_FIRST = ("results", "summary", "comparisons", "normalised", "frontiers")
CLAIMS = "claims"
TITLES = {"quality_vs_heads": "Quality against heads kept", "results": "Quality by method and budget"}


@dataclass(frozen=True)
class Figure:
    """A picture with its caption, opening sentence first."""

    name: str
    title: str
    source: str  # a data URI
    caption: tuple[str, ...]
    width: int | None  # on the screen, in CSS pixels and at most; absent: as wide as the picture says
    pdf: str = ""  # address of the vector file, relative to the page

    @property
    def alternative(self) -> str:
        """The text in place of the picture."""
        return self.caption[0] if self.caption else self.title


@dataclass(frozen=True)
class TableExhibit:
    """A printed table."""

    name: str
    title: str
    html: Markup


def figures(sources: Sources, out: Path) -> list[Figure]:
    """Every picture in figures/, whole."""
    pictures = sources.products("figures", tuple(IMAGES))
    texts, vectors = sources.products("figures", (".txt",)), sources.products("figures", (".pdf",))
    found = []
    for name in _in_order(pictures, FIGURES_FIRST):
        content, suffix = pictures[name].read_bytes(), pictures[name].suffix
        uri = f"data:{IMAGES[suffix]};base64,{base64.b64encode(content).decode()}"
        pdf = vectors.get(name)
        address = pdf.relative_to(out).as_posix() if pdf is not None and pdf.is_relative_to(out) else ""
        found.append(Figure(name, title_of(name), uri, _caption(texts.get(name)), _width(content), address))
    return found


def _width(content: bytes) -> int | None:
    """Half the pixels of a PNG: figures are drawn for print, 300 an inch; None of other files."""
    is_png = content.startswith(b"\x89PNG") and len(content) >= 20
    return int.from_bytes(content[16:20], "big") // 2 if is_png else None


def width_class(width: int) -> str:
    """The class of pictures of one width."""
    return f"w{width}"


def widths_style(figures: Iterable[Figure]) -> str:
    """A rule per width that a picture has. It bounds the width and sets none, so that the height follows: a picture
    that is cut to the height of the window keeps its proportions."""
    widths = sorted({figure.width for figure in figures if figure.width})
    return "".join(f"img.{width_class(width)} {{ max-width: min(100%, {width}px); }}\n" for width in widths)


def tables(sources: Sources) -> list[TableExhibit]:
    """Every table in tables/ but the claims, from its Markdown."""
    paths = sources.products("tables", (".md",))
    names = [name for name in _in_order(paths, TABLES_FIRST) if name != CLAIMS]
    return [
        TableExhibit(name, title_of(name), markdown(paths[name].read_text(encoding="utf-8"), name)) for name in names
    ]


def claims(sources: Sources) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """The rows of tables/claims.csv, each with an `anchor`, and their caption; no rows where it is absent."""
    path = sources.products("tables", (".csv",)).get(CLAIMS)
    if path is None:
        return [], ()
    rows = pd.read_csv(path, float_precision="round_trip").to_dict("records")
    found: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for row in rows:
        known = {str(key): "" if pd.isna(value) else value for key, value in row.items()}
        name = str(known.get("id", ""))
        seen[name] = seen.get(name, 0) + 1
        anchor = f"claim-{name}" + (f"-{seen[name]}" if seen[name] > 1 else "")
        found.append(known | {"anchor": anchor, "effect_text": effect_text(known)})
    return found, _caption(sources.products("tables", (".txt",)).get(CLAIMS))


def markdown(text: str, name: str) -> Markup:
    """Tables, headings, emphasis and underlining as HTML; whatever else the text holds is shown as it is written.

    Links and pictures are not made, so that no text can have the page ask for anything.
    """
    parser = MarkdownIt("zero", {"html": False}).enable(["table", "heading", "emphasis", "newline", "escape"])
    parser.add_render_rule("table_open", _open_table, fmt="html")
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n", fmt="html")
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
        elif "right" in str(token.attrs.pop("style", "")):  # the page's policy lets no element have a style of its own
            token.attrSet("class", "number")
    html = str(parser.renderer.render(tokens, parser.options, {"name": name}))
    # Tables underline what is not told apart from the best: a tag without attributes, which does no harm.
    return Markup(html.replace("&lt;ins&gt;", "<ins>").replace("&lt;/ins&gt;", "</ins>"))


def _open_table(_: Any, tokens: Sequence[Token], *__: Any) -> str:
    return '<div class="scroll" tabindex="0" role="group" aria-label="table"><table>'


def title_of(name: str) -> str:
    """`kept_by_type` reads `Kept by type`."""
    return TITLES.get(name, name.replace("_", " ").capitalize())


def _in_order(names: Iterable[str], first: Sequence[str]) -> list[str]:
    known = list(names)
    return [name for name in first if name in known] + sorted(set(known) - set(first))


def _caption(path: Path | None) -> tuple[str, ...]:
    text = path.read_text(encoding="utf-8") if path is not None and os.path.exists(path) else ""
    return tuple(line for line in text.split("\n") if line.strip())
