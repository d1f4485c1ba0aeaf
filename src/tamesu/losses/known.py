"""What every loss is made of: means over what is known of a row, and small steps that frameworks spell otherwise."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

Array = Any  # of the namespace xp


def mean_known(each: Array, known: Array, xp: ModuleType) -> Array:
    """Mean over everything but the first axis of what is known; 0 where nothing is.

    Args:
        each: (n, …)
        known: Where that counts.  (n, …) bool

    Returns:
        (n,)
    """
    kept = xp.where(known, each, 0.0)
    axes = tuple(range(1, len(each.shape)))
    if not axes:
        return kept
    n_known = xp.sum(xp.where(known, xp.ones_like(each), 0.0), axis=axes)
    share = xp.where(n_known > 0, math.prod(each.shape[1:]) / xp.where(n_known > 0, n_known, 1.0), 0.0)
    return xp.mean(kept, axis=axes) * share  # the share is exactly 1 where all is known


def is_number(values: Array) -> Array:
    """Where a value is not NaN, which is not itself."""
    return values == values


def like(values: Any, array: Array, xp: ModuleType) -> Array:
    """Numbers as an array of the type of another one, where that one is."""
    return array.new_tensor(values) if hasattr(array, "new_tensor") else xp.array(values, dtype=array.dtype)


def rows_at(values: Array, positions: Array, xp: ModuleType) -> Array:
    """Rows at these positions."""
    return xp.index_select(values, 0, positions) if hasattr(xp, "index_select") else xp.take(values, positions, axis=0)


def erf(values: Array, xp: ModuleType) -> Array:
    """The error function, which NumPy leaves to SciPy."""
    if hasattr(xp, "erf"):
        return xp.erf(values)
    from scipy.special import erf as scipys

    return scipys(values)


def length(squared: Array, xp: ModuleType) -> Array:
    """The square root, with a slope of 0 at 0 in place of an infinite one."""
    is_off = squared > 0
    return xp.where(is_off, xp.sqrt(xp.where(is_off, squared, 1.0)), 0.0)
