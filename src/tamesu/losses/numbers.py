"""Losses of numbers: of a row, of several columns, of every step, of every pixel.

What is compared is in standard deviations of the training rows. NaN in what is encoded means unknown, and is left out.
"""

from __future__ import annotations

import math
from types import ModuleType

from tamesu.losses.known import Array, erf, is_number, mean_known

WIDEST = 12.0  # of a log spread, either way: beyond it numbers of single precision overflow
FAR = 40.0  # standard deviations at which the normal density is 0 in double precision


def squared_error(raw: Array, encoded: Array, weight: Array, xp: ModuleType) -> Array:
    """Squared difference; mean over what is known of a row.

    Args:
        raw: (n, …, 1) where `encoded` has no such axis, else the same shape.
        encoded: NaN where unknown.  (n, …)
        weight: 0 for padding.  (n,)

    Returns:
        (n,) in squared standard deviations of the training rows.
    """
    off, known = _off(raw, encoded, xp)
    return mean_known(xp.square(off), known, xp) * weight


def absolute_error(raw: Array, encoded: Array, weight: Array, xp: ModuleType) -> Array:
    """Difference without sign: trains the median.  Arguments as of `squared_error`.  (n,) in standard deviations"""
    off, known = _off(raw, encoded, xp)
    return mean_known(xp.abs(off), known, xp) * weight


def huber(raw: Array, encoded: Array, weight: Array, xp: ModuleType, *, delta: float = 1.0) -> Array:
    """Half the square of differences up to `delta`, a straight line beyond: a few wrong values do not rule.

    Args:
        raw, encoded, weight: As of `squared_error`.
        delta: Standard deviations, above 0.

    Source:
        Huber (1964), Robust Estimation of a Location Parameter, Annals of Mathematical Statistics 35.
    """
    off, known = _off(raw, encoded, xp)
    return mean_known(bent(xp.abs(off), delta, xp), known, xp) * weight


def quantile_error(raw: Array, encoded: Array, weight: Array, xp: ModuleType, *, quantile: float = 0.5) -> Array:
    """What is least for a quantile: that is what is predicted.

    Args:
        raw, encoded, weight: As of `squared_error`.
        quantile: Between 0 and 1.

    Source:
        Koenker & Bassett (1978), Regression Quantiles, Econometrica 46.
    """
    off, known = _off(raw, encoded, xp)  # above 0 where too much is predicted
    return mean_known(xp.where(off > 0, (1 - quantile) * off, -quantile * off), known, xp) * weight


def crps(raw: Array, encoded: Array, weight: Array, xp: ModuleType) -> Array:
    """Continuous ranked probability score of a normal distribution: the squared distance of its curve from the truth's step.

    Args:
        raw: Mean, and log of the spread.  (n, …, 2)
        encoded: NaN where unknown.  (n, …)
        weight: 0 for padding.  (n,)

    Returns:
        (n,) in standard deviations of the training rows.

    Source:
        Gneiting & Raftery (2007), Strictly Proper Scoring Rules, Prediction, and Estimation, JASA 102, equation 21.
    """
    known = is_number(encoded)
    off = xp.where(known, xp.where(known, encoded, 0.0) - raw[..., 0], 0.0)
    spread = xp.exp(xp.clip(raw[..., 1], -WIDEST, WIDEST))
    z = off / spread
    density = xp.exp(-xp.square(xp.clip(z, -FAR, FAR)) / 2) / math.sqrt(2 * math.pi)
    each = off * erf(z / math.sqrt(2), xp) + spread * (2 * density - 1 / math.sqrt(math.pi))
    return mean_known(each, known, xp) * weight


def _off(raw: Array, encoded: Array, xp: ModuleType) -> tuple[Array, Array]:
    """Predicted minus true, 0 where that is unknown, and where it is known."""
    given = raw[..., 0] if len(raw.shape) > len(encoded.shape) else raw
    known = is_number(encoded)
    return xp.where(known, given - xp.where(known, encoded, 0.0), 0.0), known


def bent(size: Array, delta: float, xp: ModuleType) -> Array:
    """Half the square of sizes up to `delta`, a straight line beyond."""
    return xp.where(size <= delta, xp.square(xp.where(size <= delta, size, 0.0)) / 2, delta * (size - delta / 2))
