"""The configuration of a profile: one schema, checked before anything runs."""

from headprune.config.loading import ConfigError, load, profile_file, read
from headprune.config.models import dataset_from, model_from
from headprune.config.schema import Ablation, Config, Execution, GridEntry, Method, Treatment, Tuning
from headprune.settings import Calibration, Evaluation, Optimisation, Speed
from headprune.tasks.language_modeling.sections import LanguageArchitecture, LanguageModel, StreamTraining, TextDataset
from headprune.tasks.translation.sections import Architecture, Dataset, Model, Training

__all__ = [
    "Ablation",
    "Architecture",
    "Calibration",
    "Config",
    "ConfigError",
    "Dataset",
    "Evaluation",
    "Execution",
    "GridEntry",
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
    "Tuning",
    "dataset_from",
    "load",
    "model_from",
    "profile_file",
    "read",
]
