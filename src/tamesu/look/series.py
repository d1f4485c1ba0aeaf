"""What is known of series without a network: lengths, rates, level and spread of each channel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tamesu.fields import SeriesField, SideTable, as_text
from tamesu.sources import read_source

Properties = dict[str, NDArray[np.float32]]


def series_properties(name: str, field: SeriesField, cells: pd.Series, *, base: Path) -> Properties:
    """Numbers that describe the series of each row, by "name.property"; NaN where a row has no series.

    length (steps), missing_fraction, mean and spread of each channel; where a side table orders its steps by a time, also rate
    (steps a unit of that time) and irregularity (spread of the steps over their median).

    Args:
        name: The field's.
        field: What it says.
        cells: The series of each row, or the key of its rows in the side table.  (n,)
        base: Folder the side table's path starts from.

    Raises:
        DataError: The side table cannot be read.
    """
    if field.table is not None:
        return _of_table(name, field.table, cells, base)
    return _of_cells(name, field, cells)


def _of_table(name: str, side: SideTable, cells: pd.Series, base: Path) -> Properties:
    raw = read_source(side.file, key=f"fields.{name}.table.file", base=base, root=base, numbers=(), used=None)
    frame = raw.frame
    if side.key not in frame:
        return {}
    keys = frame[side.key].astype(str)
    wanted = pd.Index(cells.astype(object).map(as_text, na_action="ignore").fillna("").astype(str))
    grouped = keys.groupby(keys)
    found: dict[str, pd.Series] = {"length": grouped.size().astype(float)}
    for channel in (one for one in side.columns if one in frame):
        values = pd.to_numeric(frame[channel], errors="coerce")
        by_key = values.groupby(keys)
        found[f"{channel} mean"] = by_key.mean()
        found[f"{channel} spread"] = by_key.std()
        found[f"{channel} missing_fraction"] = values.isna().groupby(keys).mean()
    if side.order is not None and side.order in frame:
        times = pd.to_numeric(frame[side.order], errors="coerce")
        steps = times.groupby(keys).diff()
        median = steps.groupby(keys).median()
        found["rate"] = 1.0 / median.where(median > 0)
        found["irregularity"] = steps.groupby(keys).std() / median.where(median > 0)
    return {f"{name}.{key}": one.reindex(wanted).to_numpy(dtype=np.float32, na_value=np.nan) for key, one in found.items()}


def _of_cells(name: str, field: SeriesField, cells: pd.Series) -> Properties:
    arrays = [_array(cell) for cell in cells]
    n_channels = max((one.shape[1] for one in arrays), default=0)
    names = field.channel_names or tuple(f"channel {i + 1}" for i in range(n_channels))
    out: Properties = {f"{name}.length": np.array([len(one) or np.nan for one in arrays], dtype=np.float32)}
    for c, channel in enumerate(names[:n_channels]):
        of_channel = [one[:, c] if one.shape[1] > c else one[:0].ravel() for one in arrays]
        known = [one[np.isfinite(one)] for one in of_channel]
        out[f"{name}.{channel} mean"] = np.array([one.mean() if len(one) else np.nan for one in known], dtype=np.float32)
        out[f"{name}.{channel} spread"] = np.array([one.std() if len(one) else np.nan for one in known], dtype=np.float32)
    return out


def _array(cell: Any) -> NDArray[np.float64]:
    """(t, c); nothing where the cell is no series of numbers."""
    try:
        values = np.array([] if cell is None else cell, dtype=np.float64)
    except (TypeError, ValueError):
        return np.empty((0, 0))
    return values[:, None] if values.ndim == 1 else values if values.ndim == 2 else np.empty((0, 0))
