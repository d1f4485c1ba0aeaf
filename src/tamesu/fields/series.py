"""The kind that is numbers over time: series; where its readings come from, and on which steps they are looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field as Setting
from pydantic import PositiveFloat

from tamesu.errors import DataError
from tamesu.fields.base import FieldBase, Name, Part, SideTable, as_text
from tamesu.geometry import move_vectors
from tamesu.series_grid import Grid
from tamesu.symmetry import Symmetry
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.maps import Maps


class FileColumns(NamedTuple):
    """What is read from the file that a row's cell names."""

    columns: tuple[str, ...]  # numbers
    time: str | None
    name: str | None  # the class at every step
    time_at: int = 0  # of an npy file, the column that is the time


class SeriesMirror(Part):
    """What a mirror does to a series: channels that change sign, and channels that change places."""

    negate: tuple[Name, ...] = ()
    swap: dict[Name, Name] = Setting(default_factory=dict)


class SeriesField(FieldBase):
    """Several numbers at each of several times: a pen's track, a body's joints, accelerations.

    Its readings come from a second table (`table`), from a file a row (`file`), from one cell of rows of numbers (`names`), or
    from several columns, each cell of which holds one channel (`columns`). `vectors` names the channels that are x and y of
    arrows or places in the picture plane: mirrors and rotations move those about the origin by themselves; `mirror` says what
    happens to the others.
    """

    kind: Literal["series"] = "series"
    is_input: ClassVar[bool] = True
    table: SideTable | None = None  # a row a time; its columns are the channels
    file: bool = False  # its cells name files, csv, parquet or npy, with a row a time and the columns `names`
    names: tuple[Name, ...] = ()  # of the channels, where no side table names them
    columns: tuple[str, ...] = ()  # of the table, each cell with all readings of one channel
    time: Name | None = None  # the channel, or the column of the files, that says when; without `table`, whose `order` does
    step: PositiveFloat | None = None  # steps this far apart, in the unit of the time
    gap: PositiveFloat | None = None  # readings further apart say nothing of the time between them
    length: Annotated[int, Setting(ge=1)] | Literal["auto"] = "auto"  # steps; auto: those of the longest training row
    fit: Literal["cut", "stretch"] = "cut"  # stretch: every row to `length` steps from its first time to its last
    start: Literal["given", "zero"] = "given"  # zero: each channel's first reading is subtracted
    may_miss: bool = False  # a row without any reading is no mistake
    vectors: tuple[tuple[Name, Name], ...] = ()  # [[x, y], …], y pointing down
    mirror: Literal["same", "never"] | SeriesMirror | None = None

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names in the order of the values' columns."""
        if self.table is not None:
            return self.table.columns
        return tuple(name for name in self.cell_names if name != self.time)

    @property
    def cell_names(self) -> tuple[str, ...]:
        """Of what a cell holds at each time, the time included."""
        return self.columns or self.names

    @property
    def grid(self) -> Grid:
        """The steps that its rows are given on."""
        return Grid(self.step, None if self.length == "auto" else self.length, self.fit, self.gap)

    @property
    def cell_columns(self) -> tuple[str, ...]:  # noqa: D102
        return self.columns

    @property
    def side_table(self) -> SideTable | None:  # noqa: D102
        return self.table

    @property
    def file_columns(self) -> FileColumns | None:
        """What is read from the file of each row; None where cells hold the readings themselves."""
        at = self.cell_names.index(self.time) if self.time in self.cell_names else 0
        return FileColumns(self.channel_names, self.time, None, at) if self.file else None

    def read(self, column: pd.Series, ids: NDArray[Any], where: str) -> NDArray[np.object_]:
        """One (t, c) array of float64 a row.  (n,) object"""
        return self.read_timed(column, ids, where)[0]

    def places(self, column: pd.Series, ids: NDArray[Any], where: str) -> NDArray[np.object_]:
        """When the readings of each row were taken, ascending: 0, 1, 2 … where nothing says so.  (n,) object of (t,) float64"""
        return self.read_timed(column, ids, where)[1]

    def read_timed(self, column: pd.Series, ids: NDArray[Any], where: str) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
        """What `read` and what `places` give."""
        values, places = np.empty(len(column), dtype=object), np.empty(len(column), dtype=object)
        for i, cell in enumerate(column):
            values[i], places[i] = self._one(cell, as_text(ids[i]), where)
        return values, places

    def _one(self, cell: Any, row: str, where: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        from tamesu.fields.cells import Rows, as_channels, as_rows

        if isinstance(cell, Rows):
            return cell.numbers, cell.times
        n = len(self.cell_names)
        numbers = as_channels(cell, row, where) if self.columns else as_rows(cell, n_each=n, row=row, where=where).numbers
        if self.time is None:
            return numbers, np.arange(len(numbers), dtype=np.float64)
        place = self.cell_names.index(self.time)
        times = numbers[:, place]
        if not np.isfinite(times).all():
            raise DataError(say("{where}: row {row!r} must have a time at every step; got an empty one.", where=where, row=row))
        order = np.argsort(times, kind="stable")
        return np.delete(numbers, place, axis=1)[order], times[order]

    def act(self, values: NDArray[np.object_], maps: Maps) -> NDArray[np.object_]:  # noqa: D102
        place = {name: i for i, name in enumerate(self.channel_names)}
        declared = self.mirror if isinstance(self.mirror, SeriesMirror) else SeriesMirror()
        order = Symmetry(dict(declared.swap) or "same").codes(self.channel_names)[4]
        sign = np.where(np.isin(self.channel_names, declared.negate), -1.0, 1.0)
        out = np.empty(len(values), dtype=object)
        for i, one in enumerate(values):
            moved = one[:, order] * sign if maps.mirrored[i] else one.copy()
            for x, y in self.vectors:
                arrow = moved[:, [place[x], place[y]]]
                moved[:, [place[x], place[y]]] = move_vectors(arrow, maps[np.full(len(arrow), i)])
            out[i] = moved
        return out

    def allows(self, values: NDArray[np.object_], maps: Maps) -> NDArray[np.bool_]:  # noqa: D102
        undeclared = self.mirror is None and not set(self.channel_names) <= {name for pair in self.vectors for name in pair}
        return ~maps.mirrored if self.mirror == "never" or undeclared else np.ones(len(maps), dtype=bool)
