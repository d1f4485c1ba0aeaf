"""Targets that are made from other fields, and counts of boxes: numbers predicted beside a target."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tamesu.fields.derived import DerivedField
from tamesu.series_grid import Grid, resample
from tamesu.symmetry import Symmetry
from tamesu.targets.base import Target
from tamesu.targets.classes import LabelTarget

if TYPE_CHECKING:
    from tamesu.maps import Maps
    from tamesu.series_inputs import FittedSeries


@dataclass(frozen=True, eq=False)
class DerivedTarget(Target):
    """Numbers of a row.  encoded: (n, k) standardised by the training rows, of an angle its cosine and sine; NaN unknown.

    Attributes:
        mean, std: Of each number; 0 and 1 of a cosine and a sine.  (k,)
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    learned: ClassVar[tuple[str, ...]] = ("mean", "std")

    @property
    def n_outputs(self) -> int:  # noqa: D102
        return len(self.mean)

    @property
    def prediction_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (len(self.mean),)

    @property
    def along(self) -> str:  # noqa: D102
        return str(self.field.origins[0])

    def known(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """The rows of which any number is known.  (n,)"""
        return np.asarray(np.isfinite(self._numbers(values)).any(axis=1), dtype=bool)

    def fit(self, values: NDArray[Any]) -> Target:  # noqa: D102
        numbers = self._numbers(values)
        if self._is_angle:
            return replace(self, mean=(0.0, 0.0), std=(1.0, 1.0))
        mean, std = _mean_and_std(numbers)
        return replace(self, mean=mean, std=std)

    def encode(self, values: NDArray[Any]) -> NDArray[np.float64]:  # noqa: D102
        return (self._numbers(values) - np.asarray(self.mean)) / np.asarray(self.std)

    def decode(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:
        """In the numbers' own units; of an angle its cosine and sine, whatever their length.  (n, …, k)"""
        return xp.stack([raw[..., i] * s + m for i, (m, s) in enumerate(zip(self.mean, self.std, strict=True))], -1)

    def allows(self, encoded: NDArray[Any], maps: Maps) -> NDArray[np.bool_]:  # noqa: D102
        return self.field.allows(encoded, maps)

    def move(self, encoded: NDArray[Any], maps: Maps) -> NDArray[Any]:  # noqa: D102
        return encoded

    def move_back(self, prediction: NDArray[Any], maps: Maps) -> NDArray[Any]:  # noqa: D102
        return prediction

    @property
    def _is_angle(self) -> bool:
        return isinstance(self.field, DerivedField) and self.field.quantity == "direction"

    def _numbers(self, values: NDArray[Any]) -> NDArray[np.float64]:
        if self._is_angle:
            return np.concatenate([np.cos(values), np.sin(values)], axis=1)
        return np.asarray(values, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class RatesTarget(DerivedTarget):
    """Numbers at every step of a series.  encoded: (n, t, k) on the network's steps, NaN where unknown and beyond a row's end.

    Attributes:
        grid: The network's steps (see `Grid`), and `longest`, how many of them there are.
    """

    grid: dict[str, Any] = field(default_factory=dict)
    learned: ClassVar[tuple[str, ...]] = ("mean", "std", "grid")
    spread: ClassVar[Literal["row", "steps", "pixels"]] = "steps"

    def known(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """The rows with a known rate at any step.  (n,)"""
        return np.array([bool(np.isfinite(one.values).any()) for one in values], dtype=bool)

    def fit(self, values: NDArray[Any]) -> Target:  # noqa: D102
        if not len(values):
            return replace(self, mean=(0.0,), std=(1.0,))
        mean, std = _mean_and_std(np.concatenate([one.values for one in values]))
        return replace(self, mean=mean, std=std)

    def on_grid(self, series: FittedSeries) -> RatesTarget:  # noqa: D102
        return replace(self, grid=series.grids[self.along].to_json() | {"longest": series.length[self.along]})

    def encode(self, values: NDArray[Any]) -> NDArray[np.float64]:  # noqa: D102
        grid = Grid(**{name: value for name, value in self.grid.items() if name != "longest"})
        longest = self.grid.get("longest", max((grid.count(one.places) for one in values), default=0))
        out = np.full((len(values), longest, len(self.mean)), np.nan)
        for i, one in enumerate(values):
            found = resample(one.values, one.places, grid.times(one.places), grid.gap)[:longest]
            out[i, : len(found)] = (found - np.asarray(self.mean)) / np.asarray(self.std)
        return out


@dataclass(frozen=True, eq=False)
class CountsTarget(DerivedTarget):
    """How many boxes of each class a picture holds.  encoded: (n, k) log(1 + count), standardised by the training rows."""

    @property
    def along(self) -> str:  # noqa: D102
        return ""

    def allows(self, encoded: NDArray[Any], maps: Maps) -> NDArray[np.bool_]:
        """Mirrors are known where the field says what they do.  (b,)"""
        return ~maps.mirrored if self.field.mirror == "never" else np.ones(len(maps), dtype=bool)

    def move(self, encoded: NDArray[Any], maps: Maps) -> NDArray[Any]:
        """Counts of the whole picture, whatever of it is seen; those of a left and a right class change places in a mirror."""
        if not isinstance(self.field.mirror, dict) or not maps.mirrored.any():
            return encoded
        order = Symmetry(dict(self.field.mirror)).codes(self.classes)[4]
        raw = encoded * np.asarray(self.std) + np.asarray(self.mean)
        swapped = (raw[:, order] - np.asarray(self.mean)) / np.asarray(self.std)
        return np.where(maps.mirrored[:, None], swapped, encoded).astype(encoded.dtype)

    def known(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """All: no box is none.  (n,)"""
        return np.ones(len(values), dtype=bool)

    def _numbers(self, values: NDArray[Any]) -> NDArray[np.float64]:
        if not self.classes:
            return np.log1p([[len(one.edges)] for one in values]).reshape(len(values), 1)
        counts = [[sum(name == one for name in row.names) for one in self.classes] for row in values]
        return np.log1p(np.array(counts, dtype=np.float64)).reshape(len(values), len(self.classes))


def make_derived(name: str, one: DerivedField) -> Target:
    """The target that a derived field is."""
    if one.quantity == "map":
        return LabelTarget(name, one, tuple(sorted(set(one.map.values()))))
    return (RatesTarget if one.quantity == "rate" else DerivedTarget)(name, one)


def _mean_and_std(numbers: NDArray[np.float64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of each column over what is known of it; 0 and 1 where nothing is, a spread of 1 where all are the same."""
    mean, std = [], []
    for column in numbers.T:
        known = column[np.isfinite(column)]
        spread = float(known.std()) if len(known) else 0.0
        mean.append(float(known.mean()) if len(known) else 0.0)
        std.append(spread if spread > 0 else 1.0)
    return tuple(mean), tuple(std)
