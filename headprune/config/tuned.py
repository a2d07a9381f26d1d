"""Rules of the tuning of methods: nothing that is reported is tuned on, and there is something to tune."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headprune.config.schema import Config, Method, Tuning
from headprune.method import Entry
from headprune.results.tunings import NAME, TuningError, records_in, rows_in


def trials_of(tuning: Tuning | None, method: Method, entry: Entry) -> list[dict[str, Any]]:
    """Options of the trials of an entry beside its own, the first without any; none where it is not tuned.

    Not tuned is an entry that says so, or that has no more than one trial: all of its options are given, or have no
    space.
    """
    if tuning is None or method.tuned is False:
        return []
    from headprune.method.tuning import trials  # half a second of scipy, which other profiles do without

    found = trials(entry.method, tuning.trials, tuning.seeds[0], method.options)
    return found if len(found) > 1 else []


def check(config: Config, registry: Mapping[str, Entry]) -> None:
    """:raises ValueError: a key without a use, a seed that is reported, or a budget that a model does not have."""
    for position, method in enumerate(config.methods):
        where = f"methods[{position}].tuned is {str(method.tuned).lower()}"
        if method.tuned is not None and config.tuning is None:
            raise ValueError(f"{where}: the profile has no `tuning`")
        if method.tuned and not _has_space(registry[method.name], method):
            raise ValueError(f"{where}: {method.label!r} has no option with a space that is not given")
    if config.tuning is not None:
        _check_seeds(config, config.tuning)
        _check_budgets(config, config.tuning, registry)


def _has_space(entry: Entry, method: Method) -> bool:
    from headprune.method.tuning import space_of  # as in `trials_of`

    return bool(space_of(entry.method, method.options))


def _check_seeds(config: Config, tuning: Tuning) -> None:
    for key, seeds in _reported(config):
        if both := sorted(set(seeds) & set(tuning.seeds)):
            taken = {*tuning.seeds, *(seed for _, own in _reported(config) for seed in own)}
            free = next(seed for seed in range(101, 2**31) if seed not in taken)
            raise ValueError(
                f"tuning.seeds: {both[0]} is in {key}, too: what is reported must not be tuned on; {free} is free"
            )


def _reported(config: Config) -> Iterator[tuple[str, list[int]]]:
    """All lists of seeds that results are reported of, by their keys."""
    yield "seeds", config.seeds
    for name, model in config.models.items():
        yield f"models.{name}.seeds", model.seeds or []
    for kind in ("methods", "treatments", "ablations"):
        for position, section in enumerate(getattr(config, kind)):
            yield f"{kind}[{position}].seeds", section.seeds or []


def _check_budgets(config: Config, tuning: Tuning, registry: Mapping[str, Entry]) -> None:
    tuned = [method for method in config.methods if trials_of(tuning, method, registry[method.name])]
    for name, model in config.models.items():
        space = model.architecture.head_space
        for method in (method for method in tuned if method.covers(name)):
            least = method.scope.smallest(space)
            for budget in tuning.budgets:
                if budget >= len(space):
                    raise ValueError(
                        f"tuning.budgets: {budget} prunes nothing of model {name!r}, which has {len(space)} heads; "
                        "give less"
                    )
                if budget < least:
                    raise ValueError(
                        f"tuning.budgets: {budget} is less than the {least} heads of model {name!r} that `types` and "
                        f"`min_per_module` of {method.label!r} protect; give more, or its entry `tuned: false`"
                    )


def check_chosen(config: Config, registry: Mapping[str, Entry]) -> None:
    """Checks that another run has chosen the options of a profile of which nothing is left but the part that is run.

    :raises ValueError: that run has no such trials, or others.
    """
    if (tuning := config.tuning) is None or tuning.chosen_in is None:
        return
    try:
        rows = rows_in(tuning.chosen_in)
        for name in config.models:
            for method in (method for method in config.methods if method.covers(name)):
                if trials := trials_of(tuning, method, registry[method.name]):
                    given = [{**method.options, **trial} for trial in trials]
                    records_in(rows, name, method.label, given, tuning.seeds, tuning.budgets)
    except TuningError as error:
        raise ValueError(f"tuning.chosen_in: {Path(tuning.chosen_in) / NAME} {error}") from error
