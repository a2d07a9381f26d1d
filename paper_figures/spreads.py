"""Printed means over seeds with what their seeds say of them."""

from __future__ import annotations

from collections.abc import Sequence

from headprune.analysis.quality import Quality

LEAST = 3  # seeds that an interval needs: of two, Student's reaches to 12.7 times their distance from the mean


def spread(values: Sequence[float], quality: Quality) -> str:
    """`104.6 [93.1, 117.5]`, the 95 % t interval; of two seeds both, `6.37 (4.59 to 8.15)`; of one itself."""
    found = quality.estimate(values)
    if len(values) >= LEAST:
        return f"{quality.text(found.value)} [{quality.text(found.low)}, {quality.text(found.high)}]"
    ends = f" ({quality.text(min(values))} to {quality.text(max(values))})" if len(values) > 1 else ""
    return quality.text(found.value) + ends
