"""What every kind of field has, and how cells are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, NonNegativeFloat

from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.maps import Maps

# A class name in the settings: a bare 6 or true in YAML is that text.
Name = Annotated[str, BeforeValidator(lambda value: as_text(value) if isinstance(value, (bool, int, float)) else value)]
MISSING_TEXT = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
Values = Any  # one entry a row, as the kind's `read` gives it


class Part(BaseModel):
    """Settings: frozen, and an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)


class SwapWith(Part):
    """Two fields that change places in a mirror, such as the grades of a left and a right eye."""

    swap_with: str


class SideTable(Part):
    """A second table with any number of rows for each sample.

    Attributes:
        file: csv or parquet, relative to the study file.
        key: The column that says which sample a row belongs to; it has the values of the field's `column`.
        columns: The columns read, in this order.
        name: The column that names each row, such as the class of a box.
        order: The column rows are sorted by, such as a time.
    """

    file: str
    key: str
    columns: tuple[str, ...]
    name: str | None = None
    order: str | None = None


class Aux(Part):
    """How a field is predicted beside the target, so that what it teaches helps the target.

    Attributes:
        weight: Of its loss, when the target's is 1 and both are in standard units.
        schedule: fixed; anneal: falls in a straight line to 0 at the end; learned: by how well it can be predicted.
        branch: late: from the features the target is predicted from; early: from those half-way; own: by its own layer.
    """

    weight: NonNegativeFloat = 0.3
    schedule: Literal["fixed", "anneal", "learned"] = "fixed"
    branch: Literal["late", "early", "own"] = "late"


class FieldBase(Part):
    """What every kind of field has."""

    is_input: ClassVar[bool] = False  # a learner can be given it
    can_be_target: ClassVar[bool] = False
    can_be_aux: ClassVar[bool] = False  # beside a target only; what can be a target can be this too
    is_picture: ClassVar[bool] = False  # its cells are files or arrays of pixels, kept as `Pictures`
    is_placed: ClassVar[bool] = False  # its values are places in the picture `of`

    kind: str
    column: str | None = None  # the table's column, where it is not named like the field
    target: bool = False
    aux: NonNegativeFloat | Aux | None = None  # predicted beside the target in training; test rows need not have it
    loss: str | dict[str, Any] | None = None  # of a target: its name, or {name: …, option: …}; None: the kind's own

    @property
    def auxiliary(self) -> Aux | None:
        """How it is predicted beside the target; None where it is not."""
        return Aux(weight=self.aux) if isinstance(self.aux, (int, float)) else self.aux

    @property
    def is_predicted(self) -> bool:
        """As the target, or beside it in training."""
        return self.target or self.aux is not None

    @property
    def is_given(self) -> bool:
        """A learner is given it: it is an input, and neither predicted nor predicted beside what is."""
        return self.is_input and not self.is_predicted

    def read(self, column: pd.Series, ids: NDArray[Any], where: str) -> Values:
        """The raw column as one typed array, rows in the table's order.

        Raises:
            DataError: Cells that this kind cannot be; names up to five row ids.
        """
        raise TypeError(f"fields of kind {self.kind!r} hold no values a learner reads")

    @property
    def cell_columns(self) -> tuple[str, ...]:
        """The table's columns that make one cell together, where they are several; () where it is one."""
        return ()

    @property
    def side_table(self) -> SideTable | None:
        """The second table its cells come from, if they do."""
        return None

    @property
    def swap_with(self) -> str | None:
        """The field it changes places with in a mirror."""
        mirror = getattr(self, "mirror", None)
        if isinstance(mirror, SwapWith):
            return mirror.swap_with
        return mirror.get("swap_with") if isinstance(mirror, dict) else None

    def act(self, values: Values, maps: Maps) -> Values:
        """What is true of the pictures as the maps show them, when `values` were true of them before.

        Values of fields that change places (`swap_with`) are exchanged by the caller first.

        Args:
            values: As `read` gives them, one a row.
            maps: One a row.
        """
        return values

    def allows(self, values: Values, maps: Maps) -> NDArray[np.bool_]:
        """The rows for which `act` has an answer.  (b,)"""
        return np.ones(len(maps), dtype=bool)


def as_text(value: object) -> str:
    """A cell as the text a person would write: 3.0 read from a float column is '3', blanks around are dropped."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def read_classes(column: pd.Series, missing: frozenset[str] = frozenset({""})) -> NDArray[np.object_]:
    """Class names as text, None for empty cells and for those that mean "missing".  (n,) object"""
    names, codes = read_codes(column, missing)
    return names[codes]


def read_codes(column: pd.Series, missing: frozenset[str] = frozenset({""})) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """The same with each text looked at once: texts, of which some may be equal or None, and where each row's stands.

    Returns:
        (m,) object, and (n,) positions in it.
    """
    codes, cells = _distinct(column)
    names = np.empty(len(cells), dtype=object)
    for i, value in enumerate(cells):
        text = None if value is None or value is pd.NA or value != value else as_text(value)
        names[i] = None if text is None or text in missing else text
    return names, codes


def _distinct(column: pd.Series) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """Where each cell stands among the different ones; cells of mixed types are left apart, since 1 equals True there."""
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind in ("string", "integer", "floating", "boolean") and len(column):
        codes, cells = pd.factorize(column, use_na_sentinel=False)
        return codes.astype(np.int64, copy=False), np.asarray(cells, dtype=object)
    return np.arange(len(column), dtype=np.int64), column.astype(object).to_numpy()


def some_rows(ids: NDArray[Any], mask: NDArray[np.bool_], at_most: int = 5) -> str:
    """`rows 'a', 'b' (and 7 more)`: which rows a message is about."""
    hit = ", ".join(repr(str(one)) for one in ids[mask][:at_most])
    n = int(mask.sum())
    if n == 1:
        return say("row {ids}", ids=hit)
    return say("rows {ids}", ids=hit) if n <= at_most else say("rows {ids} (and {n} more)", ids=hit, n=n - at_most)


Mirror = Literal["same", "never"] | dict[Name, Name] | None
