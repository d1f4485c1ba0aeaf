"""Targets that are places in a picture: points."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamesu.targets.base import Target

if TYPE_CHECKING:
    from tamesu.maps import Maps


@dataclass(frozen=True, eq=False)
class PointsTarget(Target):
    """Named points.  encoded: (n, k, 2) x and y in original pixels, NaN where not seen; prediction: the same, all known.

    A network is trained on shares of the frame, -1 to 1 from edge to edge: that is what `move` gives and `decode` takes.
    Points that a map leaves outside the frame stay in: they are beyond -1 or 1.
    """

    @property
    def n_outputs(self) -> int:  # noqa: D102
        return 2 * len(self.field.point_names)

    @property
    def prediction_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (len(self.field.point_names), 2)

    def known(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """The rows in which any point is seen; the loss leaves the others out by themselves.  (n,)"""
        return ~np.isnan(values).reshape(len(values), -1).all(axis=1)

    def encode(self, values: NDArray[Any]) -> NDArray[np.float64]:  # noqa: D102
        return np.asarray(values, dtype=np.float64)

    def decode(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:
        """Raw outputs as shares of the frame, which `move_back` takes to original pixels.  (n, k, 2)"""
        return xp.reshape(raw, (raw.shape[0], *self.prediction_shape))

    def allows(self, encoded: NDArray[Any], maps: Maps) -> NDArray[np.bool_]:  # noqa: D102
        return self.field.allows(encoded, maps)

    def move(self, encoded: NDArray[Any], maps: Maps) -> NDArray[Any]:
        """Original pixels as shares of the frame, names as they are in a mirror."""
        moved = self.field.act(encoded.astype(np.float64), maps)
        return as_shares(moved, maps.target).astype(encoded.dtype, copy=False)

    def move_back(self, prediction: NDArray[Any], maps: Maps) -> NDArray[Any]:
        """Shares of the frame as original pixels, names put back; NaN where a mirror has no meaning for them."""
        back = self.field.act(as_pixels(prediction, maps.target), maps.inverse)
        known = self.field.allows(prediction, maps)
        return np.where(known[:, None, None], back, np.nan)


def as_shares(points: NDArray[np.float64], frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """Pixels as -1 to 1 from the frame's left and upper edge to its right and lower one.  (b, k, 2), (b, 2) of h, w"""
    return (2 * points + 1) / frames[:, None, ::-1] - 1


def as_pixels(shares: NDArray[Any], frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """The opposite of `as_shares`."""
    return ((shares + 1) * frames[:, None, ::-1] - 1) / 2
