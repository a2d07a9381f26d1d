"""Tables as CSV, Markdown and LaTeX (packages: booktabs, longtable)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from common import write_text

ABSENT = "–"  # not planned: neither a result nor a failure
SIGNS = {
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "α": r"$\alpha$",
    "λ": r"$\lambda$",
    "χ": r"$\chi$",
    "²": "$^2$",
    "…": r"\dots{}",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
} | {sign: f"\\{sign}" for sign in "&%$#_{}"}


@dataclass(frozen=True)
class Column:
    """A column of a printed table.

    :param width: of a column of running text, as a share of the line; absent: as wide as it needs
    """

    title: str
    right: bool = True
    width: float | None = None

    @property
    def latex(self) -> str:
        return f"p{{{self.width:g}\\linewidth}}" if self.width else "r" if self.right else "l"


def tex(text: str) -> str:
    """Plain text as LaTeX."""
    return "".join(SIGNS.get(sign, sign) for sign in text)


def write(
    out_dir: Path,
    name: str,
    frame: pd.DataFrame,
    columns: Sequence[Column],
    sections: Mapping[str, Sequence[Sequence[str]]],
    caption: str,
) -> None:
    """Write NAME.csv, .md, .tex and the caption NAME.txt.

    :param frame: the numbers, unrounded
    :param sections: rows of text by their heading; an empty heading is not printed
    """
    write_text(out_dir / f"{name}.csv", frame.to_csv(index=False))
    write_text(out_dir / f"{name}.md", markdown(columns, sections, caption))
    write_text(out_dir / f"{name}.tex", latex(columns, sections, caption))
    write_text(out_dir / f"{name}.txt", caption)


def markdown(columns: Sequence[Column], sections: Mapping[str, Sequence[Sequence[str]]], caption: str) -> str:
    """A table for each section, the caption below."""
    parts = []
    for heading, rows in sections.items():
        rule = ["---:" if column.right else "---" for column in columns]
        cells = [[column.title for column in columns], rule, *([_cell(text) for text in row] for row in rows)]
        table = "\n".join("| " + " | ".join(row) + " |" for row in cells)
        parts.append((f"## {heading}\n\n" if heading else "") + table + "\n")
    return "\n".join([*parts, caption.replace("\n", "  \n")])


def latex(columns: Sequence[Column], sections: Mapping[str, Sequence[Sequence[str]]], caption: str) -> str:
    """One longtable with a line for each heading."""
    head = " & ".join(tex(column.title) for column in columns) + r" \\"
    lines = [
        r"{\scriptsize\setlength{\tabcolsep}{3pt}",
        rf"\begin{{longtable}}{{{''.join(column.latex for column in columns)}}}",
        rf"\caption{{{tex(' '.join(caption.split()))}}}\\",
        *(r"\toprule", head, r"\midrule", r"\endfirsthead"),
        *(r"\toprule", head, r"\midrule", r"\endhead"),
        *(r"\bottomrule", r"\endfoot"),
    ]
    for position, (heading, rows) in enumerate(sections.items()):
        lines += [r"\addlinespace"] if position else []
        lines += [rf"\multicolumn{{{len(columns)}}}{{l}}{{\emph{{{tex(heading)}}}}} \\*"] if heading else []
        lines += [" & ".join(_styled(text) for text in row) + r" \\" for row in rows]
    return "\n".join([*lines, r"\end{longtable}", "}", ""])


def tabular(header: list[str], body: list[list[str]]) -> str:
    """A booktabs tabular, not escaped yet."""
    lines = [" & ".join(cells) + r" \\" for cells in [header, *body]]
    begin = rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}"
    table = [begin, r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule", r"\end{tabular}", ""]
    return "\n".join(table)


def escape(text: str) -> str:
    """A table with the signs that LaTeX reads otherwise escaped; comments stay comments."""
    text = text.replace("±", r"$\pm$").replace(ABSENT, "--").replace("−", "$-$").replace("_", r"\_")
    return re.sub(r"(?<!^)%", r"\%", text, flags=re.MULTILINE)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _styled(text: str) -> str:
    """Markdown's bold and HTML's underline, as tables mark their cells, in LaTeX."""
    if found := re.fullmatch(r"\*\*(.*)\*\*", text):
        return rf"\textbf{{{tex(found[1])}}}"
    if found := re.fullmatch(r"<ins>(.*)</ins>", text):
        return rf"\underline{{{tex(found[1])}}}"
    return tex(text)
