"""Losses of shares of a whole; what is compared is the logarithm of predicted shares with true ones."""

from __future__ import annotations

from types import ModuleType

from tamesu.losses.known import Array, is_number, mean_known


def shares_cross_entropy(raw: Array, encoded: Array, weight: Array, xp: ModuleType) -> Array:
    """Minus the log of each predicted share, by the true shares: the divergence between them up to a constant.

    Args:
        raw: Logarithms of shares.  (n, k)
        encoded: Shares that sum to 1; NaN where unknown.  (n, k)
        weight: 0 for padding.  (n,)

    Returns:
        (n,) in nats.
    """
    known = is_number(encoded)
    return -xp.sum(xp.where(known, encoded * raw, 0.0), axis=-1) * weight


def shares_absolute_error(raw: Array, encoded: Array, weight: Array, xp: ModuleType) -> Array:
    """Difference of shares without sign, mean over them.  Arguments as of `shares_cross_entropy`.  (n,)"""
    return mean_known(xp.abs(xp.exp(raw) - encoded), is_number(encoded), xp) * weight


def shares_squared_error(raw: Array, encoded: Array, weight: Array, xp: ModuleType) -> Array:
    """Squared difference of shares, mean over them.  Arguments as of `shares_cross_entropy`.  (n,)"""
    return mean_known(xp.square(xp.exp(raw) - encoded), is_number(encoded), xp) * weight
