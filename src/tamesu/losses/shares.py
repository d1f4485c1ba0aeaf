"""Losses of shares of a whole."""

from __future__ import annotations

from types import ModuleType

from tamesu.losses.classes import log_softmax
from tamesu.losses.known import Array, is_number, mean_known


def divergence(raw: Array, encoded: Array, weight: Array, xp: ModuleType) -> Array:
    """Kullback-Leibler divergence of predicted shares from true ones, up to what no prediction changes: cross entropy.

    Args:
        raw: Logits, or logarithms of shares.  (n, k)
        encoded: Shares that sum to 1; NaN where unknown.  (n, k)
        weight: 0 for padding.  (n,)

    Returns:
        (n,) in nats.
    """
    true = xp.where(is_number(encoded), encoded, 0.0)
    return -xp.sum(true * log_softmax(raw, xp), axis=-1) * weight


def shares_absolute_error(raw: Array, encoded: Array, weight: Array, xp: ModuleType) -> Array:
    """Difference of shares without sign, mean over them.  Arguments as of `divergence`.  (n,)"""
    off, known = _off(raw, encoded, xp)
    return mean_known(xp.abs(off), known, xp) * weight


def shares_squared_error(raw: Array, encoded: Array, weight: Array, xp: ModuleType) -> Array:
    """Squared difference of shares, mean over them.  Arguments as of `divergence`.  (n,)"""
    off, known = _off(raw, encoded, xp)
    return mean_known(xp.square(off), known, xp) * weight


def _off(raw: Array, encoded: Array, xp: ModuleType) -> tuple[Array, Array]:
    known = is_number(encoded)
    shares = xp.exp(log_softmax(raw, xp))
    return xp.where(known, shares - xp.where(known, encoded, 0.0), 0.0), known
