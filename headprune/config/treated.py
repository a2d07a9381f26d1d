"""The method entries that treatments take the masks of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headprune.config.schema import Config, Method, Treatment
from headprune.method import Entry


def treated_by(config: Config, treatment: Treatment, registry: Mapping[str, Entry]) -> Iterator[Method]:
    """The method entries whose masks a treatment takes: those it names, else all that prune."""
    for method in config.methods:
        if method.label in treatment.of or (not treatment.of and prunes(registry[method.name])):
            yield method


def prunes(entry: Entry) -> bool:
    """True for a method that removes heads at all."""
    return bool(getattr(entry.method, "prunes", True))
