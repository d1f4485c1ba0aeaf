"""One column of a table as it was found, whatever it holds: every analysis of `look` starts from these."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

ColumnKind = Literal["number", "category", "text", "date", "empty"]
MAX_LEVELS = 10_000  # distinct cells that are told apart; further ones count as "other"
EMPTY, OTHER = -1, -2  # codes
NUMBER_FRACTION = 0.8  # of the different cells that are not empty: a column of numbers may hold some words
DATE_FRACTION = 0.95
FEW_NUMBERS = 2  # a column with this many different numbers and words beside them holds categories
TEXT_FRACTION = 0.5  # distinct values among cells above which words are names or prose, no categories
DATES_TRIED = 200  # cells


@dataclass(frozen=True, eq=False)
class Column:
    """One column over all rows of all tables.

    Attributes:
        name: The table's name for it.
        kind: What its cells are. number: most of the different ones are numbers; category: words that come again; text: words
            that mostly come once; date; empty: nothing in any row.
        codes: Place of each cell in `levels`; -1: empty; -2: a cell beyond the `MAX_LEVELS` most frequent.  (n,) int32
        levels: Different cells as text without blanks around them, most frequent first.  (k,) object
        numbers: The cell as a number (a date as days since 1970); NaN where it is none; infinite numbers stay.  (n,) float64
        n_distinct: Different cells, empty ones aside.
        declared: The kind of the field declared on it; "" where the study does not name it.
        field: That field's name, which may differ from the column's.
        is_target: It is what the study predicts.
    """

    name: str
    kind: ColumnKind
    codes: NDArray[np.int32]
    levels: NDArray[np.object_]
    numbers: NDArray[np.float64]
    n_distinct: int
    declared: str = ""
    field: str = ""
    is_target: bool = False

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def empty(self) -> NDArray[np.bool_]:
        """Cells in which nothing is written.  (n,)"""
        return self.codes == EMPTY

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """How often each level is there.  (k,)"""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.levels)).astype(np.int64)

    @property
    def is_name(self) -> bool:
        """Nearly every row has a cell of its own: a name, a key, or prose."""
        n = int((~self.empty).sum())
        return self.kind in ("text", "category") and n > 1 and self.n_distinct > 0.9 * n


def read_column(cells: pd.Series, name: str, **known: Any) -> Column:
    """A column of anything.

    Args:
        cells: As read from a table: text where it was a csv, any type from parquet, SQL and Python.
        name: The column's name.
        known: `declared`, `field`, `is_target`.
    """
    series = cells.reset_index(drop=True)
    typed: NDArray[np.float64] | None = None
    is_date = pd.api.types.is_datetime64_any_dtype(series.dtype)
    if is_date:
        typed = _days(series)
    elif pd.api.types.is_numeric_dtype(series.dtype) and not pd.api.types.is_bool_dtype(series.dtype):
        typed = series.to_numpy(dtype=np.float64, na_value=np.nan)
    if typed is not None:
        codes, levels, n_distinct = _coded(typed if not is_date else series.astype(str).where(series.notna()))
        return Column(
            name, _with_values(n_distinct, "date" if is_date else "number"), codes, levels, typed, n_distinct, **known
        )
    texts = _texts(series)
    all_codes, distinct = pd.factorize(texts, use_na_sentinel=True)
    values = pd.Series(distinct, dtype="str")
    of_values = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    numbers = np.append(of_values, np.nan)[all_codes]
    codes, levels = _most_frequent(all_codes, values)
    kind = _kind(of_values, values, n=int((all_codes >= 0).sum()))
    if kind == "date":
        numbers = np.append(_days(_as_dates(values)), np.nan)[all_codes]
    return Column(name, kind, codes, levels, numbers, len(values), **known)


def _kind(of_values: NDArray[np.float64], values: pd.Series, n: int) -> ColumnKind:
    """What words are, from the different ones."""
    if len(values) == 0:
        return "empty"
    is_number = ~np.isnan(of_values)
    n_numbers, n_words = int(is_number.sum()), int((~is_number).sum())
    if n_numbers and (
        n_words == 0
        or n_numbers >= max(NUMBER_FRACTION * len(values), FEW_NUMBERS + 1)
        or (n_words == 1 and n_numbers > FEW_NUMBERS)
    ):
        return "number"
    if _are_dates(values):
        return "date"
    return "text" if len(values) > 50 and len(values) > TEXT_FRACTION * n else "category"


def _texts(series: pd.Series) -> pd.Series:
    """Cells as text without blanks around them; nothing where there is nothing."""
    if series.dtype == object:
        gone = series.isna()
        series = series.astype(str).where(~gone)
    texts = series.astype("str").str.strip()
    return texts.where(texts != "")


def _coded(values: Any) -> tuple[NDArray[np.int32], NDArray[np.object_], int]:
    codes, distinct = pd.factorize(values, use_na_sentinel=True)
    shown = pd.Series(distinct)
    chosen, levels = _most_frequent(codes, shown)
    texts = np.array([_number_text(one) for one in levels], dtype=object)
    return chosen, texts, len(shown)


def _number_text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and value == int(value if np.isfinite(value) else 0) else str(value)


def _most_frequent(codes: NDArray[Any], values: pd.Series) -> tuple[NDArray[np.int32], NDArray[np.object_]]:
    """Codes by frequency, and the values they stand for."""
    counts = np.bincount(codes[codes >= 0], minlength=len(values))
    order = np.argsort(-counts, kind="stable")
    place = np.full(len(values) + 1, OTHER, dtype=np.int32)
    place[order[:MAX_LEVELS]] = np.arange(min(len(order), MAX_LEVELS), dtype=np.int32)
    place[-1] = EMPTY  # where code -1 looks
    return place[codes], values.iloc[order[:MAX_LEVELS]].astype(object).to_numpy()


def _are_dates(values: pd.Series) -> bool:
    some = values.iloc[:: max(1, len(values) // DATES_TRIED)]
    looks = some.str.contains(r"\d{1,4}[-/年.]\s?\d{1,2}|[A-Za-z]{3,9}[- ]\d{2,4}", regex=True, na=False)
    return bool(looks.mean() >= DATE_FRACTION) and bool(_as_dates(some).notna().mean() >= DATE_FRACTION)


def _as_dates(values: pd.Series) -> pd.Series:
    import warnings

    with warnings.catch_warnings():  # it warns of every format it has to guess
        warnings.simplefilter("ignore")
        return pd.to_datetime(values, errors="coerce", format="mixed", utc=True)


def _days(dates: pd.Series) -> NDArray[np.float64]:
    stamps = pd.to_datetime(dates, utc=True).dt.tz_localize(None)
    days = (stamps - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1)
    return np.asarray(days.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)


def _with_values(n_distinct: int, kind: ColumnKind) -> ColumnKind:
    return kind if n_distinct else "empty"
