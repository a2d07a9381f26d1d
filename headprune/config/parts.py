"""Parts of a profile: entries that are run, and make up a table, without the others.

An entry is in the first part of which a pattern fits its label, so that the parts are disjoint; together they are the
whole. Labels are those that `headprune plan` shows, an ablation is `ablation.KIND`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from headprune.config.schema import Config, Part, Treatment
from headprune.config.treated import prunes, treated_by
from headprune.method import Entry, unknown


def part_of(config: Config, label: str) -> str | None:
    """The part that an entry is in."""
    fitting = (part.name for part in config.parts if any(fnmatchcase(label, p) for p in part.entries))
    return next(fitting, None)


def labels(config: Config, registry: Mapping[str, Entry]) -> list[str]:
    """Labels of all entries: methods, treatments of methods, ablations."""
    treated = [_treated(t, base.label) for t in config.treatments for base in treated_by(config, t, registry)]
    return [m.label for m in config.methods] + treated + [_ablation(a.kind) for a in config.ablations]


def check(config: Config, registry: Mapping[str, Entry]) -> None:
    """:raises ValueError: an entry that is in no part, a pattern that fits nothing, a part without entries or name."""
    names, every = [part.name for part in config.parts], labels(config, registry)
    if config.part and config.part not in names:
        raise ValueError("part: " + unknown("part", config.part, names))
    for position, part in enumerate(config.parts):
        where = f"parts[{position}]"
        if names.index(part.name) != position:
            raise ValueError(f"{where}.name: {part.name!r} is listed twice")
        for pattern in part.entries:
            _require_fitting(f"{where}.entries", pattern, every)
        if not any(part_of(config, label) == part.name for label in every):
            raise ValueError(f"{where}: parts before it hold all of its entries")
    for pattern in config.speed.entries or ():
        _require_fitting("speed.entries", pattern, every)
    lost = [label for label in every if part_of(config, label) is None]
    if config.parts and lost:
        raise ValueError(f"parts: {lost[0]!r} is in none; end with a part of entries ['*'] that takes the rest")


def narrowed(config: Config, registry: Mapping[str, Entry]) -> Config:
    """The configuration of the part that is asked for: its entries, the methods whose masks its treatments take, and
    what prunes nothing, the reference of every table. Narrowed again it stays what it is."""
    if not config.part:
        return config

    def inside(label: str) -> bool:
        return part_of(config, label) == config.part

    treatments, bases = [], set[str]()
    for treatment in config.treatments:
        of = [m.label for m in treated_by(config, treatment, registry) if inside(_treated(treatment, m.label))]
        treatments += [treatment.model_copy(update={"of": of})] if of else []
        bases.update(of)
    methods = [m for m in config.methods if inside(m.label) or m.label in bases or not prunes(registry[m.name])]
    ablations = [ablation for ablation in config.ablations if inside(_ablation(ablation.kind))]
    own = {
        "methods": methods,
        "treatments": treatments,
        "ablations": ablations,
        "parts": [Part(name=config.part, entries=["*"])],
    }
    config = config.model_copy(update=own)
    if config.speed.entries is None:
        return config
    left = labels(config, registry)
    fitting = [pattern for pattern in config.speed.entries if _fits(pattern, left)]
    return config.model_copy(update={"speed": config.speed.model_copy(update={"entries": fitting})})


def _fits(pattern: str, every: Sequence[str]) -> bool:
    return any(fnmatchcase(label, pattern) for label in every)


def _require_fitting(where: str, pattern: str, every: Sequence[str]) -> None:
    if not _fits(pattern, every):
        raise ValueError(f"{where}: {pattern!r} fits no entry; " + unknown("label", pattern, every))


def _treated(treatment: Treatment, label: str) -> str:
    return f"{label}+{treatment.suffix}"


def _ablation(kind: str) -> str:
    return f"ablation.{kind}"
