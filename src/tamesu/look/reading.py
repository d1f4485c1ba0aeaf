"""Reads a study's tables, pictures, series and objects once, whatever state they are in: one `Material`.

The door for training (`data.py`) refuses rows that are not what the study says; this one takes them as they are, since saying
what they are is its task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import TypeAdapter

from tamesu.columns import CellSource, cell_sources, columns_of_arrays
from tamesu.errors import ConfigError, DataError
from tamesu.fields import BoxesField, DepthField, Field, IdField, ImageField, MaskField, PointsField, SeriesField, as_text
from tamesu.folds import check_folds, make_splits
from tamesu.look.columns import Column, read_column
from tamesu.look.material import Material, Objects, PictureFacts
from tamesu.look.populations import make_populations
from tamesu.look.series import series_properties
from tamesu.picture_files import add_suffix
from tamesu.sources import RawTable, read_python, read_source
from tamesu.texts import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from tamesu.config import StudyConfig

    Progress = Callable[[str, int, int], None]

ONE_CLASS = ("label", "direction")
FEW_CLASSES = 20  # different numbers up to which a target that nobody declared is taken for classes
MIX = np.uint64(0x9E3779B97F4A7C15)  # an odd number without pattern: 2^64 over the golden ratio


def read_material(
    config: StudyConfig,
    *,
    base: Path,
    cache: Path | None = None,
    train: Any = None,
    test: Any = None,
    compare: str = "",
    progress: Progress | None = None,
) -> Material:
    """Everything a study names, read.

    Args:
        config: The study; it may lack a target.
        base: Folder that relative paths start from.
        cache: Where what is known of pictures is kept.
        train: Rows from Python in place of `data.train`.
        test: The same in place of `data.test`.
        compare: Which rows are held side by side: "train:test", a column, or "column=a:b"; "": what there is.
        progress: Told what is being done, and how far it is.

    Raises:
        DataError: There is no table at all to look at.
        ConfigError: `compare` names no column.
    """
    root = base / config.data.root
    versions = {name: [one] for name, one in config.fields.items()}
    sources = cell_sources(versions)
    tables: list[RawTable] = []
    warnings: list[str] = []
    for key, source, rows in (("train", config.data.train, train), ("test", config.data.test, test)):
        if source is None and rows is None:
            continue
        if progress is not None:
            progress(say("reading {what}", what=f"data.{key}"), 0, 1)
        try:
            tables.append(
                read_python(rows, key, root, cells=columns_of_arrays(versions, sources))
                if rows is not None
                else read_source(source, key=f"data.{key}", base=base, root=root, numbers=(), used=None)  # type: ignore[arg-type]
            )
        except DataError as error:
            if key == "train":
                raise
            warnings += error.mistakes
    if not tables:
        raise DataError(say("data.train: must name the training rows; got nothing."))
    reader = _Reader(config, sources, tables, base, cache, progress, [*warnings, *(n for t in tables for n in t.notes)])
    return reader.material(compare)


def make_material(
    train: pd.DataFrame,
    test: pd.DataFrame | None = None,
    *,
    target: str = "",
    fields: Mapping[str, Any] | None = None,
    config: StudyConfig | None = None,
    compare: str = "",
    base: Path = Path("."),
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Material:
    """A material of rows from Python, with or without a study.

    Args:
        train: Rows.
        test: More rows.
        target: The column to predict; "": the one `fields` marks.
        fields: What columns mean, as in study.yaml; columns not named are read all the same.
        config: A whole study in place of `fields`.
        compare: As in `read_material`.
        base: Where file names start.
        cache: As in `read_material`.
        progress: As in `read_material`.
    """
    from tamesu.config import StudyConfig

    if config is None:
        one = TypeAdapter(Field)
        given = {name: one.validate_python(dict(value)) for name, value in (fields or {}).items()}
        if target and target not in given:
            texts = train[target]
            few = not pd.api.types.is_numeric_dtype(texts.dtype) or texts.nunique() <= FEW_CLASSES
            given[target] = one.validate_python({"kind": "label" if few else "number", "target": True})
        config = StudyConfig(fields=given)
    return read_material(config, base=base, cache=cache, train=train, test=test, compare=compare, progress=progress)


@dataclass
class _Reader:
    """Turns tables into a material, and collects what could not be read."""

    config: StudyConfig
    sources: Mapping[str, CellSource]
    tables: list[RawTable]
    base: Path
    cache: Path | None
    progress: Progress | None
    warnings: list[str]

    def material(self, compare: str) -> Material:
        sizes = [_length(one) for one in self.tables]
        table = np.repeat(np.arange(len(sizes), dtype=np.int8), sizes)
        names = list(dict.fromkeys(name for one in self.tables for name in one.frame.columns))
        declared = {column: name for name in self.config.fields for column in self._own_columns(name)}
        target = next((name for name, one in self.config.fields.items() if one.target), "")
        target_column = self.sources[target].column if target and self.sources[target].column in names else ""
        id_column = self._id_column()
        columns: dict[str, Column] = {}
        for i, name in enumerate(names):
            if self.progress is not None:
                self.progress(say("reading {what}", what=say("columns")), i, len(names))
            field = declared.get(name, "")
            columns[name] = read_column(
                self._cells(name),
                name,
                declared=self.config.fields[field].kind if field else "",
                field=field,
                is_target=name == target_column,
            )
        ids = self._ids(id_column, sizes)
        pictures = self._pictures()
        classes, labels = self._labels(columns, target, target_column)
        groups = self._groups(columns)
        folds, folds_by = self._folds(labels, classes, groups, table == 0)
        populations, why_alone = make_populations(compare, columns, table, has_test=len(self.tables) > 1, splits=target_column)
        return Material(
            name=self.config.name,
            ids=ids,
            table=table,
            columns=columns,
            row_digests=self._digests(names, {id_column, target_column}, len(ids)),
            id_column=id_column,
            target=target_column,
            target_kind=self.config.fields[target].kind if target else "",
            classes=classes,
            labels=labels,
            pictures=pictures,
            properties={
                **{f"{name}.{key}": values for name, one in pictures.items() for key, values in one.properties.items()},
                **{
                    f"{name}.{key}": values.astype(np.float32)
                    for name, one in pictures.items()
                    for key, values in (("height_px", _known(one.heights)), ("width_px", _known(one.widths)))
                },
                **self._series(ids),
            },
            objects=self._objects(ids, pictures),
            populations=populations,
            why_alone=why_alone,
            groups=groups,
            folds=folds,
            folds_by=folds_by,
            config=self.config,
            base=self.base,
            cache=self.cache,
            warnings=tuple(dict.fromkeys(self.warnings)),
        )

    def _own_columns(self, name: str) -> tuple[str, ...]:
        source = self.sources[name]
        return () if source.side is not None and not source.is_given else source.wanted

    def _cells(self, name: str) -> pd.Series:
        """One column over all tables; of another type in each, it is text."""
        parts = [one.frame[name] if name in one.frame else pd.Series([None] * _length(one), dtype="str") for one in self.tables]
        if len(parts) == 1:
            return parts[0].reset_index(drop=True)
        if len({part.dtype for part in parts if part.notna().any()}) > 1:
            parts = [part.astype(object).map(as_text, na_action="ignore").astype("str") for part in parts]
        else:
            known = next((part.dtype for part in parts if part.notna().any()), parts[0].dtype)
            parts = [part if part.dtype == known else pd.Series([None] * len(part), dtype=object) for part in parts]
        return pd.concat(parts, ignore_index=True)

    def _id_column(self) -> str:
        by_kind = next(
            (self.sources[name].column for name, one in self.config.fields.items() if isinstance(one, IdField)), None
        )
        wanted = self.config.data.id or by_kind or self.tables[0].id or ""
        return wanted if wanted in self.tables[0].frame.columns else ""

    def _ids(self, column: str, sizes: list[int]) -> NDArray[np.object_]:
        out = [
            one.frame[column].astype(object).map(as_text, na_action="ignore").fillna("").to_numpy(dtype=object)
            if column in one.frame
            else np.arange(n).astype(str).astype(object)
            for one, n in zip(self.tables, sizes, strict=True)
        ]
        return np.concatenate(out)

    def _digests(self, names: list[str], leave_out: set[str], n: int) -> NDArray[np.uint64]:
        kept = [name for name in names if name not in leave_out]
        if not kept:
            return np.arange(n, dtype=np.uint64)
        total = np.zeros(n, dtype=np.uint64)
        for name in kept:
            with np.errstate(over="ignore"):
                cells = self._cells(name)
                plain = cells if cells.dtype != object else cells.astype(str)
                one = pd.util.hash_pandas_object(plain, index=False).to_numpy().astype(np.uint64)
                total = total * MIX + one
                total ^= total >> np.uint64(29)
        return total

    def _labels(self, columns: Mapping[str, Column], target: str, column: str) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        n = sum(_length(one) for one in self.tables)
        if not column or self.config.fields[target].kind not in ONE_CLASS:
            return (), np.full(n, -1)
        cells = columns[column]
        missing = {text.strip() for text in getattr(self.config.fields[target], "missing_values", ())}
        classes = tuple(sorted(str(level) for level in cells.levels if level not in missing))
        place = {name: i for i, name in enumerate(classes)}
        of_level = np.array([place.get(str(level), -1) for level in cells.levels] + [-1, -1], dtype=np.int64)
        return classes, of_level[cells.codes]

    def _groups(self, columns: Mapping[str, Column]) -> NDArray[np.int64] | None:
        group = self.config.folds.group
        if group is None or group not in self.sources or self.sources[group].column not in columns:
            return None
        codes, _ = pd.factorize(self._cells(self.sources[group].column), use_na_sentinel=True)
        return codes.astype(np.int64)

    def _folds(
        self,
        labels: NDArray[np.int64],
        classes: tuple[str, ...],
        groups: NDArray[np.int64] | None,
        is_train: NDArray[np.bool_],
    ) -> tuple[NDArray[np.int64] | None, str]:
        """The fold of the first repeat that scores each row; rows without a label are in none."""
        rows = np.flatnonzero(is_train & (labels >= 0) if classes else is_train)
        if groups is not None:
            rows = rows[groups[rows] >= 0]
        strata = labels[rows] if classes and self.config.folds.stratify == "auto" else None
        own = None if groups is None else groups[rows]
        if len(rows) < self.config.folds.n_splits or check_folds(self.config.folds, n=len(rows), labels=None, groups=own)[0]:
            return None, ""
        out = np.full(len(is_train), -1)
        try:
            for split in make_splits(self.config.folds, n=len(rows), labels=strata, groups=own, n_repeats=1):
                out[rows[split.test]] = split.fold
        except DataError as error:
            self.warnings += error.mistakes
            return None, ""
        by = f"group {self.config.folds.group}" if groups is not None else "stratified" if strata is not None else "plain"
        return out, by

    def _pictures(self) -> dict[str, PictureFacts]:
        from tamesu.look.pictures import scan_pictures

        found: dict[str, PictureFacts] = {}
        for name, one in self.config.fields.items():
            if not isinstance(one, ImageField | MaskField | DepthField):
                continue
            column, first = self.sources[name].column, self.tables[0]
            if not any(column in table.frame or column in table.arrays for table in self.tables):
                self.warnings.append(say("`{name}`: there is no such column; its pictures were not looked at.", name=column))
                continue
            depth: dict[str, Any] = (
                {"unit_m": one.unit_m, "missing": one.missing, "encoding": one.encoding} if isinstance(one, DepthField) else {}
            )
            arrays = [picture for table in self.tables for picture in table.arrays.get(column, [None] * _length(table))]
            found[name] = scan_pictures(
                name,
                self._names(column),
                first.root,
                kind=one.kind,
                arrays=arrays if any(column in table.arrays for table in self.tables) else None,
                cache=self.cache,
                progress=self.progress,
                **depth,
            )
        return found

    def _names(self, column: str) -> list[str | None]:
        """File names by row, those of another root made whole."""
        out: list[str | None] = []
        for table in self.tables:
            if column not in table.frame:
                out += [None] * _length(table)
                continue
            cells = table.frame[column].astype(object)
            texts = [None if cell is None or cell is pd.NA or cell != cell else as_text(cell) or None for cell in cells]
            suffix = add_suffix(table.root, [text for text in texts[:1] if text])
            elsewhere = table.root != self.tables[0].root
            out += [
                None if text is None else str(table.root / (text + suffix)) if elsewhere else text + suffix for text in texts
            ]
        return out

    def _series(self, ids: NDArray[np.object_]) -> dict[str, NDArray[np.float32]]:
        found = {}
        for name, one in self.config.fields.items():
            if not isinstance(one, SeriesField):
                continue
            try:
                found.update(series_properties(name, one, self._keys(name, ids), base=self.base))
            except (DataError, ConfigError) as error:
                self.warnings += error.mistakes
        return found

    def _keys(self, name: str, ids: NDArray[np.object_]) -> pd.Series:
        """The cells of a field, or the ids where its side table goes by them."""
        column = self.sources[name].column
        there = any(column in table.frame for table in self.tables)
        return self._cells(column) if there else pd.Series(ids, dtype=object)

    def _objects(self, ids: NDArray[np.object_], pictures: Mapping[str, PictureFacts]) -> dict[str, Objects]:
        from tamesu.look.objects import read_mask_objects, read_objects

        found: dict[str, Objects] = {}
        shown = next((name for name, one in pictures.items() if one.kind == "image"), next(iter(pictures), ""))
        for name, one in self.config.fields.items():
            if not shown or not isinstance(one, BoxesField | PointsField | MaskField):
                continue
            picture = one.of or shown
            try:
                if not isinstance(one, MaskField):
                    found[name] = read_objects(name, one, self._object_cells(name, ids), ids, picture=picture, base=self.base)
                elif name in pictures and not one.input:
                    found[name] = read_mask_objects(name, one, pictures[name], picture=picture)
            except (DataError, ConfigError) as error:
                self.warnings += error.mistakes
        return found

    def _object_cells(self, name: str, ids: NDArray[np.object_]) -> pd.Series:
        source = self.sources[name]
        if source.parts:
            return pd.Series(list(zip(*(self._cells(part).tolist() for part in source.parts), strict=True)), dtype=object)
        return self._keys(name, ids)


def _length(table: RawTable) -> int:
    return len(table.frame) if len(table.frame.columns) else len(next(iter(table.arrays.values()), ()))


def _known(pixels: NDArray[np.int32]) -> NDArray[np.float32]:
    return np.where(pixels > 0, pixels, np.nan).astype(np.float32)
