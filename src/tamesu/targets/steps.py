"""Targets that are a class at every step of a series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tamesu.losses import count_classes, log_softmax, wants_counts
from tamesu.series_grid import UNKNOWN, Grid, back_to, classes_on
from tamesu.targets.base import Target
from tamesu.targets.classes import class_code

if TYPE_CHECKING:
    from tamesu.fields import Steps
    from tamesu.maps import Maps
    from tamesu.series_inputs import FittedSeries


@dataclass(frozen=True, eq=False)
class StepsTarget(Target):
    """A class at every step.

    encoded: (n, t) codes on the steps that a network sees, -1 where the class is not known and beyond a row's end.
    truth: (n, t_max) codes at the rows' own steps, -1 likewise.
    prediction: (n, t, k) probabilities; `at_times` brings them from the network's steps to the rows' own.

    Attributes:
        grid: The network's steps (see `Grid`), and `longest`, how many of them there are; {} before `on_grid`.
        counts: Steps of each class in training; empty where nothing asks for them.
    """

    grid: dict[str, Any] = field(default_factory=dict)
    counts: tuple[int, ...] = ()
    learned: ClassVar[tuple[str, ...]] = ("grid",)
    spread: ClassVar[Literal["row", "steps", "pixels"]] = "steps"

    @property
    def _grid(self) -> Grid:
        return Grid(**{name: value for name, value in self.grid.items() if name != "longest"})

    def fit(self, values: NDArray[Any]) -> StepsTarget:  # noqa: D102
        if not wants_counts(self.field):
            return self
        counted = count_classes(self.truth(values), len(self.classes))[0]
        return replace(self, counts=tuple(int(one) for one in counted))

    def on_grid(self, series: FittedSeries) -> StepsTarget:  # noqa: D102
        return replace(self, grid=series.grids[self.along].to_json() | {"longest": series.length[self.along]})

    def known(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """The rows with a class at any step.  (n,)"""
        return np.array([any(name is not None for name in one.names) for one in values], dtype=bool)

    def encode(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """On the grid: at each of its steps the class of the nearest of the row's.  (n, t)"""
        if not self.grid:
            return self.truth(values)
        grid = self._grid
        rows = [classes_on(self._codes(one), one.places, grid.times(one.places), grid.gap) for one in values]
        return padded(rows, self.grid["longest"])

    def truth(self, values: NDArray[Any]) -> NDArray[np.int64]:  # noqa: D102
        return padded([self._codes(one) for one in values])

    def _codes(self, one: Steps) -> NDArray[np.int64]:
        known = np.array([name is not None for name in one.names], dtype=bool)
        codes = np.full(len(one), UNKNOWN, dtype=np.int64)
        code_of = {name: i for i, name in enumerate(self.classes)}
        codes[known] = [class_code(code_of, name, self) for name in one.names[known]]
        return codes

    def decode(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:
        """Probabilities at the network's steps.  (n, t, k)"""
        return xp.exp(log_softmax(raw, xp))

    def at_times(self, prediction: NDArray[Any], times: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Probabilities at the rows' own steps, all classes as likely beyond a row's end and where it was cut.  (n, t_max, k)

        Args:
            prediction: At the network's steps.  (n, t, k)
            times: Of each row.
        """
        k = len(self.classes)
        out = np.full((len(prediction), max((len(one) for one in times), default=0), k), 1 / max(1, k))
        grid = self._grid
        for i, own in enumerate(times):
            seen = grid.times(own)
            found = back_to(np.asarray(prediction[i], dtype=np.float64)[: len(seen)], seen, own, grid.step or 0.0)
            out[i, : len(own)] = np.where(np.isnan(found), out[i, : len(own)], found)
        return out

    def move(self, encoded: NDArray[Any], maps: Maps) -> NDArray[Any]:  # noqa: D102
        return encoded

    def move_back(self, prediction: NDArray[Any], maps: Maps) -> NDArray[Any]:  # noqa: D102
        return prediction

    def speaks(self, maps: Maps) -> NDArray[np.bool_]:  # noqa: D102
        return np.ones(len(maps), dtype=bool)


def padded(rows: Sequence[NDArray[np.int64]], length: int = 0) -> NDArray[np.int64]:
    """Codes of rows of unequal length, UNKNOWN beyond their ends.  (n, t), t at least `length`"""
    out = np.full((len(rows), max([length, *(len(one) for one in rows)])), UNKNOWN, dtype=np.int64)
    for i, one in enumerate(rows):
        out[i, : len(one)] = one
    return out
