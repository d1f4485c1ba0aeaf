"""Scales for the drawings: from values to percent of a width, round ticks, lines as SVG paths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

OFF_SCALE = 4.0  # an axis ends at this many times the usual reach; what goes further gets an arrow


def round_step(span: float, n: int) -> float:
    """The 1, 2 or 5 × 10^k that cuts `span` into about `n` steps."""
    raw = span / max(n, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    return power * min((1, 2, 5, 10), key=lambda m: abs(m * power - raw))


@dataclass(frozen=True)
class Axis:
    """A linear axis drawn from 0 to 100 percent."""

    low: float
    high: float

    @classmethod
    def over(cls, values: Sequence[float | None], pad: float = 0.06) -> Axis:
        """An axis that holds all finite `values` with some room at both ends."""
        finite = [v for v in values if v is not None and math.isfinite(v)]
        low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
        if high - low <= 1e-12 * max(1.0, abs(high)):
            room = abs(high) * 0.05 or 1.0
            low, high = low - room, high + room
        room = pad * (high - low)
        return cls(low - room, high + room)

    def at(self, value: float) -> float:
        """Percent of the width, kept inside the axis."""
        return round(min(100.0, max(0.0, 100 * (value - self.low) / (self.high - self.low))), 3)

    def holds(self, value: float) -> bool:
        """Whether `value` lies on the axis."""
        return self.low <= value <= self.high

    def ticks(self, n: int = 5) -> list[float]:
        """About `n` round values on the axis."""
        step = round_step(self.high - self.low, n)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(i * step, 12) for i in range(first, last + 1)]

    def tick_digits(self, n: int = 5) -> int:
        """Decimals that tell neighbouring ticks apart."""
        return max(0, -math.floor(math.log10(round_step(self.high - self.low, n)) + 1e-9))


def gain_axis(intervals: Sequence[Sequence[float]], margin: float | None) -> Axis:
    """One axis around zero for all intervals; a few far ones do not squeeze the others."""
    band = margin or 0.0
    reach = sorted(max(abs(low), abs(high)) for low, high in intervals)
    if not reach:
        return Axis.over([-band or -1.0, band or 1.0])
    limit = max(min(reach[-1], OFF_SCALE * reach[(len(reach) - 1) // 2]), 1.5 * band)
    shown = [(low, high) for low, high in intervals if max(abs(low), abs(high)) <= limit]
    low = min([-1.5 * band, 0.0, *(low for low, _ in shown)])
    high = max([1.5 * band, 0.0, *(high for _, high in shown)])
    span = (high - low) or limit or 1.0
    if any(one < -limit for one, _ in intervals):  # room for the arrow to be seen as far away
        low = min(low, high - 1.35 * span, -0.3 * span)
    if any(one > limit for _, one in intervals):
        high = max(high, low + 1.35 * span, 0.3 * span)
    return Axis.over([low, high])


def path(points: Sequence[tuple[float, float]]) -> str:
    """Points as the `d` of an SVG path."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def thinned(n: int, at_most: int = 40) -> list[int]:
    """At most about `at_most` of `n` positions, the first and the last among them."""
    if n <= at_most:
        return list(range(n))
    return sorted({round(i * (n - 1) / (at_most - 1)) for i in range(at_most)})
