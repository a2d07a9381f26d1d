"""Rules of models that are given as checkpoints, or begin with one: what cannot be done, and what they must be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headprune.config.schema import Config
from headprune.config.treated import treated_by
from headprune.method import Entry
from headprune.settings import AnySubject, GivenShape, GivenSubject, Material, PreparedData
from headprune.treatments import Retraining


def check(config: Config, registry: Mapping[str, Entry]) -> None:
    """:raises ValueError: the first rule that is broken; files are opened, and none is written."""
    for name, model in config.models.items():
        data = config.datasets[model.dataset]
        if not isinstance(model, GivenSubject):
            if isinstance(data, Material):
                _check_files(name, model, data)
                continue
            raise ValueError(
                f"models.{name}.dataset is {model.dataset!r}, of {data.origin}: its models are given by `checkpoint`; "
                "those that are trained here need a `corpus`"
            )
        _check_seeds(config, name, model)
        for problem in _problems(config, name, model, registry):
            raise ValueError(problem)
        _check_files(name, model, data)
        _check_shapes(name, model)


def _check_seeds(config: Config, name: str, model: GivenSubject) -> None:
    """:raises ValueError: a seed without a checkpoint, or trials on the very model that is reported."""
    if model.checkpoints is None:
        if config.tuning is not None and config.tuning.chosen_in is None:
            raise ValueError(
                f"tuning: model {name!r} is one `checkpoint` for every seed, so that trials would tune on what is "
                "reported; give `checkpoints` with others for tuning.seeds"
            )
        return
    for key, seeds in _seeds(config, name):
        if model.seeds is not None:
            seeds = [seed for seed in seeds if seed in model.seeds or key == "tuning.seeds"]
        if missing := sorted(set(seeds) - set(model.checkpoints)):
            raise ValueError(
                f"{key}: model {name!r} has no checkpoint of seed {missing[0]}, only of {sorted(model.checkpoints)}; "
                f"give models.{name}.checkpoints one, or models.{name}.seeds those that there are"
            )


def _seeds(config: Config, name: str) -> Iterator[tuple[str, list[int]]]:
    """All lists of seeds that concern a model, by their keys."""
    yield "seeds", config.seeds
    yield f"models.{name}.seeds", config.models[name].seeds or []
    for kind in ("methods", "treatments", "ablations"):
        for position, section in enumerate(getattr(config, kind)):
            if section.models is None or name in section.models:
                yield f"{kind}[{position}].seeds", section.seeds or []
    if config.tuning is not None and config.tuning.chosen_in is None:
        yield "tuning.seeds", config.tuning.seeds


def _check_files(name: str, model: AnySubject, data: PreparedData) -> None:
    """:raises ValueError: a file that is no such model, or is not of these data."""
    try:
        model.check(data)
    except (ValueError, FileNotFoundError) as error:
        raise ValueError(f"models.{name}.{error}") from error


def _check_shapes(name: str, model: GivenSubject) -> None:
    """:raises ValueError: the model of a seed has other heads than that of another one."""
    first, *others = ((place, GivenShape(checkpoint=place).head_space) for _, place in model.places)
    for place, space in others:
        if space != first[1]:
            raise ValueError(
                f"models.{name}.checkpoints: {place} has {len(space)} heads, {first[0]} {len(first[1])}, or others: "
                "the checkpoints of a model are of one architecture"
            )


def _problems(config: Config, name: str, model: GivenSubject, registry: Mapping[str, Entry]) -> Iterator[str]:
    """The entries that cannot be computed of a model, with the reason."""
    for position, method in enumerate(config.methods):
        if not method.covers(name) or registry[method.name].kind == "score":
            continue
        if method.mode == "joint":
            yield (
                f"methods[{position}].mode is 'joint', which trains model and gates from new weights; model {name!r} "
                "is given as a checkpoint: `pipelined` and `continued` start from it, or name other `models`"
            )
        yield from _without_training(f"methods[{position}]", f"{method.label!r} trains", name, model)
    for position, treatment in enumerate(config.treatments):
        kind = treatment.kind
        bases = any(base.covers(name) for base in treated_by(config, treatment, registry))
        if not isinstance(kind, Retraining) or not bases or not treatment.covers(name):
            continue
        if not kind.starts_pruned:
            yield (
                f"treatments[{position}].name is {treatment.name!r}, which trains from new weights as the unpruned "
                f"model was trained; model {name!r} is given as a checkpoint, of whose training nothing is known: "
                "name other `models`"
            )
        yield from _without_training(f"treatments[{position}]", f"{treatment.name!r} trains", name, model)


def _without_training(where: str, what: str, name: str, model: GivenSubject) -> Iterator[str]:
    if not model.trains:
        yield (
            f"{where}: {what}, and model {name!r} is given as a checkpoint: give it `further_training`, which says how "
            "(`updates` at least), or name other `models`"
        )
