"""Kinds that are several numbers of a row which belong together: shares of a whole, and numbers under laws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field as Setting
from pydantic import PositiveFloat

from tamesu.errors import DataError
from tamesu.fields.base import FieldBase, some_rows
from tamesu.fields.cells import read_numbers
from tamesu.fields.table import NumberField
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.maps import Maps

SUM_TOLERANCE = 1e-3  # of the whole


class SeveralField(FieldBase):
    """Several columns of numbers that are predicted together."""

    can_be_target: ClassVar[bool] = True
    columns: tuple[str, ...] = Setting(min_length=2)
    mirror: Literal["same", "never"] | None = None  # what a mirrored picture does to them
    turn: Literal["same", "never"] | None = None  # what a rotated one does
    pasted: Literal["same"] | None = None

    @property
    def n_numbers(self) -> int:
        """Columns."""
        return len(self.columns)

    @property
    def cell_columns(self) -> tuple[str, ...]:  # noqa: D102
        return self.columns

    def read(self, column: pd.Series, ids: NDArray[Any], where: str) -> NDArray[np.float64]:
        """NaN where a cell is empty.  (n, k)"""
        return read_numbers(column, ids, where, n_each=len(self.columns), may_miss=True)

    def allows(self, values: Any, maps: Maps) -> NDArray[np.bool_]:  # noqa: D102
        return NumberField(mirror=self.mirror, turn=self.turn).allows(np.zeros(len(maps)), maps)


class SharesField(SeveralField):
    """Parts of a whole: none is negative, and they sum to `total`. So do predictions, whatever the network says."""

    kind: Literal["shares"] = "shares"
    total: PositiveFloat = 1.0

    def read(self, column: pd.Series, ids: NDArray[Any], where: str) -> NDArray[np.float64]:
        """NaN where a cell is empty.  (n, k)

        Raises:
            DataError: Shares below 0, or that do not sum to the total within a thousandth of it.
        """
        values = super().read(column, ids, where)
        known = np.asarray(~np.isnan(values).any(axis=1))
        wrong = np.asarray(known & (values < 0).any(axis=1))
        if wrong.any():
            rows, found = some_rows(ids, wrong), values[wrong][0].tolist()
            raise DataError(
                say("{where}: {rows} must hold shares of 0 or more; got {value}.", where=where, rows=rows, value=found)
            )
        wrong = np.asarray(known & (np.abs(values.sum(axis=1) - self.total) > SUM_TOLERANCE * self.total))
        if wrong.any():
            raise DataError(
                say(
                    "{where}: {rows} must hold shares that sum to {total}; got a sum of {value}. "
                    "Write total: <their sum>, or kind: numbers.",
                    where=where,
                    rows=some_rows(ids, wrong),
                    total=f"{self.total:g}",
                    value=f"{values[wrong][0].sum():.6g}",
                )
            )
        return values


class NumbersField(SeveralField):
    """Several numbers that depend on each other.

    `learn` names what the network predicts in their place, as sums of the columns; `rising` says that each column is at least
    the one before; `laws` are linear laws over the columns and over number inputs.
    """

    kind: Literal["numbers"] = "numbers"
    learn: tuple[str, ...] = ()  # "x + y", "x - y"
    rising: bool = False
    laws: tuple[dict[str, Any], ...] = ()  # see tamesu.linear.read_law
    units: dict[str, str] = Setting(default_factory=dict)  # of columns, and of inputs that laws name

    def read(self, column: pd.Series, ids: NDArray[Any], where: str) -> NDArray[np.float64]:
        """NaN where a cell is empty.  (n, k)

        Raises:
            DataError: Columns that fall, where they are declared to rise.
        """
        values = super().read(column, ids, where)
        wrong = np.asarray((np.diff(values, axis=1) < 0).any(axis=1))
        if self.rising and self.is_predicted and wrong.any():
            raise DataError(
                say(
                    "{where}: {rows} must hold numbers that rise from column to column; got {value}.",
                    where=where,
                    rows=some_rows(ids, wrong),
                    value=values[wrong][0].tolist(),
                )
            )
        return values
