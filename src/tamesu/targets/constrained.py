"""Targets whose predictions keep what is known: numbers in a range, arrows on a sphere or in a ball, classes in order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from types import ModuleType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from tamesu.losses import log_sigmoid
from tamesu.losses.known import like
from tamesu.targets.base import mean_known
from tamesu.targets.bounds import Range, ball_raw, in_ball, unit_vectors
from tamesu.targets.classes import LabelTarget
from tamesu.targets.numbers import NumberTarget, VectorTarget

LEAST = 1e-12  # probability of a class that a cumulative link gives none: its logarithm is finite
SHARPEST = 8.0  # of the log of a cumulative link's slope


@dataclass(frozen=True, eq=False)
class BoundedTarget(NumberTarget):
    """A number that lies in a range, ends included.  encoded and prediction: as of a number."""

    @cached_property
    def range(self) -> Range:
        """With where in it the training rows lie."""
        low, high = self.field.range
        return Range(low, high, self.mean, self.std)

    @property
    def centre(self) -> float | None:  # noqa: D102
        return None

    def trained(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:
        """The number within its range, standardised; what else there is stays.  (n, n_outputs)"""
        value = (self.range.bounded(raw[:, :1], xp) - self.mean) / self.std
        return value if raw.shape[1] == 1 else xp.concatenate([value, raw[:, 1:]], axis=1)

    def decode(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:  # noqa: D102
        return self.range.bounded(raw[:, 0], xp)

    def as_raw(self, encoded: NDArray[Any]) -> NDArray[np.float64]:  # noqa: D102
        return self.range.raw(encoded * self.std + self.mean)[:, None]


@dataclass(frozen=True, eq=False)
class UnitVectorTarget(VectorTarget):
    """An arrow of length 1: only where it points is learnt."""

    def trained(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:  # noqa: D102
        return unit_vectors(raw, xp) / self.scale

    def decode(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:  # noqa: D102
        return unit_vectors(raw, xp)

    def as_raw(self, encoded: NDArray[Any]) -> NDArray[np.float64]:  # noqa: D102
        return encoded * self.scale

    def join(self, predictions: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """The direction of the mean, of length 1."""
        mean = mean_known(predictions, weights)
        return np.where(np.isnan(mean), np.nan, unit_vectors(np.nan_to_num(mean), np))


@dataclass(frozen=True, eq=False)
class BallTarget(VectorTarget):
    """An arrow, or a place, at most so far from the origin: how far and which way are learnt apart."""

    @property
    def n_outputs(self) -> int:  # noqa: D102
        return int(self.field.n_numbers) + 1

    @property
    def prediction_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (int(self.field.n_numbers),)

    def trained(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:  # noqa: D102
        return self.decode(raw, xp) / self.scale

    def decode(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:  # noqa: D102
        return in_ball(raw, self.field.within, xp)

    def as_raw(self, encoded: NDArray[Any]) -> NDArray[np.float64]:  # noqa: D102
        return ball_raw(encoded * self.scale, self.field.within)


@dataclass(frozen=True, eq=False)
class OrderedTarget(LabelTarget):
    """Classes with an order: a place on one scale, and how sure it is.  encoded: codes; prediction: (n, k) probabilities.

    The scale is cut where logistic noise would give the classes as often as training has them; the network says how far along
    a row is and how little noise it has, so that classes next to each other are alike and far ones are not.

    Attributes:
        cuts: Between the classes in their order.  k - 1

    Source:
        McCullagh (1980), Regression Models for Ordinal Data: the cumulative logit link with a scale, its cut points from the
        shares in training.
    """

    cuts: tuple[float, ...] = ()
    learned: ClassVar[tuple[str, ...]] = ("counts", "cuts")

    @property
    def n_outputs(self) -> int:  # noqa: D102
        return 2

    def fit(self, values: NDArray[Any]) -> Self:  # noqa: D102
        counts = np.bincount(self.places[self.encode(values)], minlength=len(self.classes)) + 0.5
        below = np.cumsum(counts)[:-1] / counts.sum()
        fitted = super().fit(values)
        return replace(fitted, cuts=tuple(float(one) for one in np.log(below / (1 - below))))

    def to_json(self) -> dict[str, Any]:  # noqa: D102
        return super().to_json() | {"counts": self.counts, "cuts": self.cuts}

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """Where in the order each class stands; those the order does not name come last.  (k,)"""
        order = {name: i for i, name in enumerate(self.field.order)}
        ranked = sorted(range(len(self.classes)), key=lambda i: (order.get(self.classes[i], len(order)), i))
        return np.argsort(ranked)

    def trained(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:
        """Log probabilities.  (n, k)"""
        return xp.log(self._shares(raw, xp) + LEAST)

    def decode(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:  # noqa: D102
        return self._shares(raw, xp)

    def as_raw(self, encoded: NDArray[Any]) -> NDArray[np.float64]:  # noqa: D102
        ends = np.array([self.cuts[0] - 1, *self.cuts, self.cuts[-1] + 1])
        middle = (ends[:-1] + ends[1:]) / 2
        return np.stack([middle[self.places[encoded]], np.full(len(encoded), SHARPEST)], axis=1)

    def _shares(self, raw: Any, xp: ModuleType) -> Any:
        """Each class's part of the noise around the row's place.  (n, k)"""
        place = xp.clip(raw[:, :1], -1e6, 1e6)
        slope = xp.exp(xp.clip(raw[:, 1:2], -SHARPEST, SHARPEST))
        ends = (like(self.cuts, raw, xp) - place) * slope
        below, above = log_sigmoid(ends, xp), log_sigmoid(-ends, xp)
        # between two cuts, as a product: a difference of two probabilities near 1 would leave few digits in float32
        gaps = like(np.diff(self.cuts), raw, xp) * slope
        middle = above[:, :-1] + below[:, 1:] + xp.log(-xp.expm1(-gaps))
        in_order = xp.exp(xp.concatenate([below[:, :1], middle, above[:, -1:]], axis=1))
        classes = [in_order[:, int(i) : int(i) + 1] for i in self.places]
        shares = xp.concatenate(classes, axis=1)
        return shares / xp.sum(shares, axis=1, keepdims=True)
