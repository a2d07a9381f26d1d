"""The bounds that a profile sets the splits of its datasets: how long a sentence may be, how much text is needed."""

from __future__ import annotations

from headprune.config.schema import Config
from headprune.data.lengths import Bound
from headprune.tasks import TASKS


def bounds(config: Config, dataset: str) -> dict[str, Bound]:
    """The bounds by split that the task of a dataset sets for its models."""
    models = {name: model for name, model in config.models.items() if model.dataset == dataset}
    task = TASKS[config.datasets[dataset].track]
    return task.bounds(models, config.evaluation, config.calibration, config.speed)
