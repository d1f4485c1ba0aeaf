"""Where tables come from: csv, parquet, SQL, a folder per class, or Python; each becomes one `RawTable`."""

from __future__ import annotations

import gzip
import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tamesu.config import SqlSource
from tamesu.errors import DataError
from tamesu.fields import MISSING_TEXT
from tamesu.picture_files import list_pictures
from tamesu.texts import say

CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
PARQUET_SUFFIXES = (".parquet", ".pq")
# What a column of numbers may hold for "missing", as files spell it; `fields.NumberField` reads the same set.
NUMBER_MISSING = sorted({spelt for text in MISSING_TEXT for spelt in (text, text.upper(), text.capitalize())} | {"NaN", "N/a"})


@dataclass(frozen=True)
class RawTable:
    """A table as found.

    Attributes:
        frame: The columns asked for that are there, by their own names.
        columns: Names of all columns, asked for or not.
        arrays: Columns that hold pictures in memory: (n, h, w), (n, h, w, c), or a list of (h, w) or (h, w, c).
        where: What messages call it.
        root: Where relative file names start.
        id: The column that names a row unless the study says otherwise; None: the row's number.
        notes: What is worth knowing about how it was read.
    """

    frame: pd.DataFrame
    columns: tuple[str, ...]
    where: str
    root: Path
    arrays: Mapping[str, Any] = field(default_factory=dict)
    id: str | None = None
    notes: tuple[str, ...] = ()


def read_source(
    source: str | SqlSource, *, key: str, base: Path, root: Path, numbers: Collection[str], used: Collection[str] | None
) -> RawTable:
    """Reads what `data.train` or `data.test` names.

    Args:
        source: A file or folder relative to `base`, or a query.
        key: What the study calls it, such as "data.train".
        base: The study's folder.
        root: Where file names in the table start.
        numbers: Columns that are only ever read as numbers; all other columns of a csv stay text, as written.
        used: Columns wanted; None: all.

    Raises:
        DataError: There is no such source, or it cannot be read.
    """
    if isinstance(source, SqlSource):
        return _read_sql(source, key=key, base=base, root=root)
    path = base / source
    name = path.name.lower()
    if path.is_dir():
        return _read_folder(path, source)
    if not path.exists():
        raise DataError(say("{key}: {path} must exist; there is no such file or folder.", key=key, path=path))
    if name.endswith(CSV_SUFFIXES):
        return _read_csv(path, source, root, numbers)
    if name.endswith(PARQUET_SUFFIXES):
        return _read_parquet(path, source, root, used)
    raise DataError(say("{key}: must be a csv or parquet file, a folder, or {{sql, url}}; got {path!r}.", key=key, path=source))


def read_python(rows: Any, where: str, root: Path, cells: Collection[str] = ()) -> RawTable:
    """A DataFrame, or a mapping of column names to arrays or lists, as given from Python.

    Args:
        rows: Columns of one length, or pictures.
        where: What messages call it.
        root: Where file names in it start.
        cells: Columns whose arrays are cells of numbers and no pictures: points, boxes, series.

    Raises:
        DataError: Columns of unequal length, or none of these.
    """
    if hasattr(rows, "to_pandas"):
        rows = rows.to_pandas()
    if isinstance(rows, pd.DataFrame):
        columns: dict[str, Any] = {str(name): rows[name] for name in rows.columns}
    elif isinstance(rows, Mapping):
        columns = {str(name): value for name, value in rows.items()}
    else:
        raise DataError(
            say("{where}: must be a DataFrame or a mapping of columns; got {kind}.", where=where, kind=type(rows).__name__)
        )
    lengths = {name: len(value) for name, value in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(say("{where}: columns must be equally long; got {lengths}.", where=where, lengths=lengths))
    arrays = {name: value for name, value in columns.items() if name not in cells and _holds_pictures(value)}
    plain: dict[str, Any] = {}
    for name, value in columns.items():
        if name in arrays:
            arrays[name] = value if isinstance(value, np.ndarray) and value.ndim > 1 else [np.asarray(one) for one in value]
        elif name in cells and not isinstance(value, pd.Series):
            plain[name] = _one_cell_a_row(value)
        elif isinstance(value, pd.Series):
            plain[name] = value.reset_index(drop=True)
        elif np.ndim(value) > 1 and isinstance(value, np.ndarray):
            shape = value.shape
            raise DataError(
                say(
                    "{where} {name}: must be (n,), or pictures (n, h, w[, c]); got {shape}.",
                    where=where,
                    name=name,
                    shape=shape,
                )
            )
        else:
            plain[name] = pd.Series(value, dtype=None if isinstance(value, np.ndarray) else _list_dtype(value))
    frame = pd.DataFrame(plain, index=pd.RangeIndex(next(iter(lengths.values()), 0)))
    return RawTable(frame, tuple(columns), where, root, arrays)


def _one_cell_a_row(value: Any) -> pd.Series:
    """Whatever each row holds, arrays too, as one cell."""
    out = np.empty(len(value), dtype=object)
    for i, one in enumerate(value):
        out[i] = one
    return pd.Series(out)


def _list_dtype(value: Any) -> Any:
    """Lists of lists (many labels) must stay objects; pandas finds the type of everything else."""
    first = next(iter(value), None)
    return object if isinstance(first, (list, tuple, set, frozenset)) else None


def _holds_pictures(value: Any) -> bool:
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.ndim >= 3
    if isinstance(value, pd.Series) and value.dtype != object:
        return False
    first = next((one for one in value if one is not None), None)
    return first is not None and not isinstance(first, (str, list, tuple, set)) and np.ndim(first) in (2, 3)


def _read_csv(path: Path, where: str, root: Path, numbers: Collection[str]) -> RawTable:
    notes: list[str] = []
    encoding = "utf-16" if path.read_bytes()[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        try:
            frame = _parse_csv(path, encoding, numbers, notes)
        except UnicodeDecodeError:
            frame = _parse_csv(path, "cp932", numbers, notes)
            notes.append(say("{where} is not UTF-8; it was read as CP932 (Shift_JIS).", where=where))
    except UnicodeDecodeError as error:
        raise DataError(say("{where}: must be text in UTF-8 or CP932; got {error}.", where=where, error=error)) from error
    except pd.errors.EmptyDataError as error:
        raise DataError(say("{where}: must have a header and rows; the file is empty.", where=where)) from error
    except (pd.errors.ParserError, ValueError, OSError, EOFError) as error:
        raise DataError(_csv_mistake(where, str(error))) from error
    if not isinstance(frame.index, pd.RangeIndex):
        raise DataError(
            say("{where}:2: a row must have as many cells as the header, {n}; got more.", where=where, n=len(frame.columns))
        )
    return RawTable(frame, tuple(frame.columns), where, root, notes=tuple(notes))


def _parse_csv(path: Path, encoding: str, numbers: Collection[str], notes: list[str]) -> pd.DataFrame:
    shared: dict[str, Any] = {
        "encoding": encoding,
        "sep": _separator(path, encoding),
        "skipinitialspace": True,
        "keep_default_na": False,
    }
    header = pd.read_csv(path, header=None, nrows=1, dtype=str, **shared)
    names: list[str] = []
    for i, name in enumerate(header.iloc[0].astype(str).str.strip()):
        names.append(_new_name(name or f"Unnamed: {i}", names))
    return pd.read_csv(
        path,
        header=0,
        names=names,
        dtype={name: str for name in names if name not in numbers},  # type: ignore[arg-type]
        na_values={name: NUMBER_MISSING if name in numbers else [""] for name in names},
        low_memory=False,
        **shared,
    )


def _new_name(name: str, taken: list[str]) -> str:
    """Pandas' own way with columns of one name: the second `a` is `a.1`."""
    return next(one for one in (name, *(f"{name}.{i}" for i in range(1, len(taken) + 2))) if one not in taken)


def _separator(path: Path, encoding: str) -> str:
    with gzip.open(path, "rt", encoding=encoding) if path.name.endswith(".gz") else path.open(encoding=encoding) as file:
        first = file.readline()
    counts = {mark: first.count(mark) for mark in (",", "\t", ";")}
    return max(counts, key=lambda mark: counts[mark])


def _csv_mistake(where: str, error: str) -> str:
    uneven = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", error)
    if uneven:
        expected, line, saw = uneven.groups()
        return say(
            "{where}:{line}: a row must have as many cells as the header, {n}; got {saw}. Texts with a comma need quotes.",
            where=where,
            line=line,
            n=expected,
            saw=saw,
        )
    unclosed = re.search(r"EOF inside string starting at row (\d+)", error)
    if unclosed:
        return say("{where}:{line}: a quote is opened here and never closed.", where=where, line=int(unclosed.group(1)) + 1)
    return say("{where}: must be a csv table; got {error}.", where=where, error=error)


def _read_parquet(path: Path, where: str, root: Path, used: Collection[str] | None) -> RawTable:
    import pyarrow
    import pyarrow.parquet

    try:
        names = [name for name in pyarrow.parquet.read_schema(path).names if not name.startswith("__index_level_")]
        wanted = [name for name in names if used is None or name in used]
        frame = pyarrow.parquet.read_table(path, columns=wanted).to_pandas(ignore_metadata=True)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(say("{where}: must be a parquet table; got {error}.", where=where, error=error)) from error
    return RawTable(frame, tuple(names), where, root)


def _read_sql(source: SqlSource, *, key: str, base: Path, root: Path) -> RawTable:
    try:
        import sqlalchemy
    except ImportError as error:
        raise DataError(say("{key}: reading SQL needs SQLAlchemy: pip install 'tamesu[sql]'.", key=key)) from error
    try:
        url = sqlalchemy.make_url(source.url)
        if url.drivername.startswith("sqlite") and url.database not in (None, "", ":memory:"):
            file = base / str(url.database)
            if not file.exists():  # SQLite would make an empty database and find no table in it
                raise DataError(say("{key}: {path} must exist; there is no such file or folder.", key=key, path=file))
            url = url.set(database=str(file))
        engine = sqlalchemy.create_engine(url)
        try:
            with engine.connect() as connection:
                result = connection.execute(sqlalchemy.text(source.sql))
                frame = pd.DataFrame.from_records(result.fetchall(), columns=list(result.keys()), coerce_float=True)
        finally:
            engine.dispose()
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise DataError(say("{key}: the query must run; got {error}.", key=key, error=reason)) from error
    frame.columns = [str(name) for name in frame.columns]
    return RawTable(frame, tuple(frame.columns), key, root)


def _read_folder(path: Path, where: str) -> RawTable:
    """Each folder in it is a class; pictures may lie in deeper folders."""
    pictures, others = list_pictures(path)
    if not pictures:
        raise DataError(
            say(
                "{where}: must hold pictures, one folder per class; got a folder without any ({n} other files).",
                where=where,
                n=len(others),
            )
        )
    notes = []
    if any("/" in name for name in pictures):
        of_classes = {name.split("/")[0] for name in pictures if "/" in name}
        left_out = [name for name in pictures if "/" not in name] + [
            name for name in others if name.split("/")[0] in of_classes
        ]
        pictures = [name for name in pictures if "/" in name]
        if left_out:
            shown = ", ".join(left_out[:3]) + (", …" if len(left_out) > 3 else "")
            notes.append(
                say(
                    "{where}: {n} files are no pictures of a class and were left out: {shown}.",
                    where=where,
                    n=len(left_out),
                    shown=shown,
                )
            )
    # macOS stores names decomposed, everybody types them composed: "が" must be one class on both.
    labels = [unicodedata.normalize("NFC", name.split("/")[0]) if "/" in name else None for name in pictures]
    columns: dict[str, Any] = {"file": pictures}
    if any(label is not None for label in labels):
        columns["label"] = labels
    frame = pd.DataFrame(columns)
    return RawTable(frame, tuple(frame.columns), where, path, id="file", notes=tuple(notes))
