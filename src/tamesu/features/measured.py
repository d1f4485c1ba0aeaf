"""What is measured of the pictures and series of rows, by the names a reader sees: `file.colour.red_mean`.

Nothing here is fitted: a row's numbers depend on that row alone. Those of pictures are kept in memory for as long as the
process lives, since a row is in the training rows of most folds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamesu.features import distances, pictures, series
from tamesu.fields import DepthField, Field, MaskField, PictureField, SeriesField
from tamesu.pictures import Pictures
from tamesu.series_inputs import on_grid
from tamesu.warp import view

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.recipe import Recipe

Measure = tuple[str, tuple[str, ...], Callable[[NDArray[Any]], NDArray[Any]]]  # of one picture: group, names, values
KEPT_BYTES = 512 * 2**20  # of numbers of pictures in this process
N_AT_ONCE = 64  # pictures read before they are measured


def measured_names(fields: Mapping[str, Field], channels: Mapping[str, int], recipe: Recipe) -> tuple[tuple[str, str], ...]:
    """Names of the numbers that `measure` gives, each with its field.

    Args:
        fields: Pictures and series.
        channels: Of each picture.
        recipe: Of it, `features` says what is measured.
    """
    out: list[tuple[str, str]] = []
    for name, field in fields.items():
        if isinstance(field, SeriesField):
            groups = _series_names(field, recipe.features.series)
        else:
            sizes = {"size": pictures.size_names()} if "size" in recipe.features.pictures else {}
            groups = sizes | {group: names for group, names, _ in _measures(field, channels[name], recipe.features.pictures)}
        out += [(f"{name}.{group}.{one}", name) for group, names in groups.items() for one in names]
    return tuple(out)


def measure(rows: Dataset, fields: Mapping[str, Field], channels: Mapping[str, int], recipe: Recipe) -> NDArray[np.float64]:
    """The rows' pictures and series as numbers, NaN where one cannot be known; arguments as of `measured_names`.  (n, f)

    Raises:
        DataError: A file is gone or has changed, or cells are no series.
    """
    columns: list[NDArray[Any]] = [np.zeros((len(rows), 0))]
    for name, field in fields.items():
        if isinstance(field, SeriesField):
            columns.append(_of_series(rows, name, field, recipe.features.series))
        elif isinstance(field, PictureField):
            columns += _of_pictures(rows.pictures[name], field, channels[name], recipe)
    return np.concatenate(columns, axis=1, dtype=np.float64)


def _measures(field: Field, channels: int, wanted: tuple[str, ...]) -> list[Measure]:
    """What is measured of the pixels of a picture of this kind."""
    if isinstance(field, DepthField):
        known: dict[str, Measure] = {
            "colour": ("metres", distances.metre_names(), distances.metre_values),
            "texture": ("relief", distances.relief_names(), distances.relief_values),
        }
    elif isinstance(field, MaskField):
        named, outside = tuple(field.names), field.outside
        ids = distances.id_names(tuple(field.names.values()))
        known = {
            "colour": ("ids", ids, lambda seen: distances.id_values(seen, named, outside)),
            "texture": ("edges", distances.edge_names(), lambda seen: distances.edge_values(seen, outside)),
        }
    else:
        known = {
            "colour": ("colour", pictures.colour_names(channels), pictures.colour_values),
            "texture": ("texture", pictures.texture_names(), pictures.texture_values),
        }
    return [known[one] for one in wanted if one in known]


def _of_pictures(given: Pictures, field: PictureField, channels: int, recipe: Recipe) -> Iterator[NDArray[Any]]:
    if "size" in recipe.features.pictures:
        yield pictures.size_values(given.shapes.reshape(-1, 2))
    measures = _measures(field, channels, recipe.features.pictures)
    if measures:
        yield _kept(given, field, recipe, measures)


def _kept(given: Pictures, field: PictureField, recipe: Recipe, measures: list[Measure]) -> NDArray[np.float32]:
    """Numbers of pixels, of each picture of a set only once in this process.  (n, f)"""
    if not isinstance(given, Pictures):  # held in memory, as tests and a caller's own may be: nothing names them
        return _of_pixels(given, np.arange(len(given)), field, recipe, measures)
    whole = Pictures(given.folder)
    key = (given.folder, field.model_dump_json(), recipe.size, recipe.resize, tuple(group for group, _, _ in measures))
    table = _TABLES.of(key, len(whole), sum(len(names) for _, names, _ in measures))
    rows = np.arange(len(whole)) if given.rows is None else given.rows
    new = np.unique(rows[np.isposinf(table[rows, 0])])
    table[new] = _of_pixels(whole, new, field, recipe, measures)
    return table[rows]


def _of_pixels(
    given: Pictures, rows: NDArray[np.int64], field: PictureField, recipe: Recipe, measures: list[Measure]
) -> NDArray[np.float32]:
    out = np.empty((len(rows), sum(len(names) for _, names, _ in measures)), dtype=np.float32)
    for start in range(0, len(rows), N_AT_ONCE):
        some = rows[start : start + N_AT_ONCE]
        for i, seen in enumerate(view(given, some, None, field, recipe.size, recipe.resize)):
            out[start + i] = np.concatenate([values(seen) for _, _, values in measures])
    return np.where(np.isinf(out), np.nan, out)


class _Tables:
    """Numbers of pictures by what they are measured of; infinite where not yet measured. The oldest go when all is full."""

    def __init__(self) -> None:
        self.tables: OrderedDict[tuple[Any, ...], NDArray[np.float32]] = OrderedDict()

    def of(self, key: tuple[Any, ...], n: int, f: int) -> NDArray[np.float32]:
        if key not in self.tables:
            self.tables[key] = np.full((n, f), np.inf, dtype=np.float32)
        self.tables.move_to_end(key)
        while len(self.tables) > 1 and sum(one.nbytes for one in self.tables.values()) > KEPT_BYTES:
            self.tables.popitem(last=False)
        return self.tables[key]


_TABLES = _Tables()


def _series_names(field: SeriesField, wanted: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    known = {"statistics": series.statistics_names, "spectrum": series.spectrum_names}
    return {group: known[group](field.channel_names) for group in wanted}


def _of_series(rows: Dataset, name: str, field: SeriesField, wanted: tuple[str, ...]) -> NDArray[np.float64]:
    known = {"statistics": series.statistics, "spectrum": series.spectrum_energies}
    width = sum(len(names) for names in _series_names(field, wanted).values())
    out = np.zeros((len(rows), width))
    for i, (values, times) in enumerate(on_grid(rows, name, field)):
        out[i] = np.concatenate([np.zeros(0), *(known[group](values, times) for group in wanted)])
    return np.where(np.isinf(out), np.nan, out)
