"""Kinds that are places in a picture: points and boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field as Setting

from tamesu.fields.base import FieldBase, Mirror, Name, SideTable, as_text
from tamesu.fields.cells import read_numbers
from tamesu.geometry import move_boxes, move_points
from tamesu.symmetry import NEVER, Moves, Symmetry

if TYPE_CHECKING:
    from tamesu.maps import Maps


class PointsField(FieldBase):
    """Named points of a picture, x and y in its original pixels; (0, 0) is the centre of the top left pixel.

    Written as columns (`points: {left_eye: [lx, ly], …}`), as one cell of numbers `x y x y …` with `names`, or as a side table.
    A point without numbers is not seen.
    """

    kind: Literal["points"] = "points"
    can_be_target: ClassVar[bool] = True
    is_placed: ClassVar[bool] = True
    of: str | None = None  # the picture; the only one where not named
    points: dict[Name, tuple[str, str]] | None = None  # name: [column of x, column of y]
    names: tuple[Name, ...] = ()  # where they are not named by `points`
    mirror: Mirror = None  # {left_eye: right_eye}: which point is which in a mirror

    @property
    def point_names(self) -> tuple[str, ...]:
        """Names in the order of the values."""
        return tuple(self.points) if self.points is not None else self.names

    @property
    def cell_columns(self) -> tuple[str, ...]:  # noqa: D102
        return tuple(name for pair in (self.points or {}).values() for name in pair)

    def read(self, column: pd.Series, ids: NDArray[Any], where: str) -> NDArray[np.float64]:
        """Places in original pixels, NaN where not seen.  (n, k, 2)"""
        n = len(self.point_names)
        flat = read_numbers(column, ids, where, n_each=2 * n, may_miss=True)
        values = flat.reshape(len(column), n, 2)
        values[np.isnan(values).any(axis=2)] = np.nan
        return values

    @property
    def order_in_mirror(self) -> NDArray[np.int64]:
        """For each point, which one stands in its place in a mirror.  (k,)"""
        moves: Moves = self.mirror if isinstance(self.mirror, dict) else "same"
        return Symmetry(moves).codes(self.point_names)[4]

    def act(self, values: NDArray[np.float64], maps: Maps) -> NDArray[np.float64]:  # noqa: D102
        moved = move_points(values, maps)
        return np.where(maps.mirrored[:, None, None], moved[:, self.order_in_mirror], moved)

    def allows(self, values: NDArray[np.float64], maps: Maps) -> NDArray[np.bool_]:  # noqa: D102
        undeclared = self.mirror is None and len(self.point_names) > 1
        imageless = bool((self.order_in_mirror == NEVER).any())
        return ~maps.mirrored if self.mirror == "never" or undeclared or imageless else np.ones(len(maps), dtype=bool)


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes of one picture.

    Attributes:
        edges: left, top, right, bottom in pixels; a box around a whole picture is 0, 0, w, h.  (m, 4)
        names: What is in each; () where boxes have no names.
    """

    edges: NDArray[np.float64]
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.edges)


class BoxesField(FieldBase):
    """Any number of boxes in a picture, in its original pixels: one cell of numbers, or a side table with a row a box."""

    kind: Literal["boxes"] = "boxes"
    can_be_aux: ClassVar[bool] = True  # how many of each class there are
    is_placed: ClassVar[bool] = True
    of: str | None = None
    table: SideTable | None = None
    format: Literal["edges", "corner_size", "middle_size"] = "edges"  # x0 y0 x1 y1 | x0 y0 w h | cx cy w h
    mirror: Mirror = None  # by names: {left_hand: right_hand}
    keep: float = Setting(default=0.25, ge=0, le=1)  # share of a box that must stay inside the picture for the box to stay
    drop_empty: bool = False  # boxes without an area are left out; else they are a mistake

    @property
    def side_table(self) -> SideTable | None:  # noqa: D102
        return self.table

    def read(self, column: pd.Series, ids: NDArray[Any], where: str) -> NDArray[np.object_]:
        """One `Boxes` a row.  (n,) object"""
        out = np.empty(len(column), dtype=object)
        for i, cell in enumerate(column):
            out[i] = self._boxes(cell, as_text(ids[i]), where)
        return out

    def _boxes(self, cell: Any, row: str, where: str) -> Boxes:
        from tamesu.fields.cells import as_rows

        rows = as_rows(cell, n_each=4, row=row, where=where)
        numbers, names = rows.numbers, rows.names
        if self.format != "edges":
            start = numbers[:, :2] - (numbers[:, 2:] / 2 if self.format == "middle_size" else 0)
            numbers = np.concatenate([start, start + numbers[:, 2:]], axis=1)
        if self.drop_empty:
            whole = ((numbers[:, 0] != numbers[:, 2]) & (numbers[:, 1] != numbers[:, 3])) | np.isnan(numbers).any(axis=1)
            numbers = numbers[whole]
            names = tuple(name for name, stays in zip(names, whole, strict=True) if stays) if names else ()
        return Boxes(numbers, names)

    def act(self, values: NDArray[np.object_], maps: Maps) -> NDArray[np.object_]:  # noqa: D102
        symmetry = Symmetry(self.mirror or "same")
        out = np.empty(len(values), dtype=object)
        for i, boxes in enumerate(values):
            edges, kept = move_boxes(boxes.edges, maps[i : i + 1], keep=self.keep)
            names = boxes.names
            if maps.mirrored[i] and isinstance(self.mirror, dict):
                names = tuple(symmetry.image(name, 4) or name for name in names)  # `allows` has said no to those without
            out[i] = Boxes(edges[kept], tuple(name for name, stays in zip(names, kept, strict=True) if stays) if names else ())
        return out

    def allows(self, values: NDArray[np.object_], maps: Maps) -> NDArray[np.bool_]:  # noqa: D102
        if self.mirror == "never":
            return ~maps.mirrored
        symmetry = Symmetry(self.mirror or "same")
        imageless = [any(symmetry.image(name, 4) is None for name in boxes.names) for boxes in values]
        return ~(maps.mirrored & np.array(imageless, dtype=bool))
