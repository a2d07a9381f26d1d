"""The pieces that sections of a profile are made of, and the sections that no task has to itself.

Importing this package imports neither torch nor fairseq.
"""

from headprune.settings.base import (
    EXAMPLES,
    TOKENS,
    UPDATES,
    Label,
    Name,
    Numbers,
    Section,
    Text,
    Whole,
)
from headprune.settings.datasets import Material
from headprune.settings.measuring import Calibration, Evaluation, Speed
from headprune.settings.training import WIDTH, FastOptimisation, Optimisation, Shape, Subject, check_heads

__all__ = [
    "EXAMPLES",
    "TOKENS",
    "UPDATES",
    "WIDTH",
    "Calibration",
    "Evaluation",
    "FastOptimisation",
    "Label",
    "Material",
    "Name",
    "Numbers",
    "Optimisation",
    "Section",
    "Shape",
    "Speed",
    "Subject",
    "Text",
    "Whole",
    "check_heads",
]
