"""Kinds that point somewhere in the picture: vector, angle, direction. Mirrors and rotations both act on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field as Setting
from pydantic import PositiveFloat

from tamesu.errors import DataError
from tamesu.fields.base import FieldBase, Name, read_classes, some_rows
from tamesu.fields.cells import read_numbers
from tamesu.geometry import move_angles, move_vectors
from tamesu.symmetry import TILT_RAD
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.maps import Maps

LENGTH_TOLERANCE = 1e-3  # as a share
ZEROS = {"right": 0.0, "up": np.pi / 2, "left": np.pi, "down": -np.pi / 2}


class VectorField(FieldBase):
    """Two or three numbers that are one arrow in the picture: a velocity, a wind, a gradient. The third points at the viewer.

    Its length is in its own unit and stays; mirrors and rotations turn it.
    """

    kind: Literal["vector"] = "vector"
    is_input: ClassVar[bool] = True
    can_be_target: ClassVar[bool] = True
    columns: tuple[str, ...] = Setting(default=(), max_length=3)  # of x and y (and z); () where one cell holds them
    y: Literal["down", "up"] = "down"  # where its second number points
    unit: bool = False  # as a target: its length is 1, and so is that of predictions
    within: PositiveFloat | None = None  # as a target: it is at most so long, and so are predictions: a place in a disk, a ball
    pasted: Literal["same"] | None = None  # what an object pasted into the picture (augment.paste) does to it

    @property
    def n_numbers(self) -> int:
        """2, or 3 with a third column."""
        return len(self.columns) or 2

    @property
    def cell_columns(self) -> tuple[str, ...]:  # noqa: D102
        return self.columns

    def read(self, column: pd.Series, ids: NDArray[Any], where: str) -> NDArray[np.float64]:
        """In its own unit, NaN where missing.  (n, 2) or (n, 3)

        Raises:
            DataError: What is predicted is longer than declared, or not of length 1.
        """
        values = read_numbers(column, ids, where, n_each=self.n_numbers, may_miss=not self.target)
        if not self.is_predicted or not (self.unit or self.within):
            return values
        length = np.linalg.norm(values, axis=1)
        wrong = np.abs(length - 1) > LENGTH_TOLERANCE if self.unit else length > (self.within or 0) * (1 + LENGTH_TOLERANCE)
        if wrong.any():
            rule = say("of length 1") if self.unit else say("of length {r} or less", r=self.within)
            rows, found = some_rows(ids, wrong), f"{length[wrong][0]:.6g}"
            raise DataError(say("{where}: {rows} must be {rule}; got {value}.", where=where, rows=rows, rule=rule, value=found))
        return values

    def act(self, values: NDArray[np.float64], maps: Maps) -> NDArray[np.float64]:  # noqa: D102
        return move_vectors(values, maps, y_up=self.y == "up")


class AngleField(FieldBase):
    """A number that is an angle in the picture, as of an arrow (period 360) or of a line (period 180)."""

    kind: Literal["angle"] = "angle"
    is_input: ClassVar[bool] = True
    can_be_target: ClassVar[bool] = True
    unit: Literal["deg", "rad"] = "deg"
    zero: Literal["right", "up", "left", "down"] = "right"  # where 0 points
    positive: Literal["anticlockwise", "clockwise"] = "anticlockwise"  # as seen
    period_deg: float = Setting(default=360.0, gt=0, le=360)
    pasted: Literal["same"] | None = None  # what an object pasted into the picture (augment.paste) does to it

    def read(self, column: pd.Series, ids: NDArray[Any], where: str) -> NDArray[np.float64]:
        """In its own unit, NaN where missing.  (n,)"""
        return read_numbers(column, ids, where, n_each=1, may_miss=not self.target)[:, 0]

    @property
    def unit_rad(self) -> float:
        """Radians of one of its units."""
        return np.pi / 180 if self.unit == "deg" else 1.0

    def to_rad(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Anticlockwise from the right."""
        sign = 1.0 if self.positive == "anticlockwise" else -1.0
        return ZEROS[self.zero] + sign * np.asarray(values) * self.unit_rad

    def from_rad(self, angles_rad: NDArray[np.float64]) -> NDArray[np.float64]:
        """The opposite of `to_rad`, within one period around 0: from minus half of it up to half of it."""
        sign = 1.0 if self.positive == "anticlockwise" else -1.0
        period = np.deg2rad(self.period_deg)
        turned = sign * (angles_rad - ZEROS[self.zero])
        return ((turned + period / 2) % period - period / 2) / self.unit_rad

    def act(self, values: NDArray[np.float64], maps: Maps) -> NDArray[np.float64]:  # noqa: D102
        return self.from_rad(move_angles(self.to_rad(values), maps))


class DirectionField(FieldBase):
    """A class that is a direction in the picture: `angles: {right: 0, upper_right: 45, up: 90}`, anticlockwise from the right.

    A mirror and a rotation both change it. A map that would leave an arrow between two classes is not drawn; classes without
    an angle (`none`) stay as they are.
    """

    kind: Literal["direction"] = "direction"
    is_input: ClassVar[bool] = True
    can_be_target: ClassVar[bool] = True
    angles: dict[Name, float]  # degrees
    pasted: Literal["same"] | None = None  # what an object pasted into the picture (augment.paste) does to it
    tolerance_deg: float | None = Setting(
        default=None, gt=0, le=90
    )  # how far an arrow may be off; a third of the narrowest gap, at most 15

    def read(self, column: pd.Series, ids: NDArray[Any], where: str) -> NDArray[np.object_]:
        """Class names as text, None where missing.  (n,) object"""
        out = read_classes(column)
        missing = np.array([one is None for one in out], dtype=bool)
        if self.target and missing.any():
            raise DataError(
                say("{where}: {rows} must hold a direction; got an empty cell.", where=where, rows=some_rows(ids, missing))
            )
        return out

    @property
    def tolerance_rad(self) -> float:
        """How far from a class an arrow still counts as that class."""
        if self.tolerance_deg is not None:
            return float(np.deg2rad(self.tolerance_deg))
        angles = np.sort(np.deg2rad(np.array(list(self.angles.values()))) % (2 * np.pi))
        gaps = np.diff(angles, append=angles[:1] + 2 * np.pi)
        return float(min(TILT_RAD, gaps.min() / 3))

    def nearest(self, angles_rad: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """For each angle the class next to it, as a position in `angles`, and how far off it is.  (m,), (m,) rad"""
        own = np.deg2rad(np.array(list(self.angles.values())))
        off = np.abs((angles_rad[:, None] - own + np.pi) % (2 * np.pi) - np.pi)
        best = off.argmin(axis=1)
        return best, off[np.arange(len(off)), best]

    def act(self, values: NDArray[np.object_], maps: Maps) -> NDArray[np.object_]:  # noqa: D102
        names = list(self.angles)
        out = np.array(values, dtype=object)
        hit = np.array([one in self.angles for one in values], dtype=bool)
        if hit.any():
            best, _ = self.nearest(self._moved(values, maps, hit))
            out[hit] = np.array(names, dtype=object)[best]
        return out

    def allows(self, values: NDArray[np.object_], maps: Maps) -> NDArray[np.bool_]:  # noqa: D102
        allowed = np.ones(len(maps), dtype=bool)
        hit = np.array([one in self.angles for one in values], dtype=bool)
        if hit.any():
            allowed[hit] = self.nearest(self._moved(values, maps, hit))[1] <= self.tolerance_rad + 1e-9
        return allowed

    def _moved(self, values: NDArray[np.object_], maps: Maps, hit: NDArray[np.bool_]) -> NDArray[np.float64]:
        own = np.deg2rad(np.array([self.angles[one] for one in values[hit]]))
        return move_angles(own, maps[hit])
