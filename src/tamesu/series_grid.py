"""The steps a series is looked at on: its own, or regular ones; numbers and classes brought to them and back.

Times are those of the `order` column, in its unit, ascending within a row; without one they are 0, 1, 2 …
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
WHOLE = 1e-9  # of a step: 0.30000000000000004 is three steps of 0.1
UNKNOWN = -1  # of a class


@dataclass(frozen=True)
class Grid:
    """How the steps of a row follow from its times.

    Attributes:
        step: Regular steps so far apart; None: the row's own.
        length: Steps at most; None: all.
        fit: cut: what is beyond `length` is left out; stretch: every row has `length` steps from its first to its last time.
        gap: Readings further apart say nothing of the times between them; None: however far apart.
    """

    step: float | None = None
    length: int | None = None
    fit: Literal["cut", "stretch"] = "cut"
    gap: float | None = None

    def count(self, places: Array) -> int:
        """Steps that `times` would give, without making them."""
        if len(places) < 2 or (self.fit == "cut" and self.step is None) or (self.fit == "stretch" and self.length is None):
            return len(places) if self.length is None else min(len(places), self.length)
        if self.fit == "stretch":
            return int(self.length or 0) if places[-1] > places[0] else 1
        n = int((places[-1] - places[0]) / (self.step or 1.0) + WHOLE) + 1
        return n if self.length is None else min(n, self.length)

    def times(self, places: Array) -> Array:
        """The steps of a row with these times.  (m,) to (g,)"""
        n = self.count(places)
        if self.fit == "stretch" and self.length is not None and len(places) > 1:
            return np.linspace(places[0], places[-1], n)
        if self.step is None or len(places) < 2:
            return places[:n]
        return places[0] + self.step * np.arange(n)

    def to_json(self) -> dict[str, Any]:
        """What `Grid(**…)` makes the same of."""
        return {"step": self.step, "length": self.length, "fit": self.fit, "gap": self.gap}


def resample(values: Array, places: Array, times: Array, gap: float | None = None) -> Array:
    """Readings at other times: in a straight line between neighbours, at the ends as the last one known.

    Several readings of one time count as their mean; empty ones do not count.

    Args:
        values: NaN where a reading is missing.  (m, c)
        places: When they were taken, ascending.  (m,)
        times: (g,)
        gap: See `Grid`.

    Returns:
        NaN where a channel has no reading near, or none at all.  (g, c)
    """
    out = np.full((len(times), values.shape[1]), np.nan)
    same = times is places or np.array_equal(times, places[: len(times)])
    distinct = bool((np.diff(places) > 0).all())
    for c, channel in enumerate(values.T):
        known = ~np.isnan(channel)
        if same and distinct and known.all():
            out[:, c] = channel[: len(times)]
        elif known.any():
            at, value = _means(places[known], channel[known])
            out[:, c] = np.interp(times, at, value)
            if gap is not None:
                out[_between(at, times) > gap * (1 + WHOLE), c] = np.nan
    return out


def classes_on(codes: NDArray[np.int64], places: Array, times: Array, gap: float | None = None) -> NDArray[np.int64]:
    """The class of the nearest of a row's steps, the earlier of two as near; UNKNOWN within a gap.  (m,) to (g,)"""
    if len(places) == 0 or len(times) == 0:
        return np.full(len(times), UNKNOWN)
    after = np.clip(np.searchsorted(places, times), 1, max(1, len(places) - 1))
    before = after - 1
    after = np.minimum(after, len(places) - 1)
    nearest = np.where(times - places[before] <= places[after] - times, before, after)
    out = codes[nearest].astype(np.int64)
    if gap is not None:
        out[_between(places, times) > gap * (1 + WHOLE)] = UNKNOWN
    return out


def back_to(shares: Array, times: Array, places: Array, reach: float = 0.0) -> Array:
    """What is known at the steps of a grid, at the row's own times: in a straight line between steps.

    Args:
        shares: Such as probabilities, which still add up to 1 then.  (g, k)
        times: Of the grid, ascending.  (g,)
        places: Of the row.  (m,)
        reach: How long the last step of the grid lasts.

    Returns:
        NaN beyond the grid's end, where rows were cut.  (m, k)
    """
    if len(times) == 0:
        return np.full((len(places), shares.shape[1]), np.nan)
    if reach == 0 and np.array_equal(times, places[: len(times)]):  # times that come twice have a prediction each
        out = np.full((len(places), shares.shape[1]), np.nan)
        out[: len(times)] = shares
        return out
    beyond = places > times[-1] + reach * (1 + WHOLE)
    after = np.clip(np.searchsorted(times, places), 1, max(1, len(times) - 1))
    before = after - 1
    after = np.minimum(after, len(times) - 1)
    width = times[after] - times[before]
    weight = np.clip(np.divide(places - times[before], width, out=np.zeros(len(places)), where=width > 0), 0, 1)[:, None]
    return np.where(beyond[:, None], np.nan, (1 - weight) * shares[before] + weight * shares[after])


def _means(places: Array, values: Array) -> tuple[Array, Array]:
    """Each time once, with the mean of its readings."""
    if (np.diff(places) > 0).all():
        return places, values
    at, place, n = np.unique(places, return_inverse=True, return_counts=True)
    return at, np.bincount(place.ravel(), values) / n


def _between(at: Array, times: Array) -> Array:
    """How far apart the readings on both sides of each time are; 0 at a reading; beyond the ends, how far off the end is."""
    after = np.searchsorted(at, times)
    on = (after < len(at)) & (at[np.minimum(after, len(at) - 1)] == times)
    left, right = at[np.maximum(after - 1, 0)], at[np.minimum(after, len(at) - 1)]
    width = np.where(after == 0, at[0] - times, np.where(after == len(at), times - at[-1], right - left))
    return np.where(on, 0.0, width)
