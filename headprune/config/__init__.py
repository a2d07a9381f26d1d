"""The configuration of a profile: one schema, checked before anything runs."""

from headprune.config.loading import ConfigError, load, profile_file, read
from headprune.config.models import (
    Architecture,
    Dataset,
    LanguageArchitecture,
    LanguageModel,
    Model,
    Optimisation,
    StreamTraining,
    TextDataset,
    Training,
    dataset_from,
    model_from,
)
from headprune.config.schema import Ablation, Calibration, Config, Evaluation, Execution, Grid, Method, Speed, Treatment

__all__ = [
    "Ablation",
    "Architecture",
    "Calibration",
    "Config",
    "ConfigError",
    "Dataset",
    "Evaluation",
    "Execution",
    "Grid",
    "LanguageArchitecture",
    "LanguageModel",
    "Method",
    "Model",
    "Optimisation",
    "Speed",
    "StreamTraining",
    "TextDataset",
    "Training",
    "Treatment",
    "dataset_from",
    "load",
    "model_from",
    "profile_file",
    "read",
]
