"""A plan in the terminal: the grid as a tree, the jobs, and what they will take."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from headprune.naming import counted
from headprune.pipeline import accelerators
from headprune.pipeline.plan import Plan
from headprune.pipeline.progress import format_seconds
from headprune.pipeline.timings import forecast
from headprune.settings import AnySubject, GivenSubject
from headprune.system.terminal import Column, say
from headprune.system.terminal import show as show_table


def show(console: Console, plan: Plan, cores: int) -> None:
    """The whole plan.

    :param cores: that the run may use
    """
    part = f", part {plan.config.part}" if plan.config.part else ""
    say(console, f"profile {plan.config.profile}{part}, results in {plan.folder}")
    console.print(tree(plan))
    expected = forecast(plan)
    rows = []
    for kind, (total, left) in expected.counts.items():
        times = (format_seconds(expected.all_jobs[kind]), format_seconds(expected.left[kind]))
        rows.append((kind, str(total), str(left), *times))
    titles = ("jobs", "left", "one core, all", "left")
    show_table(console, (Column("job", "name"), *(Column(title, "number") for title in titles)), rows)
    hours, rest = sum(expected.all_jobs.values()) / 3600, sum(expected.left.values())
    size, on = f"{counted(len(plan.cells), 'cell')}, {counted(len(plan.jobs), 'job')}", counted(cores, "core")
    say(console, f"{size}, about {hours:.1f} core hours: {hours / cores:.1f} hours on {on} (by {expected.basis})")
    if on_gpus := accelerators.sentence(plan):
        say(console, on_gpus)
    done = sum(total - left for total, left in expected.counts.values())
    if done:
        say(console, f"{counted(done, 'job')} done, about {format_seconds(rest / cores)} left on {on}")


def tree(plan: Plan) -> Tree:
    """Models, and the method entries of each with budgets, seeds and cells."""
    config = plan.config
    root = Tree("", hide_root=True)
    for name, model in config.models.items():
        heads, dataset = model.architecture.n_heads, config.datasets[model.dataset]
        title = f"{name}: {model.track} on {model.dataset} ({dataset.origin}), N = {heads}"
        branch = root.add(Text(f"{title}, {origin(model)}"))
        labels = plan.grid.labels_for(name)
        idle = [label for label in labels if not plan.grid.seeds(label, name)]
        for label in (label for label in labels if label not in idle):
            seeds = plan.grid.seeds(label, name)
            cells = sum(len(plan.grid.cells_of(name, label, seed)) for seed in seeds)
            budgets = " ".join(map(str, plan.grid.budgets(label, name)))
            where = f"K = {budgets or 'none'}, {_seeds(seeds)}"
            branch.add(
                Text(f"{label} ({plan.grid.kind(label)}): {where}: {counted(cells, 'cell')}{tuning(plan, label)}")
            )
        if idle:
            branch.add(Text(f"of other seeds only: {', '.join(idle)}"))
        for ablation in config.ablations:
            if seeds := plan.grid.ablated_seeds(name, ablation):
                branch.add(Text(f"ablation {ablation.kind}: {_seeds(seeds)}"))
    return root


def origin(model: AnySubject) -> str:
    """The way in which an unpruned model comes about."""
    if not isinstance(model, GivenSubject):
        own, start = f"{model.training.updates} updates", model.begins_with
        if start is None:
            return own
        if start.checkpoint is not None:
            return f"{own} from {start.checkpoint}"
        return f"{own} after {start.updates} of pre-training" + (", the same for every seed" if start.seed else "")
    if model.checkpoint is not None:
        return f"given, not trained: {model.checkpoint}, the same for every seed"
    return f"given, not trained: {len(model.places)} checkpoints, one a seed"


def tuning(plan: Plan, label: str) -> str:
    """The trials of an entry, to be added to its line; nothing where it is not tuned, or treats masks of others."""
    settings = plan.config.tuning
    if settings is None or not plan.grid.method(label).tuned or plan.grid.treatment(label) is not None:
        return ""
    if settings.chosen_in is not None:
        return f"; options chosen in {settings.chosen_in}"
    budgets = " ".join(map(str, sorted(settings.budgets, reverse=True)))
    return f"; {counted(len(plan.grid.trials(label)), 'trial')} at K = {budgets}, {_seeds(settings.seeds)}"


def _seeds(seeds: list[int]) -> str:
    name = "seed" if len(seeds) == 1 else "seeds"
    return f"{name} {' '.join(map(str, seeds))}"
