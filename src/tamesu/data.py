"""The only door for rows: tables, folders, databases and arrays become one `Dataset`; every mistake is reported at once.

Axis letters, here and everywhere: `n` samples, `c` channels, `h w` image height and width, `t` time, `f` features,
`k` outputs (classes), `b` batch, `r` repeats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tamesu.agreement import check_agreement, unknown_names
from tamesu.classes import ONE_CLASS, Typed, find_classes, in_order, seen_classes, target_mistakes
from tamesu.columns import CellSource, cell_sources, columns_of_arrays, number_columns, read_cells, source_mistakes
from tamesu.dataset import Dataset as Dataset
from tamesu.dataset import column_digest
from tamesu.decode import Reading
from tamesu.errors import DataError, suggest
from tamesu.fields import DepthField, Field, SideTable, as_text, some_rows
from tamesu.fields.series import FileColumns
from tamesu.picture_files import Progress
from tamesu.picture_sets import PictureColumn, read_arrays, read_files
from tamesu.series_files import read_series_files
from tamesu.side_tables import SideRows, read_side_table
from tamesu.sources import RawTable, read_python, read_source
from tamesu.texts import say

if TYPE_CHECKING:
    from pathlib import Path

    from tamesu.config import StudyConfig

UNREAD = frozenset({"ignore", "id"})  # kinds that hold no values
N_OF_A_BOX = 4  # columns that make one
TIMED = ("series", "steps", "events", "derived")  # kinds for which it counts when a reading was taken


@dataclass(frozen=True)
class Data:
    """What `read_data` found: training rows, test rows if any, columns that no field names, and what is worth knowing."""

    train: Dataset
    test: Dataset | None
    ignored: tuple[str, ...]
    warnings: tuple[str, ...]


def read_data(
    config: StudyConfig,
    fields: Mapping[str, list[Field]],
    *,
    base: Path,
    cache: Path,
    train: Any = None,
    test: Any = None,
    progress: Progress | None = None,
) -> Data:
    """All rows of a study, checked.

    Args:
        config: The study; of it, `data` says where the rows are.
        fields: By name, every version of each field over all arms.
        base: The study's folder, where relative paths start.
        cache: Where decoded pictures and what is known of files are kept.
        train: Rows from Python in place of `data.train`: a DataFrame, or columns by name.
        test: The same in place of `data.test`.
        progress: Called with (done, total) while picture files are looked at.

    Raises:
        DataError: All mistakes in the rows, each with where it is.
    """
    mistakes = source_mistakes(fields)
    sources = cell_sources(fields)
    root = base / config.data.root
    used = {name for source in sources.values() for name in source.wanted} | ({config.data.id} if config.data.id else set())
    tables: dict[str, RawTable] = {}
    for key, source, rows in (("train", config.data.train, train), ("test", config.data.test, test)):
        if source is None and rows is None:
            continue
        try:
            tables[key] = (
                read_python(rows, key, root, cells=columns_of_arrays(fields, sources))
                if rows is not None
                else read_source(
                    source,  # type: ignore[arg-type]
                    key=f"data.{key}",
                    base=base,
                    root=root,
                    numbers=number_columns(fields, sources),
                    used=used,
                )
            )
        except DataError as error:
            mistakes += error.mistakes
    if train is None and config.data.train is None:
        mistakes.append(say("data.train: must name the training rows; got nothing."))
    door = _Door(
        config, fields, sources, base, cache, progress, mistakes, [note for table in tables.values() for note in table.notes]
    )
    read_train = door.train(tables["train"]) if "train" in tables else None
    read_test = door.test(tables["test"], read_train) if "test" in tables else None
    door.warn_of_strangers()
    if mistakes or read_train is None:
        raise DataError(list(dict.fromkeys(mistakes)))
    ignored = tuple(name for name in tables["train"].columns if name not in used | {tables["train"].id})
    return Data(read_train, read_test, ignored, tuple(dict.fromkeys(door.warnings)))


def read_rows(config: StudyConfig, rows: Any, where: str, *, cache: Path) -> Dataset:
    """Rows from Python as they are predicted, without a target; checked.

    Args:
        config: The study.
        rows: A DataFrame, or columns by name.
        where: What messages call them.
        cache: Where pictures are kept.

    Raises:
        DataError: All mistakes in the rows, each with where it is.
    """
    fields = {name: [one] for name, one in config.fields.items()}
    mistakes = source_mistakes(fields)
    sources = cell_sources(fields)
    raw = read_python(rows, where, cache, cells=columns_of_arrays(fields, sources))
    dataset = _Door(config, fields, sources, cache, cache, None, mistakes, []).test(raw, None)
    if mistakes or dataset is None:
        raise DataError(list(dict.fromkeys(mistakes)))
    return dataset


@dataclass
class _Door:
    """Turns raw tables into datasets and collects what is wrong with them."""

    config: StudyConfig
    fields: Mapping[str, list[Field]]
    sources: Mapping[str, CellSource]  # of each field
    base: Path
    cache: Path
    progress: Progress | None
    mistakes: list[str]
    warnings: list[str]
    side_rows: dict[SideTable, SideRows | None] = field(default_factory=dict)  # None: it could not be read
    asked: dict[SideTable, NDArray[np.bool_]] = field(default_factory=dict)  # keys that a row has

    def train(self, raw: RawTable) -> Dataset | None:
        names = [name for name, versions in self.fields.items() if {one.kind for one in versions} - {"ignore"}]
        dataset = self._dataset(raw, names)
        if dataset is None:
            return None
        typed = self._typed(dataset, raw)
        for name, one, values in typed:
            where = self.sources[name].where(raw)
            if one.target:
                self.mistakes += target_mistakes(where, one.kind, values, dataset.ids)
            elif one.kind == "number" and np.isnan(values).all():
                self.warnings.append(say("{where}: every number is missing.", where=where))
        classes = find_classes(typed)
        self.mistakes += unknown_names(typed, self.fields, classes)
        self._agree(dataset, typed, raw)
        return replace(dataset, classes=classes)

    def test(self, raw: RawTable, train: Dataset | None) -> Dataset | None:
        targets = {name for name, versions in self.fields.items() if any(one.target for one in versions)}
        names = [
            name for name, versions in self.fields.items() if name not in targets and any(one.is_given for one in versions)
        ]
        there = [name for name in self.fields if not self.sources[name].missing(raw)]
        if train is not None:
            self._check_test_targets(raw, train, [name for name in targets if name in there])
        names += [name for name in there if name not in targets and name not in names and self._is_kind(name, "group")]
        dataset = self._dataset(raw, names)
        if dataset is None:
            return None
        typed = self._typed(dataset, raw)
        self._agree(dataset, typed, raw)
        if train is None:
            return dataset
        for name, one, values in typed:
            if one.kind in ONE_CLASS:
                unseen = seen_classes(one, values) - set(train.classes.get((name, one.kind), ()))
                self._warn_unseen(unseen, self.sources[name].where(raw))
        return replace(dataset, classes=train.classes)

    def warn_of_strangers(self) -> None:
        """Tell of rows in side tables that belong to no sample."""
        for side, asked in self.asked.items():
            rows = self.side_rows[side]
            if rows is None or asked.all():
                continue
            unknown = rows.keys[~asked]
            shown = ", ".join(map(repr, unknown[:5])) + (", …" if len(unknown) > 5 else "")
            where = f"{side.file} {side.key}"
            if asked.any():
                text = say("{where}: {n} keys belong to no row: {shown}.", where=where, n=len(unknown), shown=shown)
                self.warnings.append(text)
            else:
                text = say("{where}: must hold keys of the table's rows; got only others: {shown}.", where=where, shown=shown)
                self.mistakes.append(text)

    def _check_test_targets(self, raw: RawTable, train: Dataset, names: list[str]) -> None:
        for name in names:
            source = self.sources[name]
            if source.side is not None:
                continue
            where = source.where(raw)
            self.warnings.append(say("{where}: the target in the test table is left out.", where=where))
            for one in self.fields[name]:
                if one.kind in ("label", "labels", "direction") and source.column in raw.frame:
                    cells = raw.frame[source.column]
                    values = one.model_copy(update={"target": False}).read(cells, np.arange(len(cells)).astype(object), where)
                    self._warn_unseen(seen_classes(one, values) - set(train.classes.get((name, one.kind), ())), where)

    def _warn_unseen(self, classes: set[str], where: str) -> None:
        if classes:
            shown = ", ".join(map(repr, in_order(classes)[:5])) + (", …" if len(classes) > 5 else "")
            self.warnings.append(
                say("{where}: {n} classes are not in the training rows: {shown}.", where=where, n=len(classes), shown=shown)
            )

    def _is_kind(self, name: str, kind: str) -> bool:
        return any(one.kind == kind for one in self.fields[name])

    def _dataset(self, raw: RawTable, names: list[str]) -> Dataset | None:
        """Cells and pictures under their fields' names, without classes and what is not there; None without rows."""
        id_column = self.config.data.id or next(
            (self.sources[name].column for name in self.fields if self._is_kind(name, "id")), raw.id
        )
        self._check_columns(raw, names, id_column)
        if len(raw.frame) == 0:
            self.mistakes.append(say("{where}: must have rows; got none.", where=raw.where))
            return None
        ids = self._ids(raw, id_column)
        pictures, digests, table = {}, {}, {}
        for name in names:
            if self.sources[name].missing(raw):
                continue
            if any(one.is_picture for one in self.fields[name]):
                found = self._pictures(raw, name, ids)
                digests[name] = found.digest
                if found.pictures is not None:
                    pictures[name] = found.pictures
            if any(not one.is_picture and one.kind not in UNREAD for one in self.fields[name]):
                cells = self._cells(raw, self.sources[name], ids)
                if cells is not None:
                    table[name] = cells[0]
                    digests[name] = digests.get(name, "") + cells[1]
        return Dataset(ids, pd.DataFrame(table, index=pd.RangeIndex(len(ids))), pictures, {}, digests, raw.where)

    def _check_columns(self, raw: RawTable, names: list[str], id_column: str | None) -> None:
        for name in names:
            source = self.sources[name]
            for column in source.missing(raw):
                near = suggest(column, raw.columns)
                if source.parts:
                    text = say(
                        "{where}: field {name!r} must have all its columns; got no column {column!r}.{near}",
                        where=raw.where,
                        name=name,
                        column=column,
                        near=near,
                    )
                else:
                    text = say(
                        "{where}: field {name!r} must be a column; got no column {column!r}.{near}",
                        where=raw.where,
                        name=name,
                        column=column,
                        near=near,
                    )
                self.mistakes.append(text)
        if (
            id_column is not None
            and id_column not in raw.columns
            and id_column not in {self.sources[name].column for name in names}
        ):
            near = suggest(id_column, raw.columns)
            self.mistakes.append(
                say("{where}: data.id must be a column; got {name!r}.{near}", where=raw.where, name=id_column, near=near)
            )

    def _cells(self, raw: RawTable, source: CellSource, ids: NDArray[np.object_]) -> tuple[pd.Series, str] | None:
        """The cells of one field and their digest; None where they are a mistake."""
        if source.side is not None:
            return self._side_cells(raw, source, source.side, ids)
        if source.files is not None:
            return self._file_cells(raw, source, source.files, ids)
        if any(column in raw.arrays for column in source.wanted):
            text = say("{where}: must hold one value a row; got arrays. Declare `kind: image`.", where=source.where(raw))
            self.mistakes.append(text)
            return None
        return read_cells(raw, source)

    def _side_cells(
        self, raw: RawTable, source: CellSource, side: SideTable, ids: NDArray[np.object_]
    ) -> tuple[pd.Series, str] | None:
        if self._is_kind(source.name, "boxes") and len(side.columns) != N_OF_A_BOX:
            n = len(side.columns)
            text = say("fields.{name}.table.columns: must be four columns; got {n}.", name=source.name, n=n)
            self.mistakes.append(text)
            return None
        if side not in self.side_rows:
            self.side_rows[side] = None
            try:
                self.side_rows[side] = read_side_table(
                    side,
                    key=f"fields.{source.name}.table.file",
                    base=self.base,
                    names_may_miss=self._is_kind(source.name, "steps"),
                )
            except DataError as error:
                self.mistakes += error.mistakes
        rows = self.side_rows[side]
        if rows is None:
            return None
        keys = map(as_text, raw.frame[source.column]) if source.column in raw.frame else ids
        cells, asked = rows.cells(keys, timed=any(self._is_kind(source.name, kind) for kind in TIMED))
        self.asked[side] = asked | self.asked.get(side, False)
        return cells, column_digest(cells)

    def _file_cells(
        self, raw: RawTable, source: CellSource, files: FileColumns, ids: NDArray[np.object_]
    ) -> tuple[pd.Series, str] | None:
        try:
            cells = read_series_files(raw.frame[source.column], ids, files, where=source.where(raw), root=raw.root)
        except DataError as error:
            self.mistakes += error.mistakes
            return None
        return cells, column_digest(cells)

    def _ids(self, raw: RawTable, id_column: str | None) -> NDArray[np.object_]:
        if id_column is None or id_column not in raw.frame:
            return np.array([str(i) for i in range(len(raw.frame))], dtype=object)
        column = raw.frame[id_column]
        ids = np.array([as_text(value) for value in column.astype(object)], dtype=object)
        where = f"{raw.where} {id_column}"
        blank = column.isna().to_numpy() | (ids == "")
        if blank.any():
            rows = some_rows(np.arange(len(ids)).astype(object), blank)
            self.mistakes.append(say("{where}: {rows} must have an id; got an empty cell.", where=where, rows=rows))
        twice = pd.Series(ids).duplicated(keep="first").to_numpy() & ~blank
        if twice.any():
            rows = some_rows(ids, twice)
            self.mistakes.append(say("{where}: ids must be unique; got {rows} more than once.", where=where, rows=rows))
        return ids

    def _pictures(self, raw: RawTable, name: str, ids: NDArray[np.object_]) -> PictureColumn:
        column = self.sources[name].column
        where = f"{raw.where} {column}"
        versions: list[Any] = [one for one in self.fields[name] if one.is_picture]
        channels, reading = versions[0].channels, _reading(versions[0])
        if any(_reading(one) != reading for one in versions):
            text = say("{where}: `kind` of a picture, `missing` and `encoding` cannot differ between ideas.", where=where)
            self.mistakes.append(text)
        elif any(one.channels != channels for one in versions):
            self.mistakes.append(say("{where}: channels cannot differ between ideas.", where=where))
        try:
            if column in raw.arrays:
                found = read_arrays(raw.arrays[column], ids, where=where, channels=channels, cache=self.cache, reading=reading)
            else:
                found = read_files(
                    raw.frame[column],
                    ids,
                    where=where,
                    root=raw.root,
                    channels=channels,
                    cache=self.cache,
                    progress=self.progress,
                    reading=reading,
                )
        except OSError as error:
            found = PictureColumn(None, "", (self._no_cache(where, error),))
        self.mistakes += found.mistakes
        self.warnings += found.warnings
        return found

    def _no_cache(self, where: str, error: OSError) -> str:
        return say(
            "{where}: the cache folder {cache} must be writable; got {error}.", where=where, cache=self.cache, error=error
        )

    def _agree(self, dataset: Dataset, typed: Typed, raw: RawTable) -> None:
        """Compare the fields with each other."""
        where = {name: source.where(raw) for name, source in self.sources.items()}
        try:
            found = check_agreement(dataset, typed, self.fields, where, self.progress)
        except OSError as error:
            self.mistakes.append(self._no_cache(raw.where, error))
            return
        self.mistakes += found.mistakes
        self.warnings += found.warnings

    def _typed(self, dataset: Dataset, raw: RawTable) -> Typed:
        """Every version of every field read once; what cannot be read is a mistake."""
        typed = []
        for name in dataset.table.columns:
            for one in self.fields[name]:
                if one.is_picture or one.kind in UNREAD:
                    continue
                try:
                    typed.append((name, one, one.read(dataset.table[name], dataset.ids, self.sources[name].where(raw))))
                except DataError as error:
                    self.mistakes += error.mistakes
        return typed


def _reading(one: Any) -> Reading:
    if not isinstance(one, DepthField):
        return Reading(one.kind)
    packed = one.encoding
    return Reading(one.kind, one.missing) if packed is None else Reading(one.kind, one.missing, **packed.model_dump())
