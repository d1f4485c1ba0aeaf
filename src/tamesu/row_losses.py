"""What one row of a test fold costs: the terms of metrics that are means over rows, each a function of its own row alone.

y and prediction are as in `metrics`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.scores import Array, picked


def log_loss_rows(y: NDArray[Any], prediction: Array) -> Array:
    """Minus the log probability of what is true; of labels the mean over labels.  (n,) nats"""
    # Probabilities are kept off 0 and 1 by their own precision, as in scikit-learn: one row costs at most 16 nats in
    # single precision and 36 in double.
    eps = np.finfo(prediction.dtype).eps if prediction.dtype.kind == "f" else np.finfo(np.float64).eps
    p = prediction.astype(np.float64)
    if y.ndim == 1:
        p = p[np.arange(len(y)), y] / p.sum(axis=1)
        return -np.log(np.clip(p, eps, 1 - eps))
    p = np.clip(p, eps, 1 - eps)
    return -(np.where(y > 0, np.log(p), np.log1p(-p))).mean(axis=1)


def brier_rows(y: NDArray[Any], prediction: Array) -> Array:
    """Squared error of probabilities.  (n,)"""
    p = prediction.astype(np.float64)
    if y.ndim == 2:
        return ((p - y) ** 2).mean(axis=1)
    squared = (p**2).sum(axis=1) - 2 * p[np.arange(len(y)), y] + 1
    return squared / 2 if p.shape[1] == 2 else squared  # of two classes, the error of one says all


def accuracy_rows(y: NDArray[Any], prediction: Array) -> Array:
    """1 where the most probable class, or every label, is right.  (n,)"""
    if y.ndim == 2:
        return ((prediction >= 0.5) == (y > 0)).all(axis=1).astype(np.float64)
    return (picked(prediction) == y).astype(np.float64)


def squared_rows(y: Array, prediction: Array) -> Array:
    """Squared error.  (n,)"""
    return (prediction.astype(np.float64) - y) ** 2


def squared_log_rows(y: Array, prediction: Array) -> Array:
    """Squared error of log(1 + value); NaN for a target below 0.  (n,)"""
    with np.errstate(invalid="ignore"):  # a target below 0 is NaN, and so is the score
        true = np.log1p(np.where(y >= 0, y, np.nan))
    return (np.log1p(np.maximum(prediction.astype(np.float64), 0)) - true) ** 2


def absolute_rows(y: Array, prediction: Array) -> Array:
    """Error without sign.  (n,)"""
    return np.abs(prediction.astype(np.float64) - y)


def relative_rows(y: Array, prediction: Array) -> Array:
    """Error without sign, as a share of the target; NaN for a target of 0.  (n,)"""
    return absolute_rows(y, prediction) / np.abs(np.where(y == 0, np.nan, y))


def pinball_rows(y: Array, prediction: Array, quantile: float) -> Array:
    """Loss that is least for a quantile.  (n,)"""
    over = prediction.astype(np.float64) - y
    return np.maximum((1 - quantile) * over, -quantile * over)


def around_rows(y: Array, prediction: Array, period: float) -> Array:
    """Differences of angles the short way round, without sign.  (n,)"""
    return np.abs((prediction.astype(np.float64) - y + period / 2) % period - period / 2)


def cosine_rows(y: Array, prediction: Array, period: float) -> Array:
    """1 - cos of the difference: half the squared distance of the unit vectors.  (n,)"""
    return 1 - np.cos(2 * np.pi / period * (prediction.astype(np.float64) - y))


def squared_distance_rows(y: Array, prediction: Array) -> Array:
    """Squared length of the difference of vectors.  (n,)"""
    return ((prediction.astype(np.float64) - y) ** 2).sum(axis=1)


def distance_rows(y: Array, prediction: Array) -> Array:
    """Length of the difference of vectors.  (n,)"""
    return np.sqrt(squared_distance_rows(y, prediction))


def point_rows(y: Array, prediction: Array) -> Array:
    """Mean distance of the points that are seen; NaN where none is.  (n,)"""
    distance = np.sqrt(((prediction.astype(np.float64) - y) ** 2).sum(axis=2))
    seen = ~np.isnan(distance)
    return np.where(seen, distance, 0).sum(axis=1) / np.where(seen.any(axis=1), seen.sum(axis=1), np.nan)


def mean_absolute_rows(y: Array, prediction: Array) -> Array:
    """Error without sign, mean over columns.  (n,)"""
    return np.abs(prediction.astype(np.float64) - y).mean(axis=1)


def mean_squared_rows(y: Array, prediction: Array) -> Array:
    """Squared error, mean over columns.  (n,)"""
    return ((prediction.astype(np.float64) - y) ** 2).mean(axis=1)


def divergence_rows(y: Array, prediction: Array) -> Array:
    """Kullback-Leibler divergence of the predicted shares from the true ones, each as parts of 1.  (n,) nats"""
    eps = np.finfo(prediction.dtype).eps if prediction.dtype.kind == "f" else np.finfo(np.float64).eps
    q = y / y.sum(axis=1, keepdims=True)
    p = prediction.astype(np.float64)
    p = np.clip(p / p.sum(axis=1, keepdims=True), eps, None)
    return np.where(q > 0, q * (np.log(np.where(q > 0, q, 1)) - np.log(p)), 0).sum(axis=1)
