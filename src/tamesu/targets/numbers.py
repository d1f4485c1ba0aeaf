"""Targets that are numbers: number, angle, vector."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tamesu.arrows import phases, turned
from tamesu.errors import DataError
from tamesu.geometry import move_vectors
from tamesu.losses import n_outputs_of
from tamesu.targets.base import Target, mean_known, unless
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.maps import Maps


@dataclass(frozen=True, eq=False)
class NumberTarget(Target):
    """A quantity.  encoded: (n,) standardised by the training rows; prediction: (n,) in its own unit."""

    mean: float = 0.0
    std: float = 1.0
    learned: ClassVar[tuple[str, ...]] = ("mean", "std")

    @property
    def n_outputs(self) -> int:
        """The number; and the log of its spread, in standard deviations, where the loss asks for that."""
        return n_outputs_of(self.field)

    @property
    def prediction_shape(self) -> tuple[int, ...]:  # noqa: D102
        return ()

    def fit(self, values: NDArray[Any]) -> NumberTarget:  # noqa: D102
        spread = float(np.std(values))
        return replace(self, mean=float(np.mean(values)), std=spread if spread > 0 else 1.0)

    def truth(self, values: NDArray[Any]) -> NDArray[np.float64]:  # noqa: D102
        return _finite(values, self.name)

    def encode(self, values: NDArray[Any]) -> NDArray[np.float64]:  # noqa: D102
        return (_finite(values, self.name) - self.mean) / self.std

    def decode(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:  # noqa: D102
        return raw[:, 0] * self.std + self.mean

    @property
    def centre(self) -> float | None:  # noqa: D102
        return self.mean

    def as_numbers(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """In standard deviations of the training rows.  (n, 1)"""
        return (super().as_numbers(values) - self.mean) / self.std

    def allows(self, encoded: NDArray[Any], maps: Maps) -> NDArray[np.bool_]:  # noqa: D102
        return self.field.allows(encoded, maps)

    def move(self, encoded: NDArray[Any], maps: Maps) -> NDArray[Any]:  # noqa: D102
        if self.field.mirror != "negate":
            return encoded
        return np.where(maps.mirrored, -encoded - 2 * self.mean / self.std, encoded)  # -value, in standard deviations

    def move_back(self, prediction: NDArray[Any], maps: Maps) -> NDArray[Any]:  # noqa: D102
        is_of_other_field = maps.mirrored & (self.field.swap_with is not None)
        return unless(is_of_other_field | ~self.field.allows(prediction, maps), self.field.act(prediction, maps))


@dataclass(frozen=True, eq=False)
class AngleTarget(Target):
    """An angle in the picture.  encoded: (n, 2) cosine and sine of its phase; prediction: (n,) in its own unit.

    The phase goes once around in one period, so that -180 and 180 degrees are the same, and of a line 0 and 180.
    """

    @property
    def n_outputs(self) -> int:  # noqa: D102
        return 2

    @property
    def prediction_shape(self) -> tuple[int, ...]:  # noqa: D102
        return ()

    @property
    def multiplicity(self) -> float:
        """Turns of the phase in one turn of the picture: 1 of an arrow, 2 of a line."""
        return 360.0 / self.field.period_deg

    def truth(self, values: NDArray[Any]) -> NDArray[np.float64]:  # noqa: D102
        return _finite(values, self.name)

    def encode(self, values: NDArray[Any]) -> NDArray[np.float64]:  # noqa: D102
        return phases(self.field.to_rad(_finite(values, self.name)), self.multiplicity)

    def decode(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:  # noqa: D102
        return self.field.from_rad(xp.arctan2(raw[:, 1], raw[:, 0]) / self.multiplicity)

    def move(self, encoded: NDArray[Any], maps: Maps) -> NDArray[Any]:  # noqa: D102
        cos, sin = turned(encoded[:, 0], encoded[:, 1], maps, self.multiplicity)
        return np.stack([cos, sin], axis=1).astype(encoded.dtype, copy=False)

    def move_back(self, prediction: NDArray[Any], maps: Maps) -> NDArray[Any]:  # noqa: D102
        return self.field.act(prediction, maps.inverse)

    def as_numbers(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Cosine and sine of the phase.  (n, 2)"""
        return phases(self.field.to_rad(np.asarray(values, dtype=np.float64)), self.multiplicity)

    def join(self, predictions: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """The direction of the mean of unit vectors: 359 and 1 degrees are 0, not 180."""
        arrows = phases(self.field.to_rad(predictions), self.multiplicity)
        mean = mean_known(arrows, weights)
        return np.where(np.isnan(mean[:, 0]), np.nan, self.decode(mean, np))


@dataclass(frozen=True, eq=False)
class VectorTarget(Target):
    """An arrow in the picture.  encoded: (n, 2) or (n, 3), all in one scale; prediction: the same in its own unit.

    One scale for all its numbers and no shift: so a rotation of the encoded arrow is one of the arrow.
    """

    scale: float = 1.0  # root mean square length in the training rows
    learned: ClassVar[tuple[str, ...]] = ("scale",)

    @property
    def n_outputs(self) -> int:  # noqa: D102
        return int(self.field.n_numbers)

    @property
    def prediction_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (self.n_outputs,)

    def fit(self, values: NDArray[Any]) -> VectorTarget:  # noqa: D102
        length = float(np.sqrt(np.mean(np.sum(np.square(values), axis=1))))
        return replace(self, scale=length if length > 0 else 1.0)

    def truth(self, values: NDArray[Any]) -> NDArray[np.float64]:  # noqa: D102
        return _finite(values, self.name)

    def encode(self, values: NDArray[Any]) -> NDArray[np.float64]:  # noqa: D102
        return _finite(values, self.name) / self.scale

    def decode(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:  # noqa: D102
        return raw * self.scale

    def move(self, encoded: NDArray[Any], maps: Maps) -> NDArray[Any]:  # noqa: D102
        return move_vectors(encoded, maps, y_up=self.field.y == "up").astype(encoded.dtype, copy=False)

    def move_back(self, prediction: NDArray[Any], maps: Maps) -> NDArray[Any]:  # noqa: D102
        return self.field.act(prediction, maps.inverse)


def _finite(values: NDArray[Any], name: str) -> NDArray[np.float64]:
    numbers = np.asarray(values, dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise DataError(say("target {name}: every row must hold a number; got an empty cell. Drop the row.", name=name))
    return numbers
