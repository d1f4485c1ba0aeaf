"""What is known of the rows as one table of numbers that a classifier can be given."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tamesu.look.columns import Column
from tamesu.look.material import Material

MAX_CATEGORIES = 60  # levels of a category that are kept apart; rarer ones are one
N_COMPONENTS = 24  # of each picture field's embedding
MIN_KNOWN = 5  # cells a feature must have


@dataclass(frozen=True, eq=False)
class Features:
    """Numbers by row.

    Attributes:
        names: Of each feature: a column, "field.property", or "field.look 3" (a component of the pictures' embedding).  (f,)
        fields: The column or field each comes from.  (f,)
        values: NaN where missing; categories are codes, 0 the most frequent.  (n, f) float32
        is_category: (f,)
        rows: Positions in the material.  (n,)
    """

    names: tuple[str, ...]
    fields: tuple[str, ...]
    values: NDArray[np.float32]
    is_category: NDArray[np.bool_]
    rows: NDArray[np.int64]

    def of(self, wanted: Collection[str]) -> Features:
        """The features that come from these fields."""
        return self._chosen(np.array([field in wanted for field in self.fields], dtype=bool))

    def without(self, unwanted: Collection[str]) -> Features:
        """All features but those that come from these fields."""
        return self._chosen(np.array([field not in unwanted for field in self.fields], dtype=bool))

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Features:
        """Some of the rows; `index` counts within this table."""
        return Features(self.names, self.fields, self.values[index], self.is_category, self.rows[index])

    def _chosen(self, keep: NDArray[np.bool_]) -> Features:
        names = tuple(name for name, kept in zip(self.names, keep, strict=True) if kept)
        fields = tuple(field for field, kept in zip(self.fields, keep, strict=True) if kept)
        return Features(names, fields, self.values[:, keep], self.is_category[keep], self.rows)


def make_features(
    material: Material,
    rows: NDArray[np.int64],
    *,
    leave_out: Collection[str] = (),
    undeclared: bool = True,
    target: bool = False,
    pictures: bool = True,
) -> Features:
    """The rows as numbers.

    Args:
        material: All that was read.
        rows: Positions.
        leave_out: Columns and fields not wanted.
        undeclared: Also columns the study does not name.
        target: Also the target.
        pictures: Also what pictures look like.

    Names and prose (`Column.is_name`), ids, and columns without values are never features: a classifier could only learn rows
    by heart from them.
    """
    names: list[str] = []
    fields: list[str] = []
    values: list[NDArray[np.float32]] = []
    is_category: list[bool] = []

    def add(name: str, field: str, column: NDArray[np.float32], category: bool = False) -> None:
        if np.isfinite(column).sum() >= min(MIN_KNOWN, len(column)):
            names.append(name), fields.append(field), values.append(column), is_category.append(category)  # type: ignore[func-returns-value]

    for column in material.columns.values():
        if is_feature(column, material) and column.name not in leave_out and (undeclared or column.declared):
            if column.is_target and not target:
                continue
            add(column.name, column.name, column_values(column, rows), column.kind == "category")
    for name, numbers in material.properties.items():
        if name.split(".")[0] not in leave_out:
            add(name, name.split(".")[0], numbers[rows].astype(np.float32))
    for name, facts in material.pictures.items():
        if pictures and name not in leave_out and facts.embedding.shape[1]:
            parts = components(facts.embedding[rows], facts.whole[rows])
            for i in range(parts.shape[1]):
                add(f"{name}.look {i + 1}", name, parts[:, i])
    stacked = np.stack(values, axis=1) if values else np.empty((len(rows), 0), dtype=np.float32)
    return Features(tuple(names), tuple(fields), stacked, np.array(is_category, dtype=bool), np.asarray(rows))


def is_feature(column: Column, material: Material) -> bool:
    """Whether a column can say something about rows it was not seen with."""
    unread = column.declared in ("id", "image", "mask", "depth", "series", "points", "boxes")
    return not (unread or column.kind in ("empty", "text") or column.is_name or column.name == material.id_column)


def column_values(column: Column, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Numbers, or codes of a category with rare levels joined; NaN where empty.  (n,)"""
    if column.kind in ("number", "date"):
        with np.errstate(over="ignore"):
            values = column.numbers[rows].astype(np.float32)
        return np.where(np.isinf(values), np.nan, values)
    codes = column.codes[rows].astype(np.float32)
    joined = np.where((codes >= MAX_CATEGORIES) | (codes == -2), MAX_CATEGORIES, codes)
    return np.where(codes == -1, np.nan, joined).astype(np.float32)


def components(embedding: NDArray[np.float32], whole: NDArray[np.bool_], n: int = N_COMPONENTS) -> NDArray[np.float32]:
    """The main components of embeddings, fitted without any label; NaN where there is no picture.  (n, c)"""
    from sklearn.decomposition import PCA

    out = np.full((len(embedding), min(n, embedding.shape[1], max(1, int(whole.sum()) - 1))), np.nan, dtype=np.float32)
    known = embedding[whole].astype(np.float32)
    if len(known) < 3:
        return out[:, :0]
    some = known[:: max(1, len(known) // 20_000)]
    out = out[:, : min(out.shape[1], len(some))]
    fitted = PCA(out.shape[1], svd_solver="randomized" if min(some.shape) > 200 else "auto", random_state=0).fit(some)
    out[whole] = fitted.transform(known)
    return out
