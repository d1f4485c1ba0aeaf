"""Which columns of the table make the cells of a field: one, several side by side, or the key of a side table."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pandas as pd

from tamesu.dataset import column_digest
from tamesu.fields import DerivedField, Field, SideTable
from tamesu.fields.series import FileColumns
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.sources import RawTable

Versions = Mapping[str, list[Field]]  # by name, every version of each field over all arms


@dataclass(frozen=True)
class CellSource:
    """Where the cells of one field come from.

    Attributes:
        name: The field's name.
        column: The table's column; of a side table the one that holds its keys.
        parts: Columns that make one cell together; () where `column` does.
        side: The second table the cells come from.
        files: What is read from the file that each cell names.
        is_given: The study names `column`.
    """

    name: str
    column: str
    parts: tuple[str, ...] = ()
    side: SideTable | None = None
    is_given: bool = False
    files: FileColumns | None = None

    @property
    def wanted(self) -> tuple[str, ...]:
        """The table's columns it reads, where they are there."""
        return self.parts or (self.column,)

    def missing(self, raw: RawTable) -> list[str]:
        """Columns it cannot do without that the table lacks; keys of a side table may be the rows' ids instead."""
        if self.side is not None and not self.is_given:
            return []
        return [name for name in dict.fromkeys(self.wanted) if name not in raw.columns]

    def where(self, raw: RawTable) -> str:
        """What messages about its cells start with."""
        if self.side is not None:
            return f"{self.side.file} {self.name}"
        return f"{raw.where} {self.name if self.parts else self.column}"


def cell_sources(fields: Versions) -> dict[str, CellSource]:
    """Of each field; versions that ignore it have no say unless all do."""
    return {name: _source(name, _readers(versions)[0]) for name, versions in fields.items()}


def source_mistakes(fields: Versions) -> list[str]:
    """A field is one column in every arm: rows of other columns would be other data."""
    mistakes = []
    for name, versions in fields.items():
        if len({one.column or name for one in versions}) > 1:
            columns = sorted({str(one.column) for one in versions})
            mistakes.append(
                say("fields.{name}.column: cannot differ between ideas; got {columns}.", name=name, columns=columns)
            )
        elif len({_source(name, one) for one in _readers(versions)}) > 1:
            mistakes.append(say("fields.{name}: the columns it is read from cannot differ between ideas.", name=name))
    return mistakes


def number_columns(fields: Versions, sources: Mapping[str, CellSource]) -> set[str]:
    """Columns that are only ever read as numbers: all others of a csv stay text, as written."""
    numbers: set[str] = set()
    texts: set[str] = set()
    for name, versions in fields.items():
        for one in versions:
            if one.kind == "ignore":
                continue
            is_number = bool(sources[name].parts) or one.kind in ("number", "angle")
            (numbers if is_number else texts).update(sources[name].wanted)
    return numbers - texts


def columns_of_arrays(fields: Versions, sources: Mapping[str, CellSource]) -> set[str]:
    """Columns whose cells, given from Python, may be arrays and yet are no pictures."""
    kinds = ("points", "vector", "boxes", "series", "steps", "derived")
    return {
        column
        for name, versions in fields.items()
        if sources[name].side is None and any(one.kind in kinds for one in versions)
        for column in sources[name].wanted
    }


def read_cells(raw: RawTable, source: CellSource) -> tuple[pd.Series, str]:
    """A field's cells from the table, and their digest; several columns make one tuple a row."""
    if not source.parts:
        column = raw.frame[source.column].reset_index(drop=True)
        return column, column_digest(column)
    digests = {name: column_digest(raw.frame[name]) for name in set(source.parts)}
    total = hashlib.blake2b("\n".join(digests[name] for name in source.parts).encode(), digest_size=16).hexdigest()
    rows = list(zip(*(raw.frame[name].tolist() for name in source.parts), strict=True))
    return pd.Series(rows, dtype=object), total


def _readers(versions: list[Field]) -> list[Field]:
    return [one for one in versions if one.kind != "ignore"] or versions


def _source(name: str, field: Field) -> CellSource:
    if isinstance(field, DerivedField) and field.sources:
        return _derived_source(name, field)
    side = field.side_table
    column = field.column or (side.key if side is not None else name)
    return CellSource(name, column, field.cell_columns, side, field.column is not None, getattr(field, "file_columns", None))


def _derived_source(name: str, field: DerivedField) -> CellSource:
    """The cells of the field it is made from; of two fields, a cell of both."""
    origins = [_source(origin, one) for origin, one in zip(field.origins, field.sources, strict=True)]
    if len(origins) == 1:
        return replace(origins[0], name=name)
    return CellSource(name, name, tuple(one.column for one in origins))
