"""The kind that is made from other fields: a velocity from a track, a difference of two numbers, a species from an identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field as Setting
from pydantic import PrivateAttr

from tamesu.fields.base import FieldBase, Name
from tamesu.symmetry import TILT_RAD, Symmetry

if TYPE_CHECKING:
    from tamesu.maps import Maps

Quantity = Literal["rate", "difference", "direction", "net", "map"]


@dataclass(frozen=True, eq=False)
class Rates:
    """How fast the channels of one row change.

    Attributes:
        values: At each of the row's times, a channel's unit over the time's; NaN where unknown.  (t, c)
        places: Those times, ascending.  (t,)
    """

    values: NDArray[np.float64]
    places: NDArray[np.float64]


class DerivedField(FieldBase):
    """What follows from other fields, to be predicted beside the target: it teaches, and is never an input.

    It reads the cells of the fields it is made from.
    """

    kind: Literal["derived"] = "derived"
    can_be_aux: ClassVar[bool] = True
    derive: Name | tuple[Name, Name]  # the field it is made from; of a difference both, the second is taken from the first
    what: Quantity | None = None  # None: map where one is given, difference of two fields, else rate
    order: Literal[1, 2] = 1  # of a rate: 1 velocity, 2 acceleration
    map: dict[Name, Name] = Setting(default_factory=dict)  # class or group: what it is derived to; others are unknown
    mirror: Literal["same", "never"] | None = None  # None: same of a map or a difference, never of what a series does
    _sources: tuple[Any, ...] = PrivateAttr(default=())

    @property
    def origins(self) -> tuple[str, ...]:
        """Names of the fields it is made from."""
        return (self.derive,) if isinstance(self.derive, str) else self.derive

    @property
    def sources(self) -> tuple[Any, ...]:
        """What the study says of those fields; () where one of them is missing."""
        return self._sources

    @property
    def quantity(self) -> Quantity:
        """What is made from them."""
        if self.what is not None:
            return self.what
        return "map" if self.map else "difference" if len(self.origins) > 1 else "rate"

    def from_sources(self, sources: tuple[Any, ...]) -> DerivedField:
        """The same, made from these fields."""
        made = self.model_copy()
        made._sources = sources
        return made

    @property
    def loss_kind(self) -> str:
        """The kind under which its losses stand."""
        return "label" if self.quantity == "map" else "derived"

    @property
    def merge(self) -> dict[str, str]:
        """No class is joined with another."""
        return {}

    @property
    def symmetry(self) -> Symmetry:
        """What mirrors and turns do to the classes of a map."""
        return Symmetry("same", "same")

    def read(self, column: pd.Series, ids: NDArray[Any], where: str) -> Any:
        """A map: names, None where unknown, (n,) object; a rate: `Rates`, (n,) object; others: NaN where unknown, (n, k)."""
        if self.quantity == "map":
            return self._mapped(self.sources[0].read(column, ids, where))
        if self.quantity == "difference":
            first, second = (
                one.read(pd.Series([cell[i] for cell in column]), ids, where) for i, one in enumerate(self.sources)
            )
            return (first - second)[:, None]
        values, places = self.sources[0].read_timed(column, ids, where)
        if self.quantity == "rate":
            out = np.empty(len(values), dtype=object)
            for i, (one, at) in enumerate(zip(values, places, strict=True)):
                out[i] = Rates(rates(one, at, self.order), at)
            return out
        net = np.stack([net_displacement(one) for one in values]) if len(values) else np.zeros((0, 1))
        if self.quantity == "net":
            return net
        x, y = (self.sources[0].channel_names.index(name) for name in self.sources[0].vectors[0])
        return direction(net[:, [x, y]])[:, None]

    def act(self, values: Any, maps: Maps) -> Any:  # noqa: D102
        return values

    def allows(self, values: Any, maps: Maps) -> NDArray[np.bool_]:  # noqa: D102
        if self.mirror == "same" or (self.mirror is None and self.quantity in ("map", "difference")):
            return np.ones(len(maps), dtype=bool)
        still = ~maps.mirrored
        return still if self.quantity in ("map", "difference") else still & (np.abs(maps.angle_rad) <= TILT_RAD)

    def _mapped(self, values: NDArray[np.object_]) -> NDArray[np.object_]:
        out = np.empty(len(values), dtype=object)
        out[:] = [self.map.get(one) for one in values]
        return out


def rates(values: NDArray[np.float64], places: NDArray[np.float64], order: int = 1) -> NDArray[np.float64]:
    """How fast each channel changes, by central differences between known readings; exact for parabolas inside the row.

    Args:
        values: NaN where a reading is missing.  (t, c)
        places: When they were taken, ascending.  (t,)
        order: 1: the first derivative; 2: that of the first.

    Returns:
        NaN where a reading is missing, of a channel with fewer than two times.  (t, c)
    """
    out = np.full(values.shape, np.nan)
    for c, channel in enumerate(values.T):
        known = np.flatnonzero(np.isfinite(channel))
        at, first, back = np.unique(places[known], return_index=True, return_inverse=True)
        if len(at) < 2:
            continue
        found = channel[known][first]
        for _ in range(order):
            found = np.gradient(found, at, edge_order=2 if len(at) > 2 else 1)
        out[known, c] = found[back.ravel()]
    return out


def net_displacement(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The last known reading of each channel minus its first; NaN with fewer than two.  (t, c) to (c,)"""
    out = np.full(values.shape[1], np.nan)
    for c, channel in enumerate(values.T):
        known = channel[np.isfinite(channel)]
        if len(known) > 1:
            out[c] = known[-1] - known[0]
    return out


def direction(arrows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The angle of arrows in the picture plane, y pointing down; NaN where one has no length.  (n, 2) to (n,) in radians"""
    angle = np.arctan2(-arrows[:, 1], arrows[:, 0])
    return np.where((arrows != 0).any(axis=1), angle, np.nan)


def with_kinds(raw: Any) -> Any:
    """Settings of fields written out: `age: number` means {kind: number}, `derive` without `kind` means kind: derived."""
    return {name: with_kind(one) for name, one in raw.items()} if isinstance(raw, Mapping) else raw


def with_kind(one: Any) -> Any:
    """Settings of one field written out; what is no field stays as it is."""
    if isinstance(one, str):
        return {"kind": one}
    return {"kind": "derived", **one} if isinstance(one, Mapping) and "derive" in one and "kind" not in one else one


def with_sources(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields in which each derived one knows the fields it is made from; () where one of those is missing."""
    out = dict(fields)
    for name, one in fields.items():
        if isinstance(one, DerivedField):
            found = tuple(fields[origin] for origin in one.origins if origin in fields)
            complete = len(found) == len(one.origins)
            out[name] = one.from_sources(found if complete else ())
    return out
