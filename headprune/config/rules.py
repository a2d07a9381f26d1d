"""Rules that no single field can tell: names that refer to each other, budgets against models, keys without a use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from headprune.config import given, tuned
from headprune.config.schema import NAME, Config, Method, Treatment
from headprune.config.treated import prunes, treated_by
from headprune.method import Entry, unknown
from headprune.tasks import TASKS
from headprune.treatments import TREATMENTS

SEARCH_KEYS = ("coefficients", "trials", "updates_cap")  # of methods that search for a coefficient


def check(config: Config, registry: Mapping[str, Entry]) -> None:
    """:raises ValueError: the first rule that is broken."""
    _check_models(config)
    _check_calibration(config)
    labels = [method.label for method in config.methods]
    for position, method in enumerate(config.methods):
        where = f"methods[{position}]"
        if method.name not in registry:
            raise ValueError(f"{where}.name: " + unknown("method", method.name, registry))
        _check_repeats(f"{where}.arm", method.label)
        if labels.index(method.label) != position:
            raise ValueError(f"{where}: {method.label!r} is listed twice; give one of them another `arm`")
        _check_method(where, method, registry[method.name])
    _check_treatments(config, registry)
    kinds = [ablation.kind for ablation in config.ablations]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise ValueError(f"ablations: {kind!r} is listed twice")
    given.check(config, registry)
    _check_budgets(config)
    _check_caps(config)
    tuned.check(config, registry)


def _check_distillation(where: str, config: Config, treatment: Treatment) -> None:
    for name in treatment.models or config.models:
        if not TASKS[track := config.models[name].track].distils:
            raise ValueError(
                f"{where}.distillation is {treatment.distillation}; models of track {track!r}, such as {name!r}, "
                f"have no distribution over words to learn from: leave it out, or name other `models`"
            )


def _check_models(config: Config) -> None:
    for kind, names in (("profile", [config.profile]), ("dataset", config.datasets), ("model", config.models)):
        for name in names:
            if not NAME.fullmatch(name):
                raise ValueError(f"{kind} name {name!r} may hold letters, digits, `_` and `-` only")
            _check_repeats(f"{kind} name", name)
    _check_repeats("results folder", str(config.folder))
    for name, model in config.models.items():
        if model.dataset not in config.datasets:
            raise ValueError(f"models.{name}.dataset: " + unknown("dataset", model.dataset, config.datasets))
        if (track := config.datasets[model.dataset].track) != model.track:
            raise ValueError(
                f"models.{name}.dataset is {model.dataset!r}, of track {track!r}; the model is of track {model.track!r}"
            )
    for kind in ("methods", "treatments", "ablations"):
        for position, entry in enumerate(getattr(config, kind)):
            for name in entry.models or ():
                if name not in config.models:
                    raise ValueError(f"{kind}[{position}].models: " + unknown("model", name, config.models))


def _check_calibration(config: Config) -> None:
    """:raises ValueError: masks are to be found on text that there is not, or that a model cannot read."""
    if not (name := config.calibration.corpus):
        return
    if name not in config.datasets:
        raise ValueError("calibration.corpus: " + unknown("dataset", name, config.datasets))
    other = config.datasets[name]
    for model, settings in config.models.items():
        if settings.track != other.track:
            raise ValueError(
                f"calibration.corpus is {name!r}, of track {other.track!r}; the masks of model {model!r}, of track "
                f"{settings.track!r}, cannot be found on it"
            )
        own = config.datasets[settings.dataset]
        if settings.dataset != name and (reason := TASKS[settings.track].unreadable(own, other)):
            raise ValueError(f"calibration.corpus is {name!r}, which model {model!r} cannot read: {reason}")


def _check_repeats(what: str, name: str) -> None:
    """:raises ValueError: a name that Snakemake takes for a rule that feeds itself for ever."""
    if found := re.search(r"(.+?)\1{19,}$", name):
        raise ValueError(f"{what} {name!r} ends in {found[1]!r} 20 times or more, which Snakemake refuses")


def _check_method(where: str, method: Method, entry: Entry) -> None:
    entry.options(method.options)
    if entry.kind == "score":
        _refuse(
            where,
            method,
            ("updates", "mode", "learning_rate", "schedule", "update_freq", "gate_schedule", *SEARCH_KEYS),
            f"{method.name!r} is a score method and trains nothing",
        )
        return
    _refuse(where, method, ("draws",), f"only score methods are drawn repeatedly, {method.name!r} is none")
    modes = entry.method.modes  # type: ignore[attr-defined]
    if method.mode not in modes:
        raise ValueError(f"{where}.mode is {method.mode!r}; {method.name!r} knows {', '.join(modes)}")
    if method.mode != "continued":
        _refuse(
            where,
            method,
            ("learning_rate", "schedule"),
            f"mode {method.mode!r} trains the weights as the model's or not",
        )
    if method.mode == "joint":
        _refuse(where, method, ("updates",), "joint training takes the updates of the model's training")
    searched = entry.method.coefficient  # type: ignore[attr-defined]
    if not searched:
        _refuse(where, method, SEARCH_KEYS, f"{method.name!r} hits its budget without a search")
    elif searched in method.options:
        raise ValueError(
            f"{where}.options.{searched} is {method.options[searched]!r}: {method.name!r} searches for its value"
        )


TREATMENT_KEYS = frozenset().union(*(treatment.keys for treatment in TREATMENTS.values()))  # not of every one


def _check_treatments(config: Config, registry: Mapping[str, Entry]) -> None:
    labels = {method.label: method for method in config.methods}
    seen: set[str] = set()
    for position, treatment in enumerate(config.treatments):
        where = f"treatments[{position}]"
        for label in treatment.of:
            if label not in labels:
                raise ValueError(f"{where}.of: " + unknown("method", label, labels))
            if not prunes(registry[labels[label].name]) and not treatment.kind.treats_unpruned:
                able = ", ".join(each.name for each in TREATMENTS.values() if each.treats_unpruned)
                raise ValueError(
                    f"{where}.of: {label!r} prunes nothing, there is no mask to treat; {able} can train it on"
                )
        spare = sorted(TREATMENT_KEYS - treatment.kind.keys)
        _refuse(where, treatment, spare, f"{treatment.name!r} has no use for it")
        if not treatment.distillation:
            _refuse(where, treatment, ("temperature",), "it belongs to `distillation`, which is 0")
        else:
            _check_distillation(where, config, treatment)
        for base in treated_by(config, treatment, registry):
            if f"{base.label}+{treatment.suffix}" in seen:
                raise ValueError(f"{where}: {base.label}+{treatment.suffix} exists already; give one another `arm`")
            seen.add(f"{base.label}+{treatment.suffix}")
            _check_repeats(f"{where}.arm", f"{base.label}+{treatment.suffix}")
            joint = registry[base.name].kind == "gate" and base.mode != "pipelined"
            if joint and not treatment.kind.treats_joint:
                raise ValueError(
                    f"{where}.of: {base.label!r} trains the weights along with its gates; {treatment.kind.refusal}"
                )


def _refuse(where: str, section: Method | Treatment, keys: Iterable[str], why: str) -> None:
    for key in keys:
        if key in section.model_fields_set:
            raise ValueError(f"{where}.{key} is {getattr(section, key)!r}: {why}")


def _check_caps(config: Config) -> None:
    """:raises ValueError: a search that may not even train once."""
    for position, method in enumerate(config.methods):
        for name, model in config.models.items():
            if method.updates_cap is None or not method.covers(name):
                continue
            whole = model.training.updates
            if method.most_trainings(whole) == 0:
                raise ValueError(
                    f"methods[{position}].updates_cap of {method.label!r} is {method.updates_cap}: less than the "
                    f"{method.updates_of_training(whole)} updates of one training, with model {name!r}"
                )


def _check_budgets(config: Config) -> None:
    for name, model in config.models.items():
        space = model.architecture.head_space
        lists: dict[str, Iterable[int]] = {}
        for kind, sections in (("methods", config.methods), ("treatments", config.treatments)):
            for position, section in enumerate(sections):
                if section.budgets is not None and section.covers(name):  # type: ignore[attr-defined]
                    lists[f"{kind}[{position}].budgets"] = section.budgets  # type: ignore[attr-defined]
        lists["budgets" if model.budgets is None else f"models.{name}.budgets"] = config.budgets_of(name)
        for key, budgets in lists.items():
            for budget in budgets:
                if not 0 <= budget <= len(space):
                    raise ValueError(f"{key}: budget {budget} is outside 0…{len(space)}, the heads of model {name!r}")
        for position, method in enumerate(config.methods):
            if not method.covers(name):
                continue
            if not method.scope.candidates(space):
                raise ValueError(
                    f"methods[{position}].types of {method.label!r}: {', '.join(method.types)}: model {name!r} has no "
                    "heads of such types"
                )
            least = method.scope.smallest(space)
            for budget in method.budgets if method.budgets is not None else config.budgets_of(name):
                if budget < least:
                    raise ValueError(
                        f"methods[{position}] of {method.label!r}: budget {budget} is less than the {least} heads of "
                        f"model {name!r} that `types` and `min_per_module` protect"
                    )
