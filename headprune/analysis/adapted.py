"""Lines whose weights were trained with their mask: beside what prunes trained weights as they are, no equals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from headprune.analysis.manifests import told
from headprune.analysis.tables import Line, split_arm
from headprune.treatments import TREATMENTS

ALONG = ("joint", "continued")  # modes of gate methods that train the weights, too


def adapted_in(folder: Path) -> Callable[[Line], bool]:
    """Return the predicate of lines whose weights were trained with the mask that they are measured with.

    These are gate methods that train the model along, from new weights or further, and masks that were fine-tuned,
    distilled or trained from scratch; not random twins and compensated biases of such.

    :param folder: of results; the profile in its manifest tells, and where none does no line is one
    """
    config = told(folder, "config")
    try:
        methods = {(each["name"], each.get("arm") or "") for each in config["methods"] if each.get("mode") in ALONG}
        treatments = [(TREATMENTS[each["name"]], each.get("arm")) for each in config.get("treatments") or []]
        suffixes = {arm or kind.suffix for kind, arm in treatments if kind.trains}
    except (LookupError, TypeError, AttributeError):
        methods, suffixes = set(), set()

    def is_adapted(line: Line) -> bool:
        arm, treatment = split_arm(line[1])
        return treatment in suffixes if treatment else (line[0], arm) in methods

    return is_adapted
