"""The kind that is numbers over time: series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field as Setting

from tamesu.fields.base import FieldBase, Name, Part, SideTable, as_text
from tamesu.geometry import move_vectors
from tamesu.symmetry import Symmetry

if TYPE_CHECKING:
    from tamesu.maps import Maps


class SeriesMirror(Part):
    """What a mirror does to a series: channels that change sign, and channels that change places."""

    negate: tuple[Name, ...] = ()
    swap: dict[Name, Name] = Setting(default_factory=dict)


class SeriesField(FieldBase):
    """Several numbers at each of several times: a pen's track, a body's joints, accelerations.

    `vectors` names the channels that are x and y of arrows or places in the picture plane: mirrors and rotations move those
    about the origin by themselves; `mirror` says what happens to the others.
    """

    kind: Literal["series"] = "series"
    is_input: ClassVar[bool] = True
    table: SideTable | None = None  # a row a time; its columns are the channels
    names: tuple[Name, ...] = ()  # of the channels, where no side table names them
    vectors: tuple[tuple[Name, Name], ...] = ()  # [[x, y], …], y pointing down
    mirror: Literal["same", "never"] | SeriesMirror | None = None

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names in the order of the values' columns."""
        return self.table.columns if self.table is not None else self.names

    @property
    def side_table(self) -> SideTable | None:  # noqa: D102
        return self.table

    def read(self, column: pd.Series, ids: NDArray[Any], where: str) -> NDArray[np.object_]:
        """One (t, c) array of float64 a row.  (n,) object"""
        from tamesu.fields.cells import as_rows

        out = np.empty(len(column), dtype=object)
        for i, cell in enumerate(column):
            out[i] = as_rows(cell, n_each=len(self.channel_names), row=as_text(ids[i]), where=where).numbers
        return out

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
