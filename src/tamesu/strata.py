"""What folds are balanced by and what they keep together: for the study's folds and for those inside a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from tamesu.classes import ONE_CLASS

if TYPE_CHECKING:
    from tamesu.config import FoldsConfig
    from tamesu.dataset import Dataset
    from tamesu.fields import Field


def read_strata(folds: FoldsConfig, rows: Dataset, fields: Mapping[str, Field]) -> NDArray[Any] | None:
    """The field named in `folds.stratify`, the target if it is one class a row, or nothing.  (n,)"""
    if folds.stratify == "none":
        return None
    if folds.stratify != "auto":
        return rows.values(folds.stratify, fields[folds.stratify])
    ((name, target),) = ((name, one) for name, one in fields.items() if one.target)
    return rows.values(name, target) if target.kind in ONE_CLASS else None


def read_groups(folds: FoldsConfig, rows: Dataset, fields: Mapping[str, Field]) -> NDArray[Any] | None:
    """The field named in `folds.group`; None where rows are not grouped.  (n,)"""
    return None if folds.group is None else rows.values(folds.group, fields[folds.group])
