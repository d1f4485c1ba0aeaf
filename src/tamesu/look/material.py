"""Everything `look` has read, once: what each analysis is given, and nothing else.

Rows of the training table come first, then those of the test table; every array over rows follows that order.
Axis letters: `n` rows of all tables, `m` objects, `e` numbers of an embedding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tamesu.look.columns import Column
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.config import StudyConfig

TRAIN, TEST = 0, 1


@dataclass(frozen=True, eq=False)
class PictureFacts:
    """What one pass over a column of pictures found. Rows without a whole picture have 0, NaN or "" everywhere.

    Attributes:
        field: The field's name.
        kind: How its numbers are read.
        names: As the table names them; a row's number for arrays.  (n,) object
        paths: Where the file is; "" where the row names none, or for arrays.  (n,) object
        status: "" whole, "none" where the row names no file, "missing" no such file, else why it cannot be read.  (n,) object
        heights: As seen, in pixels.  (n,)
        widths: The same.  (n,)
        properties: By name, (n,) float32, NaN where not known: brightness, contrast, sharpness, saturation, red, green, blue
            (0–1), aspect (w / h), file_kb; of depth nearest_m, median_m, farthest_m, hole_fraction.
        flags: By name, (n,) bool: animated, cmyk, exif_rotated, palette, sixteen_bit, wrong_extension, has_alpha.
        file_digests: Of the file's bytes; 0 where there is none.  (n,) uint64
        pixel_digests: Of size and pixels as seen.  (n,) uint64
        hashes: Perceptual hash of 64 bits; near-duplicates differ in few.  (n,) uint64
        embedding: A short description by classical features, or by a backbone whose weights are at hand.  (n, e) float32
        n_structure: How many of its first numbers describe form; the others describe colour.
        unused: Files in the pictures' folder that no row names.
        arrays: Pictures in memory, (h, w) or (h, w, c) each, None for a row without one; None: they are files.  n
    """

    field: str
    kind: Literal["image", "mask", "depth"]
    names: NDArray[np.object_]
    paths: NDArray[np.object_]
    status: NDArray[np.object_]
    heights: NDArray[np.int32]
    widths: NDArray[np.int32]
    properties: Mapping[str, NDArray[np.float32]]
    flags: Mapping[str, NDArray[np.bool_]]
    file_digests: NDArray[np.uint64]
    pixel_digests: NDArray[np.uint64]
    hashes: NDArray[np.uint64]
    embedding: NDArray[np.float32]
    n_structure: int
    unused: tuple[str, ...] = ()
    arrays: Sequence[NDArray[Any] | None] | None = None

    @property
    def whole(self) -> NDArray[np.bool_]:
        """Rows that have a picture.  (n,)"""
        return self.status == ""


@dataclass(frozen=True, eq=False)
class Objects:
    """Things marked in pictures, by boxes, points or masks.

    Attributes:
        field: The field that marks them.
        picture: The picture field they lie in.
        rows: Which row each belongs to.  (m,)
        heights: In original pixels; may be 0 or negative where they are wrong.  (m,)
        widths: The same.  (m,)
        codes: Class of each; -1 where it has none.  (m,)
        classes: Their names.
        edges: left, top, right, bottom in original pixels, where they are known.  (m, 4)
        is_extent: They are the extents of point sets, which may be flat.
        unread: Rows whose cell cannot be read.
    """

    field: str
    picture: str
    rows: NDArray[np.int64]
    heights: NDArray[np.float64]
    widths: NDArray[np.float64]
    codes: NDArray[np.int64]
    classes: tuple[str, ...]
    edges: NDArray[np.float64] | None = None
    is_extent: bool = False
    unread: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Populations:
    """Two or more kinds of rows to hold side by side.

    Attributes:
        by: "table" (train and test), or the column whose values they are.
        names: Of each.
        of: Which one each row belongs to; -1: none.  (n,)
    """

    by: str
    names: tuple[str, ...]
    of: NDArray[np.int64]

    def rows(self, name: str) -> NDArray[np.int64]:
        """Positions of one population's rows."""
        return np.flatnonzero(self.of == self.names.index(name))

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Each two that are held side by side: the first with each other one."""
        for other in self.names[1:]:
            yield self.names[0], other


@dataclass(frozen=True, eq=False)
class Material:
    """What `look` has read.

    Attributes:
        name: The study's.
        ids: Of the rows, as text; unique within a table.  (n,) object
        table: `TRAIN` or `TEST`.  (n,)
        columns: By name, every column of the tables, declared or not; the target's cells are empty in test rows without it.
        row_digests: Of all cells but the id's and the target's; equal rows are exact duplicates.  (n,) uint64
        id_column: The column that names rows; "" where their number does.
        target: Name of the target's column; "" where the study has none, or one that is no column.
        target_kind: number, label, … ; "" without target.
        classes: Names of the target's classes, sorted; () unless it is one class a row.
        labels: Class of each row; -1 where not known.  (n,)
        pictures: By field name.
        properties: By "field.property": numbers known of each row's pictures and series (brightness, length …), NaN where not.
            (n,) float32
        objects: By field name.
        populations: What is held side by side; None: nothing, for the reason in `why_alone`.
        groups: Codes of the study's `folds.group`, -1 where missing; None: none is declared.  (n,)
        folds: The fold of the first repeat that scores each row; -1: none; None: folds cannot be drawn.  (n,)
        folds_by: What the folds respect: "group <column>", "stratified", "plain".
        config: The study, where there is one.
        base: Folder that paths start from.
        cache: Folder for what is worth keeping.
        warnings: What could not be read.
    """

    name: str
    ids: NDArray[np.object_]
    table: NDArray[np.int8]
    columns: Mapping[str, Column]
    row_digests: NDArray[np.uint64]
    id_column: str = ""
    target: str = ""
    target_kind: str = ""
    classes: tuple[str, ...] = ()
    labels: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    pictures: Mapping[str, PictureFacts] = field(default_factory=dict)
    properties: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    objects: Mapping[str, Objects] = field(default_factory=dict)
    populations: Populations | None = None
    why_alone: str = ""
    groups: NDArray[np.int64] | None = None
    folds: NDArray[np.int64] | None = None
    folds_by: str = ""
    config: StudyConfig | None = None
    base: Path = Path(".")
    cache: Path | None = None
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def is_train(self) -> NDArray[np.bool_]:
        """Rows of the training table.  (n,)"""
        return self.table == TRAIN

    @property
    def first_picture(self) -> PictureFacts | None:
        """The pictures to show a row by: the first image, else the first mask or depth."""
        ordered = sorted(self.pictures.values(), key=lambda one: one.kind != "image")
        return ordered[0] if ordered else None

    @cached_property
    def is_namesake(self) -> NDArray[np.bool_]:
        """Test rows whose id a training row has too.  (n,)"""
        out = ~self.is_train
        if out.any():
            out[out] = pd.Index(self.ids[out].astype(str)).isin(pd.Index(self.ids[self.is_train].astype(str)))
        return out

    def shown(self, rows: NDArray[np.int64]) -> tuple[str, ...]:
        """Ids of these rows, for a finding; a test row whose id a training row has too says that it is of the test table."""
        return tuple(
            say("{id} (test)", id=one) if twice else str(one)
            for one, twice in zip(self.ids[rows], self.is_namesake[rows], strict=True)
        )
