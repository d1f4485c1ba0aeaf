"""Whether the rows of a series can be what the study says, and whether the classes along it stand at its steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tamesu.errors import DataError
from tamesu.fields import EventsField, Field, SeriesField, StepsField, some_rows
from tamesu.fields.cells import Rows
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.findings import Findings

MAX_STEPS = 1_000_000  # of a row, on its grid: beyond, `step` is in another unit than the times


def check_series(found: Findings, where: str, field: SeriesField, values: Any, cells: pd.Series, ids: NDArray[Any]) -> None:
    """Rows that are empty, endless, full of holes or too long.

    Args:
        values: As the field reads them.
        cells: What they were read from.
    """
    endless = np.array([np.isinf(one).any() for one in values], dtype=bool)
    if endless.any():
        text = say("{where}: {rows} must be finite; got an infinite number.", where=where, rows=some_rows(ids, endless))
        found.mistakes.append(text)
    lengths = np.array([len(one) for one in values], dtype=np.int64)
    blank = lengths == 0
    if (blank.all() and len(blank)) or (blank.any() and field.is_given and not field.may_miss):
        text = say(
            "{where}: the series of {rows} must have steps; got none. Leave such rows out, or write `may_miss: true`.",
            where=where,
            rows=some_rows(ids, blank),
        )
        found.mistakes.append(text)
    elif blank.any():
        found.warnings.append(say("{where}: the series of {rows} is empty.", where=where, rows=some_rows(ids, blank)))
    if (lengths == 1).any():
        rows = some_rows(ids, lengths == 1)
        found.warnings.append(say("{where}: the series of {rows} has one step; its derivatives are 0.", where=where, rows=rows))
    gaps = np.array([np.isnan(one).any() for one in values], dtype=bool)
    if gaps.any():
        found.warnings.append(say("{where}: the series of {rows} has gaps.", where=where, rows=some_rows(ids, gaps)))
    _check_grid(found, where, field, cells, ids)


def _check_grid(found: Findings, where: str, field: SeriesField, cells: pd.Series, ids: NDArray[Any]) -> None:
    """Times that are none, and steps that would be far too many."""
    if field.step is None and field.gap is None:
        return
    untimed = np.array([isinstance(one, Rows) and len(one.numbers) > 0 and one.places is None for one in cells], dtype=bool)
    if untimed.any():
        text = say(
            "{where}: {rows} must have numbers or dates as times, since `step` or `gap` counts in them; got other texts.",
            where=where,
            rows=some_rows(ids, untimed),
        )
        found.mistakes.append(text)
        return
    counts = np.array([field.grid.count(one) for one in field.places(cells, ids, where)], dtype=np.int64)
    if (counts > MAX_STEPS).any():
        text = say(
            "{where}: {rows} would have {n} steps of {step:g}: is `step` in the unit of the times?",
            where=where,
            rows=some_rows(ids, counts > MAX_STEPS),
            n=int(counts.max()),
            step=field.step,
        )
        found.mistakes.append(text)


def check_events(
    found: Findings, where: str, field: EventsField, values: Any, dataset: Dataset, fields: Mapping[str, list[Field]]
) -> None:
    """Events must happen while their series is read."""
    places = _places(field.of, dataset, fields)
    if places is None:
        return
    ends = np.array([(one[0], one[-1]) if len(one) else (np.nan, np.nan) for one in places], dtype=np.float64).reshape(-1, 2)
    flat = values.reshape(len(values), -1)
    outside = ((flat < ends[:, :1]) | (flat > ends[:, 1:])).any(axis=1)
    if outside.any():
        i = int(outside.argmax())
        off = flat[i][(flat[i] < ends[i, 0]) | (flat[i] > ends[i, 1])][0]
        text = say(
            "{where}: the events of {rows} must lie within the times of {of!r}; got {value:g} outside {low:g} to {high:g}.",
            where=where,
            rows=some_rows(dataset.ids, outside),
            of=field.of,
            value=off,
            low=ends[i, 0],
            high=ends[i, 1],
        )
        found.mistakes.append(text)


def check_steps(
    found: Findings, where: str, field: StepsField, values: Any, dataset: Dataset, fields: Mapping[str, list[Field]]
) -> None:
    """Classes must stand at the very steps of the series, as many and at the same times; rows without any are passed over."""
    places = _places(field.of, dataset, fields)
    if places is None:
        return
    n_own, n_series = (np.array([len(one) for one in each], dtype=np.int64) for each in (values, places))
    differs = (n_own != n_series) & (n_own > 0)
    if differs.any():
        i = int(differs.argmax())
        text = say(
            "{where}: {rows} must have a class at every step of {of!r}; got {n} where it has {n_of} steps. "
            "Write an empty cell where the class is not known.",
            where=where,
            rows=some_rows(dataset.ids, differs),
            of=field.of,
            n=int(n_own[i]),
            n_of=int(n_series[i]),
        )
        found.mistakes.append(text)
        return
    series = _series(field.of, fields)
    resampled = series is not None and (series.step is not None or series.fit == "stretch")
    pairs = zip(values, places, n_own, strict=True)
    apart = np.array([resampled and n > 0 and not np.array_equal(one.places, at) for one, at, n in pairs], dtype=bool)
    if apart.any():
        text = say(
            "{where}: {rows} must have its classes at the times of {of!r}; got others.",
            where=where,
            rows=some_rows(dataset.ids, apart),
            of=field.of,
        )
        found.mistakes.append(text)


def _places(of: str, dataset: Dataset, fields: Mapping[str, list[Field]]) -> NDArray[np.object_] | None:
    """When the readings of a series were taken, by row; None where it is not there or cannot be read, which is told there."""
    series = _series(of, fields)
    if series is None or of not in dataset.table:
        return None
    try:
        return series.places(dataset.table[of], dataset.ids, of)
    except DataError:
        return None


def _series(of: str, fields: Mapping[str, list[Field]]) -> SeriesField | None:
    return next((one for one in fields.get(of, []) if isinstance(one, SeriesField)), None)
