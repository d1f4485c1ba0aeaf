"""Rows as everything after the door sees them: raw columns, pictures, and digests that say when they changed."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tamesu.fields import Field, as_text
from tamesu.fields.cells import Rows
from tamesu.pictures import Pictures


@dataclass(frozen=True)
class Dataset:
    """Rows with their raw columns and pictures; values are read through a field, never stored typed.

    Attributes:
        ids: Unique names of the rows.  (n,) object of str
        table: Raw columns by field name, pictures excluded; rows in the order of `ids`, index 0…n-1. A cell made of several
            columns is a tuple of their cells; one from a side table is a `fields.cells.Rows`, without rows where it has none.
        pictures: One set of n pictures by the name of each image, mask and depth field.
        classes: (field name, kind) → sorted classes of a label, labels, direction or boxes field in the whole training table;
            `take` keeps them.
        digests: Field name → hex digest of its cells over all rows; of a picture field, of its files' contents.
        where: What messages call this table, such as "train.csv".
    """

    ids: NDArray[np.object_]
    table: pd.DataFrame
    pictures: Mapping[str, Pictures]
    classes: Mapping[tuple[str, str], tuple[str, ...]]
    digests: Mapping[str, str]
    where: str

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: NDArray[Any] | list[int] | slice) -> Dataset:
        """These rows, in this order; `index` holds positions or is a mask."""
        return replace(
            self,
            ids=self.ids[index],
            table=self.table.iloc[index].reset_index(drop=True),
            pictures={name: pictures.take(index) for name, pictures in self.pictures.items()},
        )

    def without(self, names: Iterable[str]) -> Dataset:
        """The same rows with these fields gone; names that are not there are fine."""
        gone = set(names)
        return replace(
            self,
            table=self.table[[name for name in self.table.columns if name not in gone]],
            pictures={name: pictures for name, pictures in self.pictures.items() if name not in gone},
            digests={name: digest for name, digest in self.digests.items() if name not in gone},
        )

    def with_cells(self, names: Iterable[str], other: Dataset) -> Dataset:
        """The same rows with these fields' cells and pictures taken from `other`, row by row.

        Args:
            names: Fields of both.
            other: As many rows, of the same source.
        """
        there = set(names)
        return replace(
            self,
            table=self.table.assign(**{name: other.table[name] for name in self.table.columns if name in there}),
            pictures={**self.pictures, **{name: one for name, one in other.pictures.items() if name in there}},
        )

    def values(self, name: str, field: Field) -> Any:
        """The column as `field` reads it: one typed array.  (n,)

        Raises:
            DataError: Cells that the field's kind cannot be.
        """
        return field.read(self.table[name], self.ids, f"{self.where} {name}")

    def digest(self, names: Iterable[str]) -> str:
        """Hex digest of these fields' content and of the ids; it changes with the order of rows, not with that of names."""
        total = hashlib.blake2b(self._ids_digest, digest_size=16)
        for name in sorted(set(names)):
            total.update(f"{name}\0{self.digests[name]}\0".encode())
        return total.hexdigest()

    @functools.cached_property
    def _ids_digest(self) -> bytes:
        return texts_digest(self.ids)


def column_digest(column: pd.Series) -> str:
    """Digest of a raw column's content, in row order."""
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        numbers = np.where(np.isnan(numbers), np.nan, numbers) + 0.0  # one NaN and one zero, whatever their bits
        return hashlib.blake2b(np.ascontiguousarray(numbers).data, digest_size=16).hexdigest()
    if any(isinstance(cell, Rows) for cell in column[:1]):  # then all are
        return _rows_digest(list(column))
    missing = column.isna().to_numpy()
    cells = zip(missing, column.astype(object), strict=True)
    return texts_digest(None if gone else _cell_text(cell) for gone, cell in cells).hex()


def _rows_digest(cells: list[Rows]) -> str:
    total = hashlib.blake2b(digest_size=16)
    total.update(np.array([cell.numbers.shape for cell in cells], dtype=np.int64).tobytes())
    numbers = np.concatenate([cell.numbers.ravel() for cell in cells]) + 0.0
    total.update(np.where(np.isnan(numbers), np.nan, numbers).tobytes())
    total.update(texts_digest(name for cell in cells for name in (*cell.names, None)))
    timed = [cell.places for cell in cells if cell.places is not None]
    if timed:
        total.update((np.concatenate(timed) + 0.0).tobytes())
    return total.hexdigest()


def _cell_text(cell: Any) -> str:
    if isinstance(cell, np.ndarray) and cell.ndim > 1 and cell.dtype != object:
        return f"{cell.dtype} {cell.shape} {hashlib.blake2b(np.ascontiguousarray(cell).data, digest_size=16).hexdigest()}"
    return repr([as_text(one) for one in cell]) if isinstance(cell, (list, tuple, np.ndarray)) else as_text(cell)


def texts_digest(texts: Iterable[object]) -> bytes:
    """Digest of texts in their order; None differs from the empty text."""
    parts = [None if text is None else str(text) for text in texts]
    total = hashlib.blake2b(digest_size=16)
    total.update(np.array([-1 if part is None else len(part) for part in parts], dtype=np.int64).tobytes())
    total.update("".join(part or "" for part in parts).encode("utf-8", "surrogatepass"))
    return total.digest()
