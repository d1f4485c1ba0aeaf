"""What scikit-learn calls X and y, as rows: a table whose columns mean something, and the target beside it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tamesu.errors import DataError
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.fields import Field

ROWS_AT_ONCE = 256  # the most that a learner predicts at once


def is_numeric(X: Any) -> bool:
    """Whether scikit-learn's own checks of numbers are to be asked: of everything but a DataFrame with other columns."""
    return not isinstance(X, pd.DataFrame) or all(_is_number(one) for one in X.dtypes)


def as_frame(X: Any, names: NDArray[Any] | None, where: str) -> pd.DataFrame:
    """An array or a DataFrame as a table with texts for names.

    Args:
        X: Numbers (n, f), or a DataFrame.
        names: Of the columns that training had; None where they have none: x0, x1, …

    Raises:
        DataError: It has no rows.
    """
    if len(X) == 0:
        raise DataError(say("{where}: must have rows; got none.", where=where))
    columns = [f"x{i}" for i in range(X.shape[1])] if names is None else list(names)
    if not isinstance(X, pd.DataFrame):
        return pd.DataFrame(np.asarray(X), columns=columns)
    return X.set_axis(columns, axis=1).reset_index(drop=True)


def guessed_fields(frame: pd.DataFrame, where: str) -> dict[str, dict[str, str]]:
    """What columns mean, by their types.

    Raises:
        DataError: A column of which nothing can be guessed.
    """
    return {str(name): {"kind": _kind(frame[name], f"{where} {name}")} for name in frame.columns}


def free_name(name: str, taken: Collection[str]) -> str:
    """The name, with as many `_` behind it as make it another than those taken."""
    while name in taken:
        name += "_"
    return name


def with_target(rows: Dataset, name: str, field: Field, y: NDArray[Any], classes: tuple[str, ...]) -> Dataset:
    """The rows with what is to be predicted.

    Args:
        y: Codes of `classes`, or numbers where there are none.
    """
    column = pd.Series(np.array(classes, dtype=object)[y] if classes else y)
    known: Mapping[tuple[str, str], tuple[str, ...]] = {**rows.classes, **({(name, field.kind): classes} if classes else {})}
    return replace(rows, table=rows.table.assign(**{name: column}), classes=known)


def filled(rows: Dataset) -> Dataset:
    """Rows of a table, repeated to a multiple of `ROWS_AT_ONCE`; those of pictures, which cost more, as they are.

    Networks then see batches of one shape, and the last bits of what they say of a row do not depend on how many others there
    are, to which scikit-learn holds its estimators.
    """
    n = len(rows)
    more = 0 if rows.pictures else -n % ROWS_AT_ONCE
    return rows.take(np.arange(n + more) % n) if more else rows


def _is_number(dtype: Any) -> bool:
    return pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)


def _kind(column: pd.Series, where: str) -> str:
    if _is_number(column.dtype):
        return "number"
    first = next((one for one in column if one is not None and one is not pd.NA), None)
    shape = first.shape if isinstance(first, np.ndarray) else ()
    if len(shape) == 3 or (len(shape) == 2 and first is not None and first.dtype == np.uint8):
        return "image"
    is_time = pd.api.types.is_datetime64_any_dtype(column.dtype) or pd.api.types.is_timedelta64_dtype(column.dtype)
    if not shape and not is_time:
        return "label"
    text = say(
        "{where}: must be numbers, classes or pictures; got {found}. Say what it is in `fields`, or leave it out.",
        where=where,
        found=f"{column.dtype} {shape or ''}".strip(),
    )
    raise DataError(text)
