"""One file a row: the readings of a series, or the classes along it, from the csv, parquet or npy file that a cell names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tamesu.errors import DataError, suggest
from tamesu.fields import MISSING_TEXT, as_text
from tamesu.fields.cells import Rows
from tamesu.fields.series import FileColumns
from tamesu.side_tables import number_column, ranks, text_column, time_column
from tamesu.sources import read_source
from tamesu.texts import say

MAX_TOLD = 5  # files whose mistakes are told


def read_series_files(cells: pd.Series, ids: NDArray[Any], wanted: FileColumns, *, where: str, root: Path) -> pd.Series:
    """What the files of a column hold, as one `Rows` a cell; an empty cell has none.

    Args:
        cells: Names of files below `root`.
        ids: Of the rows.
        wanted: Columns of each file; of an npy file, (t, c), the names of all its columns in order.
        where: What messages call the column.
        root: Folder the names start from.

    Raises:
        DataError: Files that are not there, or hold something else; of the first few that do.
    """
    out = np.empty(len(cells), dtype=object)
    wrong: list[DataError] = []
    for i, cell in enumerate(cells.astype(object)):
        name = "" if cell is None or cell is pd.NA or cell != cell else as_text(cell)
        try:
            out[i] = _empty(wanted) if name.lower() in MISSING_TEXT else _read(root, name, wanted, as_text(ids[i]), where)
        except DataError as error:
            wrong.append(error)
    if wrong:
        told = [text for error in wrong[:MAX_TOLD] for text in error.mistakes]
        if len(wrong) > MAX_TOLD:
            told.append(say("{where}: {n} more files cannot be read.", where=where, n=len(wrong) - MAX_TOLD))
        raise DataError(told)
    return pd.Series(out)


def _empty(wanted: FileColumns) -> Rows:
    return Rows(np.empty((0, len(wanted.columns))), ())


def _read(root: Path, name: str, wanted: FileColumns, row: str, where: str) -> Rows:
    if not (root / name).is_file():
        path = root / name
        raise DataError(say("{where}: row {row!r} must name a file; {path} is not there.", where=where, row=row, path=path))
    if name.lower().endswith(".npy"):
        return _of_array(root / name, wanted, row, where)
    columns = [*wanted.columns, *(one for one in (wanted.time, wanted.name) if one is not None)]
    numbers = set(columns) - {wanted.name}
    raw = read_source(name, key=where, base=root, root=root, numbers=numbers, used=set(columns))
    absent = [one for one in columns if one not in raw.frame]
    if absent:
        near = suggest(absent[0], raw.columns)
        raise DataError(
            say("{where}: must have the column {column!r}; it is not there.{near}", where=name, column=absent[0], near=near)
        )
    return _of_frame(raw.frame, name, wanted)


def _of_frame(frame: pd.DataFrame, name: str, wanted: FileColumns) -> Rows:
    lines = (np.arange(len(frame)) + 2).astype(object)  # as an editor counts them, below the header
    mistakes: list[str] = []
    numbers = np.empty((len(frame), len(wanted.columns)))
    for i, column in enumerate(wanted.columns):
        numbers[:, i], more = number_column(frame[column], f"{name} {column}", lines)
        mistakes += more
    names = () if wanted.name is None else tuple(text_column(frame[wanted.name]))
    times = None
    order = np.arange(len(frame))
    if wanted.time is not None:
        place, more = ranks(frame[wanted.time], f"{name} {wanted.time}", lines)
        mistakes += more
        order = np.argsort(place, kind="stable")
        times = time_column(frame[wanted.time])
    if mistakes:
        raise DataError(mistakes)
    return Rows(numbers[order], tuple(names[i] for i in order) if names else (), None if times is None else times[order])


def _of_array(path: Path, wanted: FileColumns, row: str, where: str) -> Rows:
    """(t, c), or (t,) of one channel; the time is one of its columns where the field names one."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(say("{where}: must be an npy file of numbers; got {error}.", where=path.name, error=error)) from error
    names = list(wanted.columns)
    table = array[:, None] if array.ndim == 1 else array
    n_columns = len(names) + (wanted.time is not None)
    if wanted.name is not None or table.ndim != 2 or table.dtype.kind not in "fiub" or table.shape[1] != n_columns:
        rule = say("numbers of shape (t, {n})", n=n_columns)
        got = say("{shape} of {dtype}", shape=array.shape, dtype=str(array.dtype))
        raise DataError(say("{where}: row {row!r} must hold {rule}; got {got}.", where=where, row=row, rule=rule, got=got))
    numbers = table.astype(np.float64)
    if wanted.time is None:
        return Rows(numbers, ())
    times = numbers[:, wanted.time_at]
    if not np.isfinite(times).all():
        raise DataError(say("{where}: row {row!r} must have a time at every step; got an empty one.", where=where, row=row))
    order = np.argsort(times, kind="stable")
    return Rows(np.delete(numbers, wanted.time_at, axis=1)[order], (), times[order])
