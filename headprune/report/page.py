"""One page: a template, its style and scripts, and the cells as data that the scripts draw on demand.

Text reaches the page in two ways only: through the template, which escapes it, and as JSON, which the scripts put into
text nodes. A content security policy lets nothing else run or be asked for: it names the page's own script and style
by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from headprune import __version__
from headprune.analysis.verdicts import VERDICTS
from headprune.report import exhibits, overview
from headprune.report.cells import cells_of
from headprune.report.sources import Sources, read_sources
from headprune.system.files import replacing

NAME = "report.html"
SCRIPTS = ("elements.js", "data.js", "table.js", "mask.js", "examples.js", "cell.js", "page.js")


def write(results: Path, out: Path) -> Path:
    """Writes the report of a results folder.

    :param results: folder with cells.parquet and whatever else the run left; what is not there is said on the page
    :param out: folder of the page, made when absent; its figures/ and tables/ count more than those of `results`
    :returns: the page
    :raises ResultsError: cells.parquet is absent, unreadable, or of another schema
    :raises OSError: the page cannot be written
    """
    text = page(read_sources(results, out), out)
    with replacing(out / NAME) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return out / NAME


def page(sources: Sources, out: Path) -> str:
    """The page as text."""
    environment = Environment(
        loader=PackageLoader("headprune.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"interval": overview.interval, "percent": overview.percent}
    environment.filters["width_class"] = exhibits.width_class
    figures = exhibits.figures(sources, out)
    style = _asset("report.css") + exhibits.widths_style(figures)
    script = "\n".join(_asset(name) for name in SCRIPTS)
    claims, claims_caption = exhibits.claims(sources)
    groups = sources.results.groups()
    return environment.get_template("report.html").render(
        title=", ".join(dict.fromkeys(group[0] for group in groups)) or sources.folder.name,
        version=__version__,
        overviews=[overview.overview(sources.results, group) for group in groups],
        absent=sources.absent,
        claims=claims,
        claims_caption=claims_caption,
        verdicts=VERDICTS,
        figures=figures,
        tables=exhibits.tables(sources),
        provenance=overview.provenance(sources),
        configuration=overview.configuration(sources),
        data=as_json(cells_of(sources)),
        style=Markup(style),
        script=Markup(script),
        policy=policy(style, script),
    )


def policy(style: str, script: str) -> str:
    """The content security policy: the page runs this script, uses this style, shows pictures that it holds itself."""
    own = f"img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    return f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"


def as_json(value: Any) -> Markup:
    """JSON that no text in it can end: it holds none of the signs that HTML knows."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    signs: dict[str, str | int | None] = {
        "<": "\\u003c",
        ">": "\\u003e",
        "&": "\\u0026",
        "\u2028": "\\u2028",
        "\u2029": "\\u2029",
    }
    return Markup(text.translate(str.maketrans(signs)))


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _asset(name: str) -> str:
    return resources.files("headprune.report").joinpath("templates", name).read_text(encoding="utf-8")
