"""Rows as estimators of scikit-learn's kind take them: one matrix of finite numbers, categories one column a class."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tamesu.errors import StoreError
from tamesu.features import FittedFeatures, fit_features, measured_fields
from tamesu.learners.network_inputs import table_inputs
from tamesu.preprocess import FittedInputs, fit_inputs
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.recipe import Recipe

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class EstimatorColumns:
    """How rows become a matrix.

    Numbers and arrows come filled and scaled, as their fields say. A category has a column for each class that training had,
    one for "missing" and one for "other" where training had such rows; a class that training did not have is 0 in all of them.
    Not a code: to every estimator, trees too, the order of codes would be an order of classes. What is measured of pictures
    and series is scaled by the training rows, and where it cannot be known it is their mean.

    Attributes:
        inputs: Fitted on the training rows.
        codes: Of each label input, the codes that have a column.
        features: Of pictures and series; None where there are none.
        center: Of those in training.  (f,)
        spread: 1 for one that never changes.  (f,)
    """

    inputs: FittedInputs
    codes: tuple[tuple[int, ...], ...]
    features: FittedFeatures | None
    center: Array
    spread: Array

    def matrix(self, rows: Dataset) -> Array:
        """Any rows that it was not fitted on.  (n, f)"""
        return self._matrix(rows, None if self.features is None else self.features.transform(rows))

    def _matrix(self, rows: Dataset, features: Array | None) -> Array:
        made = self.inputs.transform(rows)
        ones = [made.categories[:, [j]] == np.array(codes) for j, codes in enumerate(self.codes)]
        scaled = [] if features is None else [np.nan_to_num((features - self.center) / self.spread, nan=0.0)]
        return np.concatenate([made.table, *ones, *scaled], axis=1, dtype=np.float64)

    def save(self, folder: Path) -> None:
        """Writes the fitted inputs, features and columns.json into a folder."""
        self.inputs.save(folder)
        if self.features is not None:
            self.features.save(folder / "features")
        kept = {
            "codes": self.codes,
            "center": self.center.tolist(),
            "spread": self.spread.tolist(),
            "has_features": self.features is not None,
        }
        (folder / "columns.json").write_text(json.dumps(kept), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> EstimatorColumns:
        """What `save` wrote.

        Raises:
            StoreError: The folder does not hold it.
        """
        inputs = FittedInputs.load(folder)
        try:
            kept = json.loads((folder / "columns.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreError(say("{where}: must be a saved model; {error}.", where=folder, error=error)) from error
        features = FittedFeatures.load(folder / "features") if kept["has_features"] else None
        codes = tuple(tuple(one) for one in kept["codes"])
        return cls(inputs, codes, features, np.array(kept["center"]), np.array(kept["spread"]))


def fit_columns(rows: Dataset, recipe: Recipe, seed: int, device: str) -> tuple[EstimatorColumns, Array]:
    """The columns that the training rows ask for.

    Args:
        rows: Training rows, and nothing else; with their targets where networks make features.
        recipe: Of it, the inputs and `features`.
        seed: Decides everything random in networks that make features.
        device: Of those.

    Returns:
        How any rows become a matrix, and that of the training rows, whose features may be cross-fitted.  (n, f)

    Raises:
        DataError: Cells that are no numbers.
    """
    inputs = fit_inputs(rows, table_inputs(recipe))
    codes = tuple(tuple(np.unique(column).tolist()) for column in inputs.transform(rows).categories.T)
    has_features = bool(measured_fields(recipe)) or recipe.features.network != "none"
    features = fit_features(rows, recipe, seed, device) if has_features else None
    values = np.zeros((len(rows), 0)) if features is None else features.train_values
    known = ~np.isnan(values)
    n_known = np.maximum(known.sum(axis=0), 1)
    center = np.where(known, values, 0).sum(axis=0) / n_known
    spread = np.sqrt((np.where(known, values - center, 0) ** 2).sum(axis=0) / n_known)
    columns = EstimatorColumns(inputs, codes, features, center, np.where(spread > 0, spread, 1.0))
    return columns, columns._matrix(rows, None if features is None else values)
