"""The table as estimators of scikit-learn's kind take it: one matrix of finite numbers, categories one column a class."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamesu.fields import Field
from tamesu.preprocess import FittedInputs, fit_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tamesu.dataset import Dataset


@dataclass(frozen=True, eq=False)
class EstimatorColumns:
    """How rows become a matrix.

    Numbers and arrows come filled and scaled, as their fields say. A category has a column for each class that training had,
    one for "missing" and one for "other" where training had such rows; a class that training did not have is 0 in all of them.
    Not a code: to every estimator, trees too, the order of codes would be an order of classes.

    Attributes:
        inputs: Fitted on the training rows.
        codes: Of each label input, the codes that have a column.
    """

    inputs: FittedInputs
    codes: tuple[tuple[int, ...], ...]

    def matrix(self, rows: Dataset) -> NDArray[np.float64]:
        """Any rows.  (n, f)"""
        made = self.inputs.transform(rows)
        ones = [made.categories[:, [j]] == np.array(codes) for j, codes in enumerate(self.codes)]
        return np.concatenate([made.table, *ones], axis=1, dtype=np.float64)

    def save(self, folder: Path) -> None:
        """Writes the fitted inputs and columns.json into a folder."""
        self.inputs.save(folder)
        (folder / "columns.json").write_text(json.dumps(self.codes), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> EstimatorColumns:
        """What `save` wrote.

        Raises:
            StoreError: The folder does not hold it.
        """
        inputs = FittedInputs.load(folder)
        codes: Any = json.loads((folder / "columns.json").read_text(encoding="utf-8"))
        return cls(inputs, tuple(tuple(one) for one in codes))


def fit_columns(rows: Dataset, fields: Mapping[str, Field]) -> EstimatorColumns:
    """The columns that the training rows ask for.

    Args:
        rows: Training rows, and nothing else.
        fields: The inputs that are columns of the table.

    Raises:
        DataError: Cells that are no numbers.
    """
    inputs = fit_inputs(rows, fields)
    categories = inputs.transform(rows).categories
    return EstimatorColumns(inputs, tuple(tuple(np.unique(column).tolist()) for column in categories.T))
