"""The sizes of things marked in pictures by boxes, points and masks, wrong ones included."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tamesu.decode import Reading, UnreadableError, decode, inspect
from tamesu.errors import DataError
from tamesu.fields import BoxesField, MaskField, PointsField, as_text
from tamesu.look.material import Objects, PictureFacts
from tamesu.side_tables import read_side_table
from tamesu.texts import say

MASKS_READ = 500  # pictures; more change no share by much
N_EDGES = 4
MIN_REGION_PX = 4  # smaller regions of a mask are specks


def read_objects(
    field_name: str,
    field: BoxesField | PointsField,
    cells: pd.Series,
    ids: NDArray[Any],
    *,
    picture: str,
    base: Path = Path("."),
) -> Objects:
    """Boxes, or the extents of point sets, as they are written; nothing is put right.

    Args:
        field_name: What the study calls it.
        field: Its declaration.
        cells: Its cells by row; of a field with a side table the keys into that.  (n,)
        ids: Of the rows.  (n,)
        picture: The picture field they lie in.
        base: The study's folder, where the side table is.

    Raises:
        DataError: The side table cannot be read.
    """
    where = f"fields.{field_name}"
    side = field.side_table
    if side is not None and len(side.columns) != N_EDGES:
        raise DataError(
            say("fields.{name}.table.columns: must be four columns; got {n}.", name=field_name, n=len(side.columns))
        )
    if side is not None:
        rows = read_side_table(side, key=f"{where}.table.file", base=base)
        cells, _ = rows.cells(as_text(one) for one in cells)
    values, unread = _read(field, cells.reset_index(drop=True), ids, where)
    if isinstance(field, PointsField):
        return _extents(field_name, picture, values, unread)
    return _boxes(field_name, picture, values, unread)


def _read(
    field: BoxesField | PointsField, cells: pd.Series, ids: NDArray[Any], where: str
) -> tuple[list[tuple[int, Any]], tuple[int, ...]]:
    """Each row's value, and the rows that have none since nobody can read their cell."""
    try:
        return list(enumerate(field.read(cells, ids, where))), ()
    except DataError:
        found = list(_one_by_one(field, cells, ids, where))
        return (
            [(row, value) for row, value in found if value is not None],
            tuple(row for row, value in found if value is None),
        )


def _one_by_one(field: BoxesField | PointsField, cells: pd.Series, ids: NDArray[Any], where: str) -> Iterator[tuple[int, Any]]:
    for i in range(len(cells)):
        try:
            yield i, field.read(cells.iloc[i : i + 1], ids[i : i + 1], where)[0]
        except DataError:  # told by `Objects.unread`
            yield i, None


def _boxes(name: str, picture: str, values: list[tuple[int, Any]], unread: tuple[int, ...]) -> Objects:
    counts = [len(boxes) for _, boxes in values]
    rows = np.repeat(np.array([row for row, _ in values], dtype=np.int64), counts)
    edges = np.concatenate([boxes.edges for _, boxes in values]) if sum(counts) else np.empty((0, N_EDGES))
    names = [one for _, boxes in values for one in (boxes.names or ("",) * len(boxes))]
    codes, found = pd.factorize(np.array([one or None for one in names], dtype=object), sort=True)
    return Objects(
        field=name,
        picture=picture,
        rows=rows,
        heights=edges[:, 3] - edges[:, 1],
        widths=edges[:, 2] - edges[:, 0],
        codes=codes.astype(np.int64),
        classes=tuple(map(str, found)),
        edges=edges,
        unread=unread,
    )


def _extents(name: str, picture: str, values: list[tuple[int, Any]], unread: tuple[int, ...]) -> Objects:
    """The smallest upright box around the points of each row that has at least two."""
    rows = np.array([row for row, _ in values], dtype=np.int64)
    points = np.array([points for _, points in values], dtype=np.float64)  # (n, k, 2)
    seen = ~np.isnan(points).any(axis=2) if points.ndim == 3 else np.zeros((len(rows), 0), dtype=bool)
    kept = seen.sum(axis=1) >= 2
    rows, points = rows[kept], points[kept]
    low = np.nanmin(points, axis=1) if len(points) else np.empty((0, 2))
    high = np.nanmax(points, axis=1) if len(points) else np.empty((0, 2))
    return Objects(
        field=name,
        picture=picture,
        rows=rows,
        heights=high[:, 1] - low[:, 1],
        widths=high[:, 0] - low[:, 0],
        codes=np.full(len(rows), -1),
        classes=(),
        edges=np.concatenate([low, high], axis=1),
        is_extent=True,
        unread=unread,
    )


def read_mask_objects(field_name: str, field: MaskField, facts: PictureFacts, *, picture: str) -> Objects:
    """Connected regions of each id in at most `MASKS_READ` masks, evenly spread over the rows.

    Args:
        field_name: What the study calls it.
        field: Its declaration.
        facts: What was found of the mask files.
        picture: The picture field they lie on.
    """
    whole = np.flatnonzero(facts.whole & (facts.paths != ""))
    chosen = whole[np.unique(np.linspace(0, len(whole) - 1, min(MASKS_READ, len(whole))).astype(int))] if len(whole) else whole
    found: list[tuple[int, int, NDArray[np.float64]]] = []
    unread = []
    for row in chosen:
        try:
            data = Path(str(facts.paths[row])).read_bytes()
            info = inspect(data)
            mask = decode(data, info, 1, info.dtype, reading=Reading("mask"))
        except (UnreadableError, OSError):  # told by `Objects.unread`; the file was whole when it was scanned
            unread.append(int(row))
            continue
        found += [(int(row), value, edges) for value, edges in regions(mask.reshape(mask.shape[:2]), field.outside)]
    edges = np.array([one for _, _, one in found]).reshape(-1, N_EDGES)
    values, codes = np.unique(np.array([value for _, value, _ in found], dtype=np.int64), return_inverse=True)
    return Objects(
        field=field_name,
        picture=picture,
        rows=np.array([row for row, _, _ in found], dtype=np.int64),
        heights=edges[:, 3] - edges[:, 1],
        widths=edges[:, 2] - edges[:, 0],
        codes=codes.astype(np.int64),
        classes=tuple(field.names.get(int(value), str(value)) for value in values),
        edges=edges,
        unread=tuple(unread),
    )


def regions(mask: NDArray[Any], background: int = 0) -> list[tuple[int, NDArray[np.float64]]]:
    """The id and the edges (left, top, right, bottom) of each connected region that is more than a speck.

    Args:
        mask: An id for each pixel.  (h, w)
        background: The id that is nothing.
    """
    from scipy import ndimage

    out = []
    for value in np.unique(mask):
        if value == background:
            continue
        labels, n = ndimage.label(mask == value, structure=np.ones((3, 3)))
        areas = np.bincount(labels.ravel(), minlength=n + 1)[1:]
        for area, (rows, columns) in zip(areas, ndimage.find_objects(labels), strict=True):
            if area >= MIN_REGION_PX:
                out.append((int(value), np.array([columns.start, rows.start, columns.stop, rows.stop], dtype=np.float64)))
    return out
