"""Scores of events: average precision at time tolerances.

y: (n, k, m) times, NaN where there are fewer. prediction: (n, k, m, 2) times and sureness, 0 for none.

Source:
    The event detection average precision of the Kaggle competition "Child Mind Institute - Detect Sleep States" (2023),
    from its published description.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def event_ap(y: Array, prediction: Array, tolerances: Sequence[float]) -> float:
    """Mean over events and tolerances of the average precision; NaN where no event happens in any row.

    A prediction is right if an event of its row, not yet taken by a surer one, lies within the tolerance; the nearest is taken.
    """
    each = [
        _average_precision(y[:, j], prediction[:, j], tolerance)
        for j in range(y.shape[1])
        if not np.isnan(y[:, j]).all()
        for tolerance in tolerances
    ]
    return float(np.mean(each)) if each else float("nan")


def _average_precision(y: Array, prediction: Array, tolerance: float) -> float:
    """Of one event: the mean over true events of the precision at the prediction that finds each, 0 for those never found."""
    row, slot = np.nonzero(prediction[:, :, 1] > 0)
    sure = prediction[row, slot, 1]
    order = np.argsort(-sure, kind="stable")
    taken = np.isnan(y)
    n_true = int((~taken).sum())
    right = np.zeros(len(order), dtype=bool)
    taken = taken.copy()
    for rank, at in enumerate(order):
        away = np.where(taken[row[at]], np.inf, np.abs(y[row[at]] - prediction[row[at], slot[at], 0]))
        nearest = int(away.argmin())
        if away[nearest] <= tolerance:
            taken[row[at], nearest] = True
            right[rank] = True
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    return float(precision[right].sum() / n_true)
