"""A local search over masks of a given size: heads that went and heads that stayed change places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

ROUNDING = 1e-12  # of the loss: what an exchange must save at the least


def exchanged(
    removed: frozenset[int],
    modules: Sequence[int],
    loss: Callable[[int, frozenset[int]], float],
    allowed: Callable[[frozenset[int]], bool] = lambda removed: True,
) -> frozenset[int]:
    """The removed heads after exchanges with kept ones, each the one that lowers the loss most, until none does.

    The loss of a mask is the sum over modules of a loss of the heads that go there. It falls with every exchange, so
    that the search ends; at its end no single exchange is better, which is not to say that no other mask is.

    :param removed: positions of the heads to begin with
    :param modules: the module of every head (N,)
    :param loss: of a module and the heads that it loses, asked once for each
    :param allowed: False for removed heads that must not be
    :returns: as many heads, of no larger loss
    """
    of, heads = cache(loss), range(len(modules))

    def inside(gone: frozenset[int], module: int) -> float:
        return of(module, frozenset(head for head in gone if modules[head] == module))

    while True:
        now = {module: inside(removed, module) for module in set(modules)}
        best, least = removed, -ROUNDING * sum(now.values())
        for back in sorted(removed):
            for out in (head for head in heads if head not in removed):
                found = removed - {back} | {out}
                change = sum(inside(found, module) - now[module] for module in {modules[back], modules[out]})
                if change < least and allowed(found):
                    best, least = found, change
        if best == removed:
            return removed
        removed = best
