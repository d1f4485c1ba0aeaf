"""Maps from any number into a range, a sphere or a ball, and back: what makes a prediction keep what is known.

Functions of an array namespace `xp`, as the losses. Raw outputs are cut at `FURTHEST`, so that infinite ones obey too.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.losses import sigmoid

Array = Any
FURTHEST = 1e15  # squares of it are finite in single precision
INSIDE = 1e-6  # of a range: how far inside its ends a value is taken to be where the way back to raw outputs would be endless


def finite(raw: Array, xp: ModuleType) -> Array:
    """Raw outputs without infinities."""
    return xp.clip(raw, -FURTHEST, FURTHEST)


def softplus(raw: Array, xp: ModuleType) -> Array:
    """log(1 + exp(raw)), without overflow."""
    return (raw + xp.abs(raw)) / 2 + xp.log1p(xp.exp(-xp.abs(raw)))


def inverse_softplus(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """The opposite, for values above 0."""
    return value + np.log(-np.expm1(-value))


@dataclass(frozen=True)
class Range:
    """A range, and where in it the training rows lie: a raw output of 0 is their mean, and one step of it their deviation.

    Attributes:
        low: None where there is no such end.
        high: The same.
    """

    low: float | None
    high: float | None
    mean: float
    std: float

    def bounded(self, raw: Array, xp: ModuleType) -> Array:
        """Any numbers as numbers in the range."""
        raw = finite(raw, xp)
        if self.low is None and self.high is None:
            return raw * self.std + self.mean
        start, slope = self._start()
        if self.low is not None and self.high is not None:
            value = self.low + (self.high - self.low) * sigmoid(start + slope * raw, xp)
            return xp.clip(value, self.low, self.high)
        if self.low is not None:
            return self.low + self.std * softplus(start + slope * raw, xp)
        return self.high - self.std * softplus(start - slope * raw, xp)  # type: ignore[operator]

    def raw(self, value: NDArray[np.float64]) -> NDArray[np.float64]:
        """What `bounded` makes these values of, up to `INSIDE` at the ends."""
        if self.low is None and self.high is None:
            return (value - self.mean) / self.std
        start, slope = self._start()
        if self.low is not None and self.high is not None:
            share = np.clip((value - self.low) / (self.high - self.low), INSIDE, 1 - INSIDE)
            return (np.log(share / (1 - share)) - start) / slope
        if self.low is not None:
            return (inverse_softplus(np.maximum((value - self.low) / self.std, INSIDE)) - start) / slope
        return (start - inverse_softplus(np.maximum((self.high - value) / self.std, INSIDE))) / slope  # type: ignore[operator]

    def _start(self) -> tuple[float, float]:
        """What is added to a raw output, and times what it is taken, before it is brought into the range."""
        if self.low is not None and self.high is not None:
            share = float(np.clip((self.mean - self.low) / (self.high - self.low), 0.01, 0.99))
            return float(np.log(share / (1 - share))), self.std / ((self.high - self.low) * share * (1 - share))
        away = self.mean - self.low if self.low is not None else self.high - self.mean  # type: ignore[operator]
        start = float(inverse_softplus(np.array(max(away / self.std, 0.01))))
        return start, 1 + float(np.exp(-start))


def unit_vectors(raw: Array, xp: ModuleType) -> Array:
    """Arrows of any length as arrows of length 1; where there is none, one along the first axis.  (n, k)"""
    raw = finite(raw, xp)
    largest = xp.amax(xp.abs(raw), axis=-1, keepdims=True)
    scaled = raw / xp.where(largest > 0, largest, xp.ones_like(largest))
    first = xp.cumsum(xp.ones_like(raw), axis=-1) == 1
    scaled = xp.where((largest == 0) & first, xp.ones_like(scaled), scaled)
    return scaled / xp.sqrt(xp.sum(xp.square(scaled), axis=-1, keepdims=True))


def in_ball(raw: Array, radius: float, xp: ModuleType) -> Array:
    """A number and an arrow as an arrow at most so long: length and direction learnt apart.  (n, k + 1) to (n, k)"""
    share = sigmoid(finite(raw[:, :1], xp), xp) * (1 - INSIDE)
    return radius * share * unit_vectors(raw[:, 1:], xp)


def ball_raw(values: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """What `in_ball` makes these arrows of.  (n, k) to (n, k + 1)"""
    length = np.linalg.norm(values, axis=1, keepdims=True)
    share = np.clip(length / radius / (1 - INSIDE), INSIDE**2, 1 - INSIDE)
    return np.concatenate([np.log(share / (1 - share)), values], axis=1)
