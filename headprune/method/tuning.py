"""Trials of a method: the paper's values first, then points of a scrambled Sobol sequence in its search space.

Importing this module takes half a second of scipy, and no torch.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from scipy.stats import qmc

from headprune.method.options import spaces_of
from headprune.method.spaces import Space


def space_of(method: type, fixed: Collection[str] = ()) -> dict[str, Space]:
    """The search space of a method: the spaces of its options by name, in the order of the options.

    The coefficient that is searched over to reach budgets is left out.

    :param fixed: options that somebody has chosen values for: they are left out, too
    """
    left_out = {getattr(method, "coefficient", ""), *fixed}
    options = method.Options  # type: ignore[attr-defined]
    return {item.name: space for item, space in spaces_of(options) if item.name not in left_out}


def trials(method: type, count: int, seed: int, fixed: Collection[str] = ()) -> list[dict[str, Any]]:
    """Options of the trials of a tuning. The first is the defaults, as no options; none is twice in the list.

    A longer list begins with a shorter one of the same seed.

    :param fixed: options that somebody has chosen values for
    :returns: `count` of them, or fewer if the space is of choices alone and has no more: one without a space
    :raises ValueError: less than one trial.
    """
    if count < 1:
        raise ValueError(f"{count} trials: there must be at least 1, that of the defaults")
    spaces = space_of(method, fixed)
    options = method.Options  # type: ignore[attr-defined]
    defaults = tuple(item.default for item, _ in spaces_of(options) if item.name in spaces)
    found: dict[tuple[Any, ...], dict[str, Any]] = {defaults: {}}
    for point in _points(len(spaces), count, seed) if spaces else ():
        values = {name: space.at(u) for (name, space), u in zip(spaces.items(), point, strict=True)}
        found.setdefault(tuple(values.values()), values)
    return list(found.values())[:count]


def _points(dimensions: int, count: int, seed: int) -> list[list[float]]:
    """The first points of the sequence, as many as the power of two from `count` on, for which it is balanced.

    :returns: numbers in [0, 1) (points, dimensions)
    """
    sequence = qmc.Sobol(dimensions, scramble=True, seed=np.random.default_rng(seed))
    points: list[list[float]] = sequence.random_base2((count - 1).bit_length()).tolist()
    return points
