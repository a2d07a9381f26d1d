"""Treatments of masks that methods have found. A treatment is one file of this package; nothing else lists it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from headprune.treatments.base import MaskTreatment, Repruning, Retraining


def _found() -> Iterator[MaskTreatment]:
    for module in pkgutil.iter_modules(__path__):
        values = vars(importlib.import_module(f"{__name__}.{module.name}")).values()
        kinds = (value for value in values if isinstance(value, type) and issubclass(value, MaskTreatment))
        yield from (kind() for kind in kinds if hasattr(kind, "name"))


TREATMENTS: dict[str, MaskTreatment] = {treatment.name: treatment for treatment in _found()}

__all__ = ["TREATMENTS", "MaskTreatment", "Repruning", "Retraining"]
