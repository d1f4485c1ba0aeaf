"""The kind that is a class at every step of a series: steps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tamesu.errors import DataError
from tamesu.fields.base import FieldBase, Name, SideTable, as_text
from tamesu.fields.series import FileColumns
from tamesu.texts import say


@dataclass(frozen=True, eq=False)
class Steps:
    """The classes along one row.

    Attributes:
        names: None where the class is not known.  (m,) object
        places: When each step is, ascending, as the series has it.  (m,)
    """

    names: NDArray[np.object_]
    places: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Steps):
            return NotImplemented
        return self.names.tolist() == other.names.tolist() and np.array_equal(self.places, other.places)

    def __hash__(self) -> int:
        return hash(tuple(self.names.tolist()))


class StepsField(FieldBase):
    """A class at every step of the series `of`: what someone does, the phase of a machine.

    The classes come from a second table (`table`, whose `name` is their column), from a column of the file of each row (`file`,
    `name`), or from a cell that lists them. A step without one is left out of loss and score.
    """

    kind: Literal["steps"] = "steps"
    can_be_target: ClassVar[bool] = True
    of: str  # the series
    table: SideTable | None = None
    file: bool = False  # its cells name files, csv or parquet, with a row a step
    name: Name | None = None  # of the files, the column of classes
    time: Name | None = None  # of the files, the column of times
    missing_values: tuple[Name, ...] = ()  # beside empty cells, what means that the class is not known

    @property
    def side_table(self) -> SideTable | None:  # noqa: D102
        return self.table

    @property
    def file_columns(self) -> FileColumns | None:
        """What is read from the file of each row; None where cells hold the classes themselves."""
        return FileColumns((), self.time, self.name) if self.file else None

    def read(self, column: pd.Series, ids: NDArray[Any], where: str) -> NDArray[np.object_]:
        """One `Steps` a row.  (n,) object"""
        from tamesu.fields.cells import Rows

        out = np.empty(len(column), dtype=object)
        for i, cell in enumerate(column):
            texts = cell.names if isinstance(cell, Rows) else _texts(cell, as_text(ids[i]), where)
            missing = {"", *self.missing_values}
            names = np.array([None if text in missing else text for text in texts], dtype=object)
            places = cell.times if isinstance(cell, Rows) else np.arange(len(names), dtype=np.float64)
            out[i] = Steps(names, places)
        return out


def _texts(cell: Any, row: str, where: str) -> list[str]:
    """A list of classes, or a text with blanks or commas between them."""
    if isinstance(cell, (list, tuple, np.ndarray)):
        if any(isinstance(one, (list, tuple, np.ndarray, dict)) for one in cell):
            raise DataError(
                say("{where}: row {row!r} must list one class a step; got {value!r}.", where=where, row=row, value=cell)
            )
        return ["" if one is None or one is pd.NA or one != one else as_text(one) for one in cell]
    if cell is None or cell is pd.NA or cell != cell:
        return []
    return re.split(r"\s*,\s*|\s+", as_text(cell)) if as_text(cell) else []
