"""The only door for rows: tables, folders, databases and arrays become one `Dataset`; every mistake is reported at once.

Axis letters, here and everywhere: `n` samples, `c` channels, `h w` image height and width, `t` time, `f` features,
`k` outputs (classes), `b` batch, `r` repeats.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tamesu.dataset import Dataset as Dataset
from tamesu.dataset import column_digest
from tamesu.errors import DataError, suggest
from tamesu.fields import Field, ImageField, as_text, some_rows
from tamesu.picture_files import Progress
from tamesu.picture_sets import PictureColumn, read_arrays, read_files
from tamesu.sources import RawTable, read_python, read_source
from tamesu.texts import say

if TYPE_CHECKING:
    from pathlib import Path

    from tamesu.config import StudyConfig


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
    mistakes = _column_mistakes(fields)
    columns = {name: versions[0].column or name for name, versions in fields.items()}
    root = base / config.data.root
    tables: dict[str, RawTable] = {}
    for key, source, rows in (("train", config.data.train, train), ("test", config.data.test, test)):
        if source is None and rows is None:
            continue
        try:
            tables[key] = (
                read_python(rows, key, root)
                if rows is not None
                else read_source(
                    source,  # type: ignore[arg-type]
                    key=f"data.{key}",
                    base=base,
                    root=root,
                    numbers={columns[name] for name in fields if _only_numbers(name, columns, fields)},
                    used={*columns.values(), *([config.data.id] if config.data.id else [])},
                )
            )
        except DataError as error:
            mistakes += error.mistakes
    if train is None and config.data.train is None:
        mistakes.append(say("data.train: must name the training rows; got nothing."))
    door = _Door(
        config, fields, columns, cache, progress, mistakes, [note for table in tables.values() for note in table.notes]
    )
    read_train = door.train(tables["train"]) if "train" in tables else None
    read_test = door.test(tables["test"], read_train) if "test" in tables else None
    if mistakes or read_train is None:
        raise DataError(list(dict.fromkeys(mistakes)))
    used = {*columns.values(), config.data.id, tables["train"].id}
    ignored = tuple(name for name in tables["train"].columns if name not in used)
    return Data(read_train, read_test, ignored, tuple(dict.fromkeys(door.warnings)))


@dataclass
class _Door:
    """Turns raw tables into datasets and collects what is wrong with them."""

    config: StudyConfig
    fields: Mapping[str, list[Field]]
    columns: Mapping[str, str]  # of each field
    cache: Path
    progress: Progress | None
    mistakes: list[str]
    warnings: list[str]

    def train(self, raw: RawTable) -> Dataset | None:
        names = [name for name, versions in self.fields.items() if {one.kind for one in versions} - {"ignore"}]
        dataset = self._dataset(raw, names)
        if dataset is None:
            return None
        typed = self._typed(dataset)
        for name, field, values in typed:
            if field.target:
                self.mistakes += target_mistakes(f"{raw.where} {self.columns[name]}", field.kind, values, dataset.ids)
            elif field.kind == "number" and np.isnan(values).all():
                self.warnings.append(say("{where}: every number is missing.", where=f"{raw.where} {self.columns[name]}"))
        return replace(dataset, classes=_classes(typed))

    def test(self, raw: RawTable, train: Dataset | None) -> Dataset | None:
        targets = {name for name, versions in self.fields.items() if any(one.target for one in versions)}
        names = [
            name for name, versions in self.fields.items() if name not in targets and any(one.is_input for one in versions)
        ]
        known = {self.columns[name]: name for name in self.fields}
        if train is not None:
            self._check_test_targets(raw, train, [name for name in targets if self.columns[name] in raw.columns])
        names += [
            name
            for column, name in known.items()
            if column in raw.columns and name not in targets and name not in names and self._is_kind(name, "group")
        ]
        dataset = self._dataset(raw, names)
        if dataset is None:
            return None
        typed = self._typed(dataset)
        if train is None:
            return dataset
        for name, field, values in typed:
            if field.kind == "label":
                known_classes = set(train.classes.get((name, "label"), ()))
                self._warn_unseen(
                    {one for one in values if one is not None} - known_classes, f"{raw.where} {self.columns[name]}"
                )
        return replace(dataset, classes=train.classes)

    def _check_test_targets(self, raw: RawTable, train: Dataset, names: list[str]) -> None:
        for name in names:
            where = f"{raw.where} {self.columns[name]}"
            self.warnings.append(say("{where}: the target in the test table is left out.", where=where))
            for field in self.fields[name]:
                if field.kind in ("label", "labels") and self.columns[name] in raw.frame:
                    values = field.read(raw.frame[self.columns[name]], np.arange(len(raw.frame)).astype(object), where)
                    found = {one for one in values if one is not None} if field.kind == "label" else set().union(*values)
                    self._warn_unseen(found - set(train.classes.get((name, field.kind), ())), where)

    def _warn_unseen(self, classes: set[str], where: str) -> None:
        if classes:
            shown = ", ".join(map(repr, in_order(classes)[:5])) + (", …" if len(classes) > 5 else "")
            self.warnings.append(
                say("{where}: {n} classes are not in the training rows: {shown}.", where=where, n=len(classes), shown=shown)
            )

    def _is_kind(self, name: str, kind: str) -> bool:
        return any(one.kind == kind for one in self.fields[name])

    def _dataset(self, raw: RawTable, names: list[str]) -> Dataset | None:
        """Columns and pictures under their fields' names, without classes and what is not there; None without rows."""
        id_column = self.config.data.id or next(
            (self.columns[name] for name in self.fields if self._is_kind(name, "id")), raw.id
        )
        self._check_columns(raw, names, id_column)
        if len(raw.frame) == 0:
            self.mistakes.append(say("{where}: must have rows; got none.", where=raw.where))
            return None
        ids = self._ids(raw, id_column)
        there = [name for name in names if self.columns[name] in raw.columns]
        pictures, digests, table = {}, {}, {}
        for name in there:
            column = self.columns[name]
            if self._is_kind(name, "image"):
                found = self._pictures(raw, name, ids)
                digests[name] = found.digest
                if found.pictures is not None:
                    pictures[name] = found.pictures
            if any(one.kind not in ("image", "ignore", "id") for one in self.fields[name]):
                if column in raw.arrays:
                    where = f"{raw.where} {column}"
                    self.mistakes.append(
                        say("{where}: must hold one value a row; got arrays. Declare `kind: image`.", where=where)
                    )
                    continue
                table[name] = raw.frame[column].reset_index(drop=True)
                digests[name] = digests.get(name, "") + column_digest(table[name])
        return Dataset(ids, pd.DataFrame(table, index=pd.RangeIndex(len(ids))), pictures, {}, digests, raw.where)

    def _check_columns(self, raw: RawTable, names: list[str], id_column: str | None) -> None:
        for name in names:
            if self.columns[name] not in raw.columns:
                self.mistakes.append(
                    say(
                        "{where}: field {name!r} must be a column; got no column {column!r}.{near}",
                        where=raw.where,
                        name=name,
                        column=self.columns[name],
                        near=suggest(self.columns[name], raw.columns),
                    )
                )
        if id_column is not None and id_column not in raw.columns and id_column not in {self.columns[name] for name in names}:
            near = suggest(id_column, raw.columns)
            self.mistakes.append(
                say("{where}: data.id must be a column; got {name!r}.{near}", where=raw.where, name=id_column, near=near)
            )

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
        column = self.columns[name]
        where = f"{raw.where} {column}"
        wanted = {one.channels for one in self.fields[name] if isinstance(one, ImageField)}
        channels = wanted.pop()
        if wanted:
            self.mistakes.append(say("{where}: channels cannot differ between ideas.", where=where))
        try:
            if column in raw.arrays:
                found = read_arrays(raw.arrays[column], ids, where=where, channels=channels, cache=self.cache)
            else:
                values = raw.frame[column]
                found = read_files(
                    values, ids, where=where, root=raw.root, channels=channels, cache=self.cache, progress=self.progress
                )
        except OSError as error:
            text = say(
                "{where}: the cache folder {cache} must be writable; got {error}.", where=where, cache=self.cache, error=error
            )
            found = PictureColumn(None, "", (text,))
        self.mistakes += found.mistakes
        self.warnings += found.warnings
        return found

    def _typed(self, dataset: Dataset) -> list[tuple[str, Field, Any]]:
        """Every version of every field read once; what cannot be read is a mistake."""
        typed = []
        for name in dataset.table.columns:
            for field in self.fields[name]:
                if field.kind in ("image", "ignore", "id"):
                    continue
                try:
                    typed.append(
                        (name, field, field.read(dataset.table[name], dataset.ids, f"{dataset.where} {self.columns[name]}"))
                    )
                except DataError as error:
                    self.mistakes += error.mistakes
        return typed


def target_mistakes(where: str, kind: str, values: NDArray[Any], ids: NDArray[np.object_]) -> list[str]:
    """What makes a target impossible to learn or to score: missing, constant, or a class with one row."""
    mistakes = []
    missing = np.isnan(values) if kind == "number" else np.array([value is None for value in values], dtype=bool)
    if missing.any():
        rows = some_rows(ids, missing)
        mistakes.append(
            say("{where}: {rows} must have a target; got an empty cell. Leave such rows out.", where=where, rows=rows)
        )
    counts = collections.Counter(values[~missing].tolist())
    if len(counts) == 1:
        value = next(iter(counts))
        mistakes.append(
            say("{where}: the target must have two values or more; got {value!r} in every row.", where=where, value=value)
        )
    elif kind == "label":
        for alone in in_order(label for label, n in counts.items() if n == 1):
            row = str(ids[np.flatnonzero(values == alone)[0]])
            mistakes.append(
                say(
                    "{where}: class {label!r} must have two rows or more; got one, {row!r}. Join it with another.",
                    where=where,
                    label=alone,
                    row=row,
                )
            )
    return mistakes


def in_order(classes: Iterable[str]) -> list[str]:
    """Classes as people sort them: by value if all are numbers, so that '10' follows '9'."""
    names = list(classes)
    try:
        return sorted(names, key=lambda name: (float(name), name))
    except ValueError:
        return sorted(names)


def _classes(typed: list[tuple[str, Field, Any]]) -> dict[tuple[str, str], tuple[str, ...]]:
    found: dict[tuple[str, str], set[str]] = {}
    for name, field, values in typed:
        if field.kind == "label":
            found.setdefault((name, "label"), set()).update(value for value in values if value is not None)
        elif field.kind == "labels":
            found.setdefault((name, "labels"), set()).update(*values)
    return {key: tuple(in_order(classes)) for key, classes in found.items()}


def _only_numbers(name: str, columns: Mapping[str, str], fields: Mapping[str, list[Field]]) -> bool:
    """Whether nothing reads this field's column as text."""
    readers = [one for other in fields if columns[other] == columns[name] for one in fields[other]]
    return all(one.kind in ("number", "ignore") for one in readers)


def _column_mistakes(fields: Mapping[str, list[Field]]) -> list[str]:
    """A field is one column in every arm: rows of other columns would be other data."""
    return [
        say(
            "fields.{name}.column: cannot differ between ideas; got {columns}.",
            name=name,
            columns=sorted({str(one.column) for one in versions}),
        )
        for name, versions in fields.items()
        if len({one.column or name for one in versions}) > 1
    ]
