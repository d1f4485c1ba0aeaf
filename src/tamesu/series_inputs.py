"""Series as what a network takes: on one grid of steps, with the channels asked for, standardised, padded at the end.

`fit_series(training rows)` → `FittedSeries`, which transforms any rows by what the training rows alone taught, one row never
looking at another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamesu.errors import StoreError
from tamesu.fields.series import SeriesField
from tamesu.series_channels import KNOWN, series_channel_names, series_channels
from tamesu.series_grid import Grid, resample
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.config import ChannelsConfig
    from tamesu.dataset import Dataset

Array = NDArray[np.float64]
FLOAT32_LIMIT = float(np.finfo(np.float32).max)
FILE = "series.json"


@dataclass(frozen=True, eq=False)
class SeriesArrays:
    """The series of some rows.

    Attributes:
        values: Standardised; 0, the mean, in gaps and beyond a row's end.  (n, t, c) float32
        lengths: Steps of each row; 0 for one without any.  (n,)
    """

    values: NDArray[np.float32]
    lengths: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FittedChannels:
    """What the training rows taught about one series.

    Attributes:
        field: What the study says about it.
        names: Of the channels that are given.
        length: Steps that rows are padded to.
        mean: Of the values, before anything is computed from them.  (c,)
        deviation: The same.
        center: Subtracted from the channels that are given.  (c',)
        spread: They are divided by; 0 gives 0.  (c',)
    """

    field: SeriesField
    names: tuple[str, ...]
    length: int
    mean: Array
    deviation: Array
    center: Array
    spread: Array

    def standardised(self, made: Array) -> NDArray[np.float32]:
        """(t, c') with 0 where nothing is known."""
        with np.errstate(over="ignore", invalid="ignore"):  # numbers near 1e308
            out = (made - self.center) / np.where(self.spread > 0, self.spread, 1.0)
        out = np.where((self.spread > 0) & ~np.isnan(out), out, 0.0)
        return np.clip(out, -FLOAT32_LIMIT, FLOAT32_LIMIT).astype(np.float32)


@dataclass(frozen=True, eq=False)
class FittedSeries:
    """What the training rows taught about every series.

    Attributes:
        wanted: Kinds of channels: values, derivative, second, spectrum.
        fitted: By field.
    """

    wanted: tuple[str, ...]
    fitted: Mapping[str, FittedChannels]

    @property
    def channels(self) -> dict[str, int]:
        """How many each series has."""
        return {name: len(one.names) for name, one in self.fitted.items()}

    @property
    def length(self) -> dict[str, int]:
        """Steps that training rows are padded to."""
        return {name: one.length for name, one in self.fitted.items()}

    @property
    def grids(self) -> dict[str, Grid]:
        """The steps each series is given on."""
        return {name: one.field.grid for name, one in self.fitted.items()}

    def transform(self, rows: Dataset) -> dict[str, SeriesArrays]:
        """Any rows, as a network takes them.

        Where the study gives no `length`, rows longer than all training rows stay whole, and all are padded to the longest.

        Raises:
            DataError: Cells that are no series.
        """
        return {name: self._transform(name, one, rows) for name, one in self.fitted.items()}

    def _transform(self, name: str, one: FittedChannels, rows: Dataset) -> SeriesArrays:
        series = on_grid(rows, name, one.field)
        lengths = np.array([len(values) for values, _ in series], dtype=np.int64)
        longest = max(one.length, int(lengths.max(initial=0)))
        out = np.zeros((len(series), longest, len(one.names)), dtype=np.float32)
        for i, (values, times) in enumerate(series):
            out[i, : len(values)] = one.standardised(_channels(values, times, self.wanted, one))
        return SeriesArrays(out, lengths)

    def times(self, rows: Dataset, name: str) -> list[Array]:
        """When each row's own readings were taken, before they are brought to the grid: 0, 1, 2 … where nothing says so."""
        return list(self.fitted[name].field.places(rows.table[name], rows.ids, f"{rows.where} {name}"))

    def save(self, folder: Path) -> None:
        """Write series.json."""
        folder.mkdir(parents=True, exist_ok=True)
        kept = {
            "wanted": list(self.wanted),
            "fitted": {
                name: {
                    "field": one.field.model_dump(mode="json"),
                    "names": list(one.names),
                    "length": one.length,
                    **{key: getattr(one, key).tolist() for key in _ARRAYS},
                }
                for name, one in self.fitted.items()
            },
        }
        (folder / FILE).write_text(json.dumps(kept, ensure_ascii=False, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> FittedSeries:
        """What `save` wrote; it transforms to the same bits.

        Raises:
            StoreError: The folder does not hold it.
        """
        try:
            kept: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreError(
                say("{where}: must hold fitted inputs; got {error}. Train again.", where=folder, error=error)
            ) from error
        fitted = {
            name: FittedChannels(
                field=SeriesField.model_validate(one["field"]),
                names=tuple(one["names"]),
                length=one["length"],
                **{key: np.array(one[key], dtype=np.float64) for key in _ARRAYS},
            )
            for name, one in kept["fitted"].items()
        }
        return cls(tuple(kept["wanted"]), fitted)


_ARRAYS = ("mean", "deviation", "center", "spread")


def fit_series(rows: Dataset, fields: Mapping[str, SeriesField], settings: ChannelsConfig) -> FittedSeries:
    """Learn lengths and scales.

    Args:
        rows: Training rows, and nothing else.
        fields: Series inputs by name.
        settings: Of them, `series` says which channels are computed.

    Raises:
        DataError: Cells that are no series.
    """
    wanted = settings.series or ("values",)
    return FittedSeries(wanted, {name: _fit(rows, name, field, wanted) for name, field in fields.items()})


def _fit(rows: Dataset, name: str, field: SeriesField, wanted: Sequence[str]) -> FittedChannels:
    series = on_grid(rows, name, field)
    names = series_channel_names(field.channel_names, wanted, field.gap is not None)
    length = max(1, max((len(values) for values, _ in series), default=1)) if field.length == "auto" else field.length
    nothing = np.zeros((0, len(field.channel_names)))
    mean, deviation = _scale(np.concatenate([nothing, *(values for values, _ in series)]))
    plain = FittedChannels(field, names, length, mean, deviation, np.zeros(len(names)), np.ones(len(names)))
    made = [_channels(values, times, wanted, plain) for values, times in series]
    center, spread = _scale(np.concatenate([np.zeros((0, len(names))), *made]))
    if names[-1:] == (KNOWN,):
        center[-1], spread[-1] = 0.0, 1.0
    return FittedChannels(field, names, length, mean, deviation, center, spread)


def on_grid(rows: Dataset, name: str, field: SeriesField) -> list[tuple[Array, Array]]:
    """Values and times of each row's steps, on the grid that the field says.  (t, c) and (t,) each"""
    where = f"{rows.where} {name}"
    values, places = field.read_timed(rows.table[name], rows.ids, where)
    out = []
    for readings, at in zip(values, places, strict=True):
        times = field.grid.times(at)
        resampled = resample(readings, at, times, field.gap)
        out.append((resampled - _first(resampled) if field.start == "zero" else resampled, times))
    return out


def _first(values: Array) -> Array:
    """The first reading of each channel; 0 of one without any.  (c,)"""
    known = ~np.isnan(values)
    if not len(values):
        return np.zeros(values.shape[1])
    return np.where(known.any(axis=0), values[known.argmax(axis=0), np.arange(values.shape[1])], 0.0)


def _channels(values: Array, times: Array, wanted: Sequence[str], one: FittedChannels) -> Array:
    made = series_channels(values, times, wanted, one.mean, one.deviation)
    if one.field.gap is None:
        return made
    known = (~np.isnan(values)).all(axis=1, keepdims=True).astype(np.float64)
    return np.concatenate([made, known], axis=1)


def _scale(values: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of what is known of each channel; 0 and 0 of one that is not, or is constant.  (t, c)"""
    mean, deviation = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    for c, channel in enumerate(values.T):
        known = channel[np.isfinite(channel)]
        if len(known) == 0:
            continue
        low, high = float(known.min()), float(known.max())
        unit = float(np.ldexp(1.0, np.frexp(max(abs(low), abs(high)))[1] - 1)) or 1.0  # squares of 1e200 overflow
        mean[c] = float((known / unit).mean()) * unit if low < high else low
        deviation[c] = float((known / unit).std()) * unit if low < high else 0.0
    return mean, deviation
