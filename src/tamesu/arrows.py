"""Inputs that point somewhere in the picture, as columns that can be turned: angle, direction and vector.

Each is a pair of columns, x to the right and y up, that goes around m times while the picture is turned once: m is 1 for an
arrow, 2 for a line, whose angle is the same after half a turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamesu.fields import AngleField, DirectionField, Field, VectorField

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.maps import Maps

ArrowField = AngleField | DirectionField | VectorField
Arrow = tuple[int, int, float]  # column of x, column of y, m
Floats = NDArray[Any]


@dataclass(frozen=True, eq=False)
class FittedArrows:
    """Arrow inputs as columns.

    Attributes:
        fields: By name.
        spreads: What each vector's numbers are divided by, all by the same: its root mean square length in training.
    """

    fields: Mapping[str, ArrowField]
    spreads: Mapping[str, float]

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(f"{name}_{end}" for name, field in self.fields.items() for end in _ends(field))

    @property
    def feature_fields(self) -> tuple[str, ...]:
        """The field of each column."""
        return tuple(name for name, field in self.fields.items() for _ in _ends(field))

    def arrows(self, start: int) -> tuple[Arrow, ...]:
        """Which columns belong together, where the first of them is column `start` of a table."""
        out = []
        for field in self.fields.values():
            multiplicity = 360 / field.period_deg if isinstance(field, AngleField) else 1.0
            out.append((start, start + 1, multiplicity))
            start += field.n_numbers if isinstance(field, VectorField) else 2
        return tuple(out)

    def transform(self, rows: Dataset) -> NDArray[np.float64]:
        """Any rows; 0 where a value is missing or a class has no angle.  (n, f)"""
        parts = [self._columns(name, field, rows.values(name, field)) for name, field in self.fields.items()]
        return np.nan_to_num(np.concatenate(parts, axis=1)) if parts else np.zeros((len(rows), 0))

    def _columns(self, name: str, field: ArrowField, values: NDArray[Any]) -> NDArray[np.float64]:
        if isinstance(field, AngleField):
            return phases(field.to_rad(values), 360 / field.period_deg)
        if isinstance(field, DirectionField):
            return phases(np.deg2rad([field.angles.get(one, np.nan) for one in values]), 1.0)
        up = np.array([1.0, 1.0 if field.y == "up" else -1.0, 1.0])
        return values * up[: field.n_numbers] / self.spreads[name]

    def to_json(self) -> dict[str, Any]:
        """What `from_json` makes the same of."""
        return {
            "fields": {name: one.model_dump(mode="json") for name, one in self.fields.items()},
            "spreads": dict(self.spreads),
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> FittedArrows:
        """What `to_json` described."""
        models: dict[str, type[ArrowField]] = {"angle": AngleField, "direction": DirectionField, "vector": VectorField}
        fields = {name: models[one["kind"]].model_validate(one) for name, one in kept["fields"].items()}
        return cls(fields, dict(kept["spreads"]))


def fit_arrows(rows: Dataset, fields: Mapping[str, Field]) -> FittedArrows:
    """Learn how long vectors are.

    Args:
        rows: Training rows, and nothing else.
        fields: All fields; targets and those of other kinds are passed over.
    """
    arrows = {name: one for name, one in fields.items() if isinstance(one, ArrowField) and one.is_given}
    spreads = {name: _spread(rows.values(name, one)) for name, one in arrows.items() if isinstance(one, VectorField)}
    return FittedArrows(arrows, spreads)


def phases(angles_rad: Floats, multiplicity: float) -> NDArray[np.float64]:
    """Cosine and sine of so many times the angle.  (…, 2)"""
    return np.stack([np.cos(multiplicity * angles_rad), np.sin(multiplicity * angles_rad)], axis=-1)


def turned(x: Floats, y: Floats, maps: Maps, multiplicity: float) -> tuple[Floats, Floats]:
    """Pairs as they are in pictures seen through the maps: the continuous counterpart of `geometry.move_angles`.  (b,), (b,)"""
    by_rad = multiplicity * np.where(maps.mirrored, np.pi + maps.angle_rad, maps.angle_rad)
    cos, sin = np.cos(by_rad), np.sin(by_rad)
    y = np.where(maps.mirrored, -y, y)
    return x * cos - y * sin, x * sin + y * cos


def turn_arrows(table: NDArray[np.float32], arrows: tuple[Arrow, ...], maps: Maps) -> NDArray[np.float32]:
    """The table with its arrows as they are in pictures seen through the maps.  (b, f)"""
    if not arrows:
        return table
    out = table.copy()
    for x, y, multiplicity in arrows:
        out[:, x], out[:, y] = turned(table[:, x], table[:, y], maps, multiplicity)
    return out


def _ends(field: ArrowField) -> tuple[str, ...]:
    return ("x", "y", "z")[: field.n_numbers] if isinstance(field, VectorField) else ("cos", "sin")


def _spread(values: NDArray[np.float64]) -> float:
    seen = values[~np.isnan(values).any(axis=1)]
    unit = float(np.abs(seen).max(initial=0.0))  # squares of 1e200 overflow
    return unit * float(np.sqrt(np.square(seen / unit).sum(axis=1).mean())) if unit > 0 else 1.0
