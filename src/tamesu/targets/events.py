"""Targets that are events in a series: shaped into soft bumps to train on, decoded into the best sequence under a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamesu.losses import sigmoid
from tamesu.targets.base import Target
from tamesu.targets.steps import StepsTarget

if TYPE_CHECKING:
    from tamesu.maps import Maps

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class EventsTarget(StepsTarget):
    """When each event happens.

    encoded: (n, t, k) 1 at the step of an event, falling off around it as a normal curve; NaN beyond a row's end.
    truth: (n, k, m) times, NaN where there are fewer.
    prediction: (n, k, m, 2) times and how sure each is, 0 to 1; both 0 where there is none.
    """

    @property
    def n_outputs(self) -> int:  # noqa: D102
        return len(self.field.names)

    @property
    def prediction_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (len(self.field.names), self.field.most, 2)

    def fit(self, values: NDArray[Any]) -> EventsTarget:  # noqa: D102
        return self

    def known(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """All: a row without events is one in which nothing happens.  (n,)"""
        return np.ones(len(values), dtype=bool)

    def truth(self, values: NDArray[Any]) -> Array:  # type: ignore[override]  # noqa: D102
        return values

    def encode(self, values: NDArray[Any]) -> Array:  # type: ignore[override]
        """Not without the times of the series: see `encode_at`."""
        raise TypeError("events are encoded on the steps of their series")

    def encode_at(self, values: NDArray[Any], times: Sequence[Array]) -> Array:
        """On the network's steps.

        Args:
            values: (n, k, m)
            times: Of each row's own steps.

        Returns:
            (n, t, k)
        """
        grids = [self._grid.times(own) for own in times]
        length = max([self.grid["longest"], *(len(one) for one in grids)])
        out = np.full((len(values), length, len(self.field.names)), np.nan)
        for i, (grid, events) in enumerate(zip(grids, values, strict=True)):
            out[i, : len(grid)] = bumps(grid, events, self.field.width)
        return out

    def decode(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:
        """How sure each event is at each of the network's steps.  (n, t, k)"""
        return sigmoid(xp.clip(raw, -1e4, 1e4), xp)

    def at_times(self, prediction: NDArray[Any], times: Sequence[Array]) -> Array:
        """The best sequence of events under the rule.  (n, k, m, 2)"""
        out = np.zeros((len(prediction), *self.prediction_shape))
        for i, own in enumerate(times):
            grid = self._grid.times(own)
            out[i] = best_events(np.asarray(prediction[i], dtype=np.float64)[: len(grid)], grid, self.field)
        return out

    def join(self, predictions: Array, weights: Array | None = None) -> Array:
        """The first: events seen through several maps are the same events."""
        return predictions[0]

    def move(self, encoded: NDArray[Any], maps: Maps) -> NDArray[Any]:  # noqa: D102
        return encoded

    def to_json(self) -> dict[str, Any]:  # noqa: D102
        return Target.to_json(self)


def bumps(grid: Array, events: Array, width: float) -> Array:
    """1 where an event is, falling off by a normal curve of `width` steps; the largest where several are near.

    Args:
        grid: Times of the steps, ascending.  (t,)
        events: Their times, NaN where there is none.  (k, m)

    Returns:
        (t, k)
    """
    out = np.zeros((len(grid), len(events)))
    if len(grid) == 0:
        return out
    places = np.interp(events, grid, np.arange(len(grid), dtype=np.float64))  # in steps, whatever their spacing
    for j, own in enumerate(places):
        for place in np.rint(own[~np.isnan(own)]):
            out[:, j] = np.maximum(out[:, j], np.exp(-0.5 * ((np.arange(len(grid)) - place) / width) ** 2))
    return out


def best_events(sure: Array, grid: Array, field: Any) -> Array:
    """Times and sureness of the events with the largest sum of sureness that obey the field's rule.

    Exact: events that happen once are chosen together, period by period, by dynamic programming over their order; others are
    local maxima at least `width` steps apart, the surest first.

    Args:
        sure: 0 to 1.  (t, k)
        grid: (t,)
        field: An `EventsField`.

    Returns:
        (k, most, 2)
    """
    k, m = len(field.names), field.most
    out = np.zeros((k, m, 2))
    place = {name: j for j, name in enumerate(field.names)}
    single = {place[name]: choices(sure, grid, [place[name]], field) for name in field.once if name not in field.in_order}
    chained = [place[name] for name in field.in_order]
    if chained:
        single |= dict.fromkeys(chained, choices(sure, grid, chained, field))
    for j in range(k):
        steps = [chosen[j] for chosen in single[j] if j in chosen] if j in single else peaks(sure[:, j], field.width)
        kept = sorted(sorted(steps, key=lambda step: -sure[step, j])[:m])
        out[j, : len(kept), 0], out[j, : len(kept), 1] = grid[kept], sure[kept, j]
    return out


def choices(sure: Array, grid: Array, chain: list[int], field: Any) -> list[dict[int, int]]:
    """For each period the steps chosen, by event; an event that the rule leaves no room for is left out.

    Chosen are local maxima, as without a rule, and one event lies more than `width` after another: two steps of one bump that
    is likely to be either are one happening, and not two.
    """
    apart = int(field.width) + 1
    period = np.zeros(len(grid)) if field.period is None else np.floor(grid / field.period)
    found = []
    for one in np.unique(period):
        inside = np.flatnonzero(period == one)
        here = sure[inside][:, chain]
        tops = np.zeros_like(here)
        for j in range(len(chain)):
            steps = peaks(here[:, j], field.width)
            tops[steps, j] = here[steps, j]
        found.append({chain[j]: int(inside[step]) for j, step in best_chain(tops, apart).items()})
    return found


def best_chain(sure: Array, apart: int = 1) -> dict[int, int]:
    """Steps of events in their order, each later than the one before, with the largest sum; by event.

    best(j, t), the largest sum of the first j events up to step t, is the largest of best(j, t - 1), best(j - 1, t) and
    best(j - 1, t - apart) + sure(t, j): an event more at t, or not.

    Args:
        sure: 0 or more.  (t, k)
        apart: Steps from one event to the next, at least.
    """
    t, k = sure.shape
    before = np.maximum(0, np.arange(t) + 1 - apart)  # how many steps an event leaves to those before it
    best = np.zeros((k + 1, t + 1))  # best[j, s]: of the first j events in the first s steps
    for j in range(k):
        with_event = best[j, before] + sure[:, j]
        best[j + 1, 1:] = np.maximum.accumulate(np.maximum(with_event, best[j, 1:]))
    chosen, end = {}, t
    for j in range(k - 1, -1, -1):
        if end == 0:
            break
        with_event = best[j, before[:end]] + sure[:end, j]
        step = int(with_event.argmax())
        if with_event[step] > best[j, end]:  # otherwise it is as good without this event
            chosen[j], end = step, int(before[step])
    return chosen


def peaks(sure: Array, width: float) -> list[int]:
    """Steps of local maxima, the surest first, none within `width` of a surer one."""
    padded = np.concatenate([[-np.inf], sure, [-np.inf]])
    tops = np.flatnonzero((sure >= padded[:-2]) & (sure > padded[2:]))
    kept: list[int] = []
    for step in tops[np.argsort(-sure[tops], kind="stable")]:
        if all(abs(step - other) > width for other in kept):
            kept.append(int(step))
    return kept
