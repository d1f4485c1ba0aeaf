"""Cells that hold several numbers: columns side by side, texts of numbers, arrays, rows of a second table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tamesu.errors import DataError
from tamesu.fields.base import MISSING_TEXT, as_text, some_rows
from tamesu.texts import say

NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
BETWEEN = re.compile(r"[\s,;:()\[\]{}]*")


class Rows(NamedTuple):
    """The rows of a side table, or of one cell, that belong to one sample."""

    numbers: NDArray[np.float64]  # (m, n_each)
    names: tuple[str, ...]  # () or m
    places: NDArray[np.float64] | None = None  # times, where the kind asks for them  (m,)

    @property
    def times(self) -> NDArray[np.float64]:
        """Times, or 0, 1, 2 … without.  (m,)"""
        return np.arange(len(self.numbers), dtype=np.float64) if self.places is None else self.places


def read_numbers(column: pd.Series, ids: NDArray[Any], where: str, *, n_each: int, may_miss: bool) -> NDArray[np.float64]:
    """The numbers of each cell, NaN where there are none.  (n, n_each)

    Raises:
        DataError: Cells with another count, with something else than numbers, infinite, or (unless `may_miss`) empty.
    """
    if n_each == 1 and pd.api.types.is_numeric_dtype(column.dtype):
        out = column.to_numpy(dtype=np.float64, na_value=np.nan)[:, None].copy()
    else:
        at_once = _all_numbers(column, n_each)
        out = np.full((len(column), n_each), np.nan) if at_once is None else at_once
        wrong: dict[int, Any] = {}
        for i, cell in enumerate(column.astype(object)) if at_once is None else ():
            numbers = _numbers(cell)
            if numbers is None or len(numbers) not in (0, n_each):
                wrong[i] = cell
            elif len(numbers):
                out[i] = numbers
        if wrong:
            mask = np.isin(np.arange(len(column)), list(wrong))
            raise DataError(
                say(
                    "{where}: {rows} must hold {n} numbers; got {value!r}.",
                    where=where,
                    rows=some_rows(ids, mask),
                    n=n_each,
                    value=next(iter(wrong.values())),
                )
            )
    if np.isinf(out).any():
        endless = some_rows(ids, np.isinf(out).any(axis=1))
        raise DataError(say("{where}: {rows} must be finite; got an infinite number.", where=where, rows=endless))
    missing = np.isnan(out).any(axis=1)
    if not may_miss and missing.any():
        raise DataError(say("{where}: {rows} must hold numbers; got an empty cell.", where=where, rows=some_rows(ids, missing)))
    return out


def as_rows(cell: Any, *, n_each: int, row: str, where: str) -> Rows:
    """A cell as any number of rows of `n_each` numbers; an empty one has none.

    Raises:
        DataError: The numbers do not make whole rows.
    """
    if isinstance(cell, Rows):
        return cell
    numbers = _numbers(cell)
    shape = np.shape(cell) if isinstance(cell, np.ndarray) else ()
    if numbers is None or len(numbers) % n_each or (len(shape) == 2 and shape[1] != n_each and len(numbers)):
        raise DataError(
            say(
                "{where}: row {row!r} must hold rows of {n} numbers; got {value!r}.", where=where, row=row, n=n_each, value=cell
            )
        )
    return Rows(np.array(numbers, dtype=np.float64).reshape(-1, n_each), ())


def as_channels(cell: Any, row: str, where: str) -> NDArray[np.float64]:
    """The cells of several columns, each with all numbers of one channel, side by side.  (m, c)

    Raises:
        DataError: One holds something else than numbers, or more than another.
    """
    channels = [_numbers(one) for one in cell]
    lengths = [-1 if one is None else len(one) for one in channels]
    if min(lengths) < 0 or len(set(lengths)) > 1:
        text = say(
            "{where}: row {row!r} must hold as many numbers in each of its columns; got {n}.", where=where, row=row, n=lengths
        )
        raise DataError(text)
    return np.array(channels, dtype=np.float64).reshape(len(channels), -1).T


def _all_numbers(column: pd.Series, n_each: int) -> NDArray[np.float64] | None:
    """The numbers where every cell holds as many and nothing else, as of columns side by side; None: look at each."""
    if len(column) == 0 or not isinstance(column.iloc[0], (tuple, list, np.ndarray)):
        return None
    try:
        numbers = np.array(column.tolist())
    except ValueError:  # cells of different lengths
        return None
    is_whole = numbers.dtype.kind in "fiu" and numbers.size == len(column) * n_each
    return numbers.reshape(len(column), n_each).astype(np.float64) if is_whole else None


def _numbers(cell: Any) -> Sequence[float] | None:
    """The numbers of a cell, NaN for an empty part; [] for an empty cell; None where it holds something else."""
    if cell is None or cell is pd.NA or (isinstance(cell, float) and np.isnan(cell)):
        return []
    if isinstance(cell, (bool, int, float, np.number)):
        return [float(cell)]
    if isinstance(cell, np.ndarray) and cell.dtype.kind in "fiu":
        return cell.astype(np.float64).ravel()  # type: ignore[return-value]
    if isinstance(cell, (list, tuple, np.ndarray)):
        parts = [_numbers(one) for one in cell]
        if any(part is None for part in parts):
            return None
        return [number for part in parts if part is not None for number in (part if len(part) else [np.nan])]
    text = as_text(cell)
    if text.lower() in MISSING_TEXT:
        return []
    return None if BETWEEN.sub("", NUMBER.sub(" ", text)) else [float(one) for one in NUMBER.findall(text)]
