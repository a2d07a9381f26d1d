"""Names of methods in print and their families: those that results carry, else those that method files declare.

Results carry them in their manifest, so that they are drawn alike where the file of a method is not installed. Files
are read without running them, so that nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from headprune.analysis.manifests import told
from headprune.method.declared import declared

SECTION = "printed"  # of the manifest: title and family by method

_carried: dict[str, dict[str, str]] = {}  # of the results read last


def carry(folder: Path) -> None:
    """Name methods from here on as these results say; without a readable manifest, as method files do."""
    _carried.clear()
    _carried.update({method: texts for method, texts in told(folder, SECTION).items() if isinstance(texts, dict)})


def title(method: str) -> str:
    """`dsp` reads `DSP`; a method that nobody gives a title reads as its name, with spaces."""
    return _text(method, "title") or method.replace("_", " ")


def family(method: str) -> str:
    """The family that a method is shown with; empty where nobody knows one."""
    return _text(method, "family")


def printed(methods: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The section of the manifest.

    :param methods: classes of methods, by name
    """
    return {name: {"title": method.title, "family": method.family} for name, method in sorted(methods.items())}


def _text(method: str, word: str) -> str:
    texts = _carried.get(method) or _declared().get(method, {})
    return str(texts.get(word) or "")


@cache
def _declared() -> dict[str, dict[str, str]]:
    return printed({name: entry.method for name, entry in (declared() or {}).items()})
