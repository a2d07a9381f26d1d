"""The configuration of a profile: one schema, checked before anything runs."""

from headprune.config.loading import ConfigError, load
from headprune.config.schema import (
    Ablation,
    Architecture,
    Calibration,
    Config,
    Dataset,
    Evaluation,
    Execution,
    Method,
    Model,
    Speed,
    Training,
    Treatment,
)

__all__ = [
    "Ablation",
    "Architecture",
    "Calibration",
    "Config",
    "ConfigError",
    "Dataset",
    "Evaluation",
    "Execution",
    "Method",
    "Model",
    "Speed",
    "Training",
    "Treatment",
    "load",
]
