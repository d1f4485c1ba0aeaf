"""Kinds that are cells of a table: label, labels, number, group, id, ignore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field as Setting
from pydantic import PositiveFloat, PositiveInt

from tamesu.errors import DataError
from tamesu.fields.base import MISSING_TEXT, FieldBase, Mirror, Name, SwapWith, as_text, read_codes, some_rows
from tamesu.symmetry import TILT_RAD, Symmetry
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.maps import Maps


class LabelField(FieldBase):
    """One class out of several: as a target softmax, as an input an embedding."""

    kind: Literal["label"] = "label"
    is_input: ClassVar[bool] = True
    can_be_target: ClassVar[bool] = True
    missing_values: tuple[Name, ...] = ()  # texts that mean "missing" beside the empty cell
    merge: dict[Name, Name] = Setting(default_factory=dict)  # {a: b}: a is trained as one with b; predictions keep both
    order: tuple[Name, ...] = ()  # as a target: all classes from the lowest to the highest; probabilities follow it
    rare: PositiveInt = 1  # as an input: classes seen fewer times than this in the training rows are joined as "other"
    mirror: Mirror = None  # what a mirrored picture does to the class: {a: b} both ways; {swap_with: other_field}
    turn: Mirror = None  # what a quarter turn anticlockwise does to it: {up: left, left: down, …}
    pasted: Literal["same"] | None = None  # what an object pasted into the picture (augment.paste) does to it

    def read(self, column: pd.Series, ids: NDArray[Any], where: str) -> NDArray[np.object_]:
        """Class names as text, None where missing.  (n,) object."""
        names, codes = self.read_codes(column)
        return names[codes]

    def read_codes(self, column: pd.Series) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
        """The different class names, None where missing, and which of them each row has.  (m,) object, (n,)"""
        return read_codes(column, frozenset({text.strip() for text in self.missing_values} | {""}))

    def merged(self, values: NDArray[np.object_]) -> NDArray[np.object_]:
        """Class names as `merge` has them read as an input.  (n,) object"""
        if not self.merge:
            return values
        out = np.empty(len(values), dtype=object)
        out[:] = [self.merge.get(one, one) for one in values]
        return out

    @property
    def symmetry(self) -> Symmetry:
        """What mirrors and turns do to the classes."""
        return Symmetry(self.mirror, self.turn)

    def act(self, values: NDArray[np.object_], maps: Maps) -> NDArray[np.object_]:  # noqa: D102
        out = np.array(values, dtype=object)
        symmetry = self.symmetry
        for i in np.flatnonzero(maps.elements):
            if values[i] is not None:
                out[i] = symmetry.image(values[i], int(maps.elements[i]))
        return out

    def allows(self, values: NDArray[np.object_], maps: Maps) -> NDArray[np.bool_]:  # noqa: D102
        symmetry = self.symmetry
        seen = [one is None or symmetry.image(one, int(e)) is not None for one, e in zip(values, maps.elements, strict=True)]
        return np.array(seen, dtype=bool) & bears(symmetry, maps)


class LabelsField(FieldBase):
    """Any number of classes at once, in one cell: `cat dog`; an empty cell is none of them."""

    kind: Literal["labels"] = "labels"
    can_be_target: ClassVar[bool] = True
    separator: str = " "
    mirror: Mirror = None
    turn: Mirror = None

    def read(self, column: pd.Series, ids: NDArray[Any], where: str) -> NDArray[np.object_]:
        """A tuple of class names a row.  (n,) object."""
        out = np.empty(len(column), dtype=object)
        for i, value in enumerate(column.astype(object).to_numpy()):
            if isinstance(value, (list, tuple, set, frozenset, np.ndarray)):
                out[i] = tuple(sorted({as_text(one) for one in value}))
            elif value is None or value is pd.NA or value != value:
                out[i] = ()
            else:
                parts = (part.strip() for part in as_text(value).split(self.separator))
                out[i] = tuple(sorted({part for part in parts if part}))
        return out

    @property
    def symmetry(self) -> Symmetry:
        """What mirrors and turns do to the classes."""
        return Symmetry(self.mirror, self.turn)

    def act(self, values: NDArray[np.object_], maps: Maps) -> NDArray[np.object_]:  # noqa: D102
        out = np.empty(len(values), dtype=object)
        symmetry = self.symmetry
        for i, (names, element) in enumerate(zip(values, maps.elements, strict=True)):
            images = [symmetry.image(name, int(element)) for name in names]
            out[i] = tuple(sorted(image for image in images if image is not None))
        return out

    def allows(self, values: NDArray[np.object_], maps: Maps) -> NDArray[np.bool_]:  # noqa: D102
        symmetry = self.symmetry
        seen = [
            all(symmetry.image(name, int(e)) is not None for name in names)
            for names, e in zip(values, maps.elements, strict=True)
        ]
        return np.array(seen, dtype=bool) & bears(symmetry, maps)


class NumberField(FieldBase):
    """A quantity."""

    kind: Literal["number"] = "number"
    is_input: ClassVar[bool] = True
    can_be_target: ClassVar[bool] = True
    missing: Literal["median", "mean", "nearest", "iterative"] | float = "median"  # a number: that constant
    missing_values: tuple[str | float, ...] = ()  # cells that mean "missing" beside empty, NA, NaN, null, None and ?
    zero_is_missing: bool = False
    indicator: bool = False  # one more input that is 1 where the value was missing
    clip: tuple[float | None, float | None] | None = None  # as an input: what lies beyond is brought to these ends
    skew: Literal["none", "log1p", "yeo_johnson", "quantile"] = "none"  # as an input: made less skew, before it is scaled
    range: tuple[float | None, float | None] | None = None  # as a target: it lies there, and so do predictions
    cycle: PositiveFloat | None = None  # as an input: it comes around after so much, like the hour after 24
    scale: Literal["standard", "minmax", "none"] = "standard"
    mirror: Literal["same", "negate", "never"] | SwapWith | None = None  # what a mirrored picture does to the number
    turn: Literal["same", "never"] | None = None  # what a rotated one does
    pasted: Literal["same"] | None = None  # what an object pasted into the picture (augment.paste) does to it

    def read(self, column: pd.Series, ids: NDArray[Any], where: str) -> NDArray[np.float64]:
        """Values, NaN where missing.  (n,) float64."""
        if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_numeric_dtype(column.dtype):
            values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            text = column.astype(object).map(lambda v: None if v is None or v is pd.NA or v != v else as_text(v))
            blank = text.map(lambda v: v is None or v.lower() in MISSING_TEXT or v in {as_text(m) for m in self.missing_values})
            values = pd.to_numeric(text.mask(blank.astype(bool)), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
            wrong = np.isnan(values) & ~blank.to_numpy(dtype=bool)
            if wrong.any():
                raise DataError(
                    say(
                        "{where}: {rows} must be numbers; got {value!r}. "
                        "List what means missing in `missing_values`, or declare `kind: label`.",
                        where=where,
                        rows=some_rows(ids, wrong),
                        value=text[wrong].iloc[0],
                    )
                )
        for sentinel in self.missing_values:
            try:
                values = np.where(values == float(sentinel), np.nan, values)
            except ValueError:  # a text sentinel: handled above
                continue
        if self.zero_is_missing:
            values = np.where(values == 0, np.nan, values)
        if np.isinf(values).any():
            endless = some_rows(ids, np.isinf(values))
            raise DataError(say("{where}: {rows} must be finite; got an infinite number.", where=where, rows=endless))
        self._check_range(values, ids, where)
        return values

    def _check_range(self, values: NDArray[np.float64], ids: NDArray[Any], where: str) -> None:
        low, high = self.range or (None, None)
        outside = np.zeros(len(values), dtype=bool) if low is None else values < low
        outside |= False if high is None else values > high
        if self.is_predicted and outside.any():
            raise DataError(
                say(
                    "{where}: {rows} must lie in the declared range {range}; got {value}.",
                    where=where,
                    rows=some_rows(ids, outside),
                    range=[low, high],
                    value=float(values[outside][0]),
                )
            )

    def act(self, values: NDArray[np.float64], maps: Maps) -> NDArray[np.float64]:  # noqa: D102
        return np.where(maps.mirrored, -values, values) if self.mirror == "negate" else values

    def allows(self, values: NDArray[np.float64], maps: Maps) -> NDArray[np.bool_]:  # noqa: D102
        allowed = np.ones(len(maps), dtype=bool)
        if self.mirror in ("never", None):
            allowed &= ~maps.mirrored
        return allowed if self.turn == "same" else allowed & (np.abs(maps.angle_rad) <= TILT_RAD)


class GroupField(FieldBase):
    """What belongs together (a person, a track, a day): never split between training and scored rows."""

    kind: Literal["group"] = "group"

    def read(self, column: pd.Series, ids: NDArray[Any], where: str) -> NDArray[np.object_]:
        """Group names as text.  (n,) object."""
        missing = column.isna().to_numpy()
        if missing.any():
            raise DataError(
                say("{where}: {rows} must name a group; got an empty cell.", where=where, rows=some_rows(ids, missing))
            )
        return np.array([as_text(value) for value in column.astype(object)], dtype=object)


class IdField(FieldBase):
    """What names a row."""

    kind: Literal["id"] = "id"


class IgnoreField(FieldBase):
    """A column that is known and left out."""

    kind: Literal["ignore"] = "ignore"


def bears(symmetry: Symmetry, maps: Maps) -> NDArray[np.bool_]:
    """The rows that are not turned to between two quarter turns, or to which that does nothing.  (b,)"""
    return np.full(len(maps), symmetry.bears_any_tilt) | (np.abs(maps.tilt_rad) <= TILT_RAD)
