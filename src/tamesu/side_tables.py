"""A second table with any number of rows a sample, such as its boxes or its times: read once, handed out by key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tamesu.errors import DataError, suggest
from tamesu.fields import MISSING_TEXT, SideTable, as_text, some_rows
from tamesu.fields.cells import Rows
from tamesu.sources import read_source
from tamesu.texts import say


@dataclass(frozen=True, eq=False)
class SideRows:
    """A side table in memory, its rows sorted by key and, within a key, as the study orders them.

    Attributes:
        keys: In the order of `starts`.  (k,) object of str
        starts: Where each key's rows start; one more for the end.  (k + 1,)
        numbers: NaN where a cell is empty.  (m, c)
        names: What each row is called; () without a name column.  m
        times: By which the rows are ordered, where those are numbers or dates (then in seconds); None without.  (m,)
    """

    keys: NDArray[np.object_]
    starts: NDArray[np.int64]
    numbers: NDArray[np.float64]
    names: tuple[str, ...]
    times: NDArray[np.float64] | None = None

    def cells(self, keys: Iterable[str], timed: bool = False) -> tuple[pd.Series, NDArray[np.bool_]]:
        """The rows of each key as one cell, none where there are none; and which of the table's keys were asked for.  (k,)

        Args:
            timed: With the times of the rows, where there are any.
        """
        place = {key: i for i, key in enumerate(self.keys)}
        n_columns = self.numbers.shape[1]
        none = Rows(np.empty((0, n_columns)), ())
        found = [place.get(key, -1) for key in keys]
        out = np.empty(len(found), dtype=object)
        asked = np.zeros(len(self.keys), dtype=bool)
        for i, at in enumerate(found):
            if at < 0:
                out[i] = none
                continue
            start, end = self.starts[at], self.starts[at + 1]
            times = self.times[start:end] if timed and self.times is not None else None
            out[i] = Rows(self.numbers[start:end], self.names[start:end], times)
            asked[at] = True
        return pd.Series(out), asked


def read_side_table(table: SideTable, *, key: str, base: Path, names_may_miss: bool = False) -> SideRows:
    """The whole table.

    Args:
        table: Which file, and what its columns mean.
        key: What the study calls it, such as "fields.cells.table.file".
        base: The study's folder.
        names_may_miss: A row without a name has the empty one.

    Raises:
        DataError: Everything that is wrong with it: no such file or column, cells that are no numbers, rows without a key.
    """
    wanted = [table.key, *table.columns, *(one for one in (table.name, table.order) if one is not None)]
    numbers = {*table.columns, *([table.order] if table.order else [])} - {table.key, table.name}
    raw = read_source(table.file, key=key, base=base, root=base, numbers=numbers, used=set(wanted))
    absent = [name for name in dict.fromkeys(wanted) if name not in raw.frame]
    if absent:
        raise DataError(
            [
                say(
                    "{where}: must have the column {column!r}; it is not there.{near}",
                    where=table.file,
                    column=name,
                    near=suggest(name, raw.columns),
                )
                for name in absent
            ]
        )
    texts = text_column(raw.frame[table.key])
    lines = np.arange(len(texts)) + 2  # as an editor counts them, below the header
    mistakes = _empty(f"{table.file} {table.key}", texts, lines.astype(object))
    numbers_of = np.empty((len(texts), len(table.columns)))
    for i, name in enumerate(table.columns):
        numbers_of[:, i], more = number_column(raw.frame[name], f"{table.file} {name}", texts)
        mistakes += more
    names = () if table.name is None else text_column(raw.frame[table.name])
    if table.name is not None and not names_may_miss:
        mistakes += _empty(f"{table.file} {table.name}", names, texts)
    place = np.zeros(len(texts), dtype=np.int64)
    if table.order is not None:
        place, more = ranks(raw.frame[table.order], f"{table.file} {table.order}", texts)
        mistakes += more
    if mistakes:
        raise DataError(mistakes)
    codes, keys = pd.factorize(texts)
    order = np.lexsort((place, codes))  # stable: rows of one place stay as they are written
    starts = np.searchsorted(codes[order], np.arange(len(keys) + 1))
    named = tuple(np.asarray(names, dtype=object)[order]) if len(names) else ()
    times = None if table.order is None else time_column(raw.frame[table.order])
    return SideRows(np.asarray(keys, dtype=object), starts, numbers_of[order], named, None if times is None else times[order])


def time_column(column: pd.Series) -> NDArray[np.float64] | None:
    """Numbers as they are, dates in seconds; None where the cells are neither.  (m,)"""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        dates = column
    else:
        numbers = pd.to_numeric(column, errors="coerce")
        if numbers.notna().all():
            return numbers.to_numpy(dtype=np.float64)
        if pd.api.types.is_numeric_dtype(column.dtype):
            return None
        dates = pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601")
    if dates.isna().any():
        return None
    nanoseconds: NDArray[np.int64] = pd.DatetimeIndex(dates).as_unit("ns").asi8
    return nanoseconds / 1e9


def text_column(column: pd.Series) -> NDArray[np.object_]:
    """Cells as a person would write them; the empty text where there is none.  (m,)"""
    codes, found = pd.factorize(column)
    return np.array([*(as_text(one) for one in found), ""], dtype=object)[codes]


def _empty(where: str, texts: Any, ids: NDArray[Any]) -> list[str]:
    """Cells that must say something and do not."""
    blank = np.asarray(texts, dtype=object) == ""
    return [say("{where}: {rows} must not be empty.", where=where, rows=_samples(ids, blank))] if blank.any() else []


def ranks(column: pd.Series, where: str, keys: NDArray[np.object_]) -> tuple[NDArray[np.int64], list[str]]:
    """Where each row stands: by number or date if the cells are such, else as texts are sorted.  (m,)"""
    mistakes = []
    if not pd.api.types.is_numeric_dtype(column.dtype):
        wrong = pd.to_numeric(column, errors="coerce").isna().to_numpy() & column.notna().to_numpy()
        if wrong.any() and not wrong[column.notna()].all():
            value = column[wrong].iloc[0]
            rows = _samples(keys, wrong)
            mistakes.append(say("{where}: {rows} must be numbers; got {value!r}.", where=where, rows=rows, value=value))
    times = time_column(column)  # dates of different zones are sorted by when they are
    place, _ = pd.factorize(column if times is None else times, sort=True)
    return place, mistakes + _empty(where, np.where(place < 0, "", "x"), keys)


def number_column(column: pd.Series, where: str, keys: NDArray[np.object_]) -> tuple[NDArray[np.float64], list[str]]:
    """The cells as numbers, NaN for an empty one, and what is wrong with them.  (m,)"""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan), []
    texts = text_column(column)
    blank = np.array([text.lower() in MISSING_TEXT for text in texts], dtype=bool)
    values = pd.to_numeric(pd.Series(texts).mask(blank), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = np.isnan(values) & ~blank
    if not wrong.any():
        return values, []
    return values, [
        say("{where}: {rows} must be numbers; got {value!r}.", where=where, rows=_samples(keys, wrong), value=texts[wrong][0])
    ]


def _samples(ids: NDArray[Any], mask: NDArray[np.bool_]) -> str:
    """Each sample once, however many of its rows are meant."""
    unique = pd.unique(ids[mask])
    return some_rows(np.asarray(unique, dtype=object), np.ones(len(unique), dtype=bool))
