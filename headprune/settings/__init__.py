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
from headprune.settings.datasets import Material, PreparedData
from headprune.settings.given import BinarisedData, GivenShape, GivenSubject
from headprune.settings.measuring import Calibration, Evaluation, Speed
from headprune.settings.paths import FOLDER, Folder, Mirror, Place
from headprune.settings.starts import Start
from headprune.settings.training import WIDTH, FastOptimisation, ModelKeys, Optimisation, Shape, Subject, check_heads

AnySubject = Subject | GivenSubject

__all__ = [
    "EXAMPLES",
    "FOLDER",
    "TOKENS",
    "UPDATES",
    "WIDTH",
    "AnySubject",
    "BinarisedData",
    "Calibration",
    "Evaluation",
    "FastOptimisation",
    "Folder",
    "GivenShape",
    "GivenSubject",
    "Label",
    "Material",
    "Mirror",
    "ModelKeys",
    "Name",
    "Numbers",
    "Optimisation",
    "Place",
    "PreparedData",
    "Section",
    "Shape",
    "Speed",
    "Start",
    "Subject",
    "Text",
    "Whole",
    "check_heads",
]
