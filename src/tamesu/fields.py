"""The kinds of field: what a column means, and how its cells are read.

A kind is one frozen model. `read` turns the raw column into one typed array, or raises `DataError` naming the rows.
Kinds that are still to come (mask, depth, points, boxes, direction, series …) are further classes in this file and
one more name in `Field`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, PositiveInt
from pydantic import Field as Setting

from tamesu.errors import DataError
from tamesu.texts import say

# A class name in the settings: a bare 6 or true in YAML is that text.
Name = Annotated[str, BeforeValidator(lambda value: as_text(value) if isinstance(value, (bool, int, float)) else value)]
MISSING_TEXT = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})


class FieldBase(BaseModel):
    """What every kind of field has."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    is_input: ClassVar[bool] = False
    can_be_target: ClassVar[bool] = False

    kind: str
    column: str | None = None  # the table's column, where it is not named like the field
    target: bool = False

    def read(self, column: pd.Series, ids: NDArray[Any], where: str) -> Any:
        """The raw column as one typed array, rows in the table's order.

        Raises:
            DataError: Cells that this kind cannot be; names up to five row ids.
        """
        raise TypeError(f"fields of kind {self.kind!r} hold no values a learner reads")


class ImageField(FieldBase):
    """A picture: a file name relative to `data.root`, or an array (h, w) or (h, w, c) from Python."""

    kind: Literal["image"] = "image"
    is_input: ClassVar[bool] = True
    channels: Literal["auto", "gray", "rgb", "rgba"] = "auto"


class LabelField(FieldBase):
    """One class out of several: as a target softmax, as an input an embedding."""

    kind: Literal["label"] = "label"
    is_input: ClassVar[bool] = True
    can_be_target: ClassVar[bool] = True
    missing_values: tuple[Name, ...] = ()  # texts that mean "missing" beside the empty cell
    rare: PositiveInt = 1  # as an input: classes seen fewer times than this in the training rows are joined as "other"
    mirror: Literal["same", "never"] | dict[Name, Name] | None = None  # what a mirrored picture does to the class

    def read(self, column: pd.Series, ids: NDArray[Any], where: str) -> NDArray[np.object_]:
        """Class names as text, None where missing.  (n,) object."""
        missing = {text.strip() for text in self.missing_values} | {""}
        values = column.astype(object).to_numpy()
        out = np.empty(len(values), dtype=object)
        for i, value in enumerate(values):
            text = None if value is None or value is pd.NA or value != value else as_text(value)
            out[i] = None if text is None or text in missing else text
        return out


class LabelsField(FieldBase):
    """Any number of classes at once, in one cell: `cat dog`; an empty cell is none of them."""

    kind: Literal["labels"] = "labels"
    can_be_target: ClassVar[bool] = True
    separator: str = " "
    mirror: Literal["same", "never"] | dict[Name, Name] | None = None

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


class NumberField(FieldBase):
    """A quantity."""

    kind: Literal["number"] = "number"
    is_input: ClassVar[bool] = True
    can_be_target: ClassVar[bool] = True
    missing: Literal["median", "mean", "nearest", "iterative"] | float = "median"  # a number: that constant
    missing_values: tuple[str | float, ...] = ()  # cells that mean "missing" beside empty, NA, NaN, null, None and ?
    zero_is_missing: bool = False
    indicator: bool = False  # one more input that is 1 where the value was missing
    scale: Literal["standard", "minmax", "none"] = "standard"
    mirror: Literal["same", "negate", "never"] | None = None  # what a mirrored picture does to the number

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
        return values


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


Field = Annotated[
    ImageField | LabelField | LabelsField | NumberField | GroupField | IdField | IgnoreField,
    Setting(discriminator="kind"),
]
KINDS: tuple[str, ...] = ("image", "label", "labels", "number", "group", "id", "ignore")


def as_text(value: object) -> str:
    """A cell as the text a person would write: 3.0 read from a float column is '3', blanks around are dropped."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def some_rows(ids: NDArray[Any], mask: NDArray[np.bool_], at_most: int = 5) -> str:
    """`rows 'a', 'b' (and 7 more)`: which rows a message is about."""
    hit = ", ".join(repr(str(one)) for one in ids[mask][:at_most])
    n = int(mask.sum())
    if n == 1:
        return say("row {ids}", ids=hit)
    return say("rows {ids}", ids=hit) if n <= at_most else say("rows {ids} (and {n} more)", ids=hit, n=n - at_most)
