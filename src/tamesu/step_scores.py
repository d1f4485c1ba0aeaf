"""Scores of a class at every step: what each row costs, over the steps whose class is known.

y: codes, -1 where the class is not known and beyond a row's end.  (n, t) integer
prediction: probabilities, in which what stands beyond a row's end does not count.  (n, t, k)
A row without a known step has no score: its value is NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.scores import Array, jackknife


def as_long_as(y: NDArray[Any], prediction: NDArray[Any]) -> NDArray[Any]:
    """A prediction cut, or continued with all classes as likely, to the steps of `y`; others than of steps as they are."""
    if y.ndim != 2 or prediction.ndim != 3 or prediction.shape[1] == y.shape[1]:
        return prediction
    n, t, k = prediction.shape
    out = np.full((n, y.shape[1], k), 1 / max(1, k), dtype=prediction.dtype)
    out[:, :t] = prediction[:, : y.shape[1]]
    return out


def steps_log_loss_rows(y: NDArray[Any], prediction: NDArray[Any]) -> Array:
    """Minus the log probability of what is true, mean over a row's known steps.  (n,) nats"""
    eps = np.finfo(prediction.dtype).eps if prediction.dtype.kind == "f" else np.finfo(np.float64).eps
    shares = prediction.astype(np.float64)
    right = np.take_along_axis(shares, np.maximum(y, 0)[:, :, None], axis=2)[:, :, 0] / shares.sum(axis=2)
    return _row_means(-np.log(np.clip(right, eps, 1 - eps)), y >= 0)


def steps_accuracy_rows(y: NDArray[Any], prediction: NDArray[Any]) -> Array:
    """Share of a row's known steps whose most probable class is right.  (n,)"""
    return _row_means((prediction.argmax(axis=2) == y).astype(np.float64), y >= 0)


def steps_f1_macro(y: NDArray[Any], prediction: NDArray[Any]) -> float:
    """Mean F1 of the classes that are there or predicted, over the known steps of all rows together."""
    return float(_f1_macro(_hits_and_misses(y, prediction).sum(axis=0)))


def steps_f1_macro_rows(y: NDArray[Any], prediction: NDArray[Any]) -> Array:
    """Its rows, by the jackknife.  (n,)"""
    return jackknife(_f1_macro, _hits_and_misses(y, prediction))


def _row_means(values: Array, known: NDArray[np.bool_]) -> Array:
    n = known.sum(axis=1)
    return np.where(known, values, 0.0).sum(axis=1) / np.where(n > 0, n, np.nan)


def _hits_and_misses(y: NDArray[Any], prediction: NDArray[Any]) -> Array:
    """Of each row, by class: steps that are right, and steps where it is there or predicted and not both.  (n, 2 k)"""
    k, chosen, known = prediction.shape[2], prediction.argmax(axis=2), y >= 0
    out = np.zeros((len(y), 2 * k))
    for code in range(k):
        is_there, is_chosen = (y == code) & known, (chosen == code) & known
        out[:, code] = (is_there & is_chosen).sum(axis=1)
        out[:, k + code] = (is_there ^ is_chosen).sum(axis=1)
    return out


def _f1_macro(sums: Array) -> Array:
    k = sums.shape[-1] // 2
    hits, misses = sums[..., :k], sums[..., k:]
    total = 2 * hits + misses
    n_classes = (total > 0).sum(axis=-1)
    f1: Array = (2 * hits / np.where(total > 0, total, 1.0)).sum(axis=-1)
    return f1 / np.where(n_classes > 0, n_classes, np.nan)
