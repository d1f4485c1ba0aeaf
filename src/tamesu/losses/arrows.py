"""Losses of arrows and points: by distance alone, so that they are the same however the picture is rotated."""

from __future__ import annotations

from types import ModuleType

from tamesu.losses.known import Array, is_number, length
from tamesu.losses.numbers import bent


def squared_distance(raw: Array, encoded: Array, weight: Array, xp: ModuleType) -> Array:
    """Squared distance of arrows: of encoded vectors, or of the unit vectors that stand for angles.

    Args:
        raw: (n, k)
        encoded: NaN where unknown.  (n, k)
        weight: 0 for padding.  (n,)

    Returns:
        (n,) in squared units of what is encoded.
    """
    return _squared(raw, encoded, xp) * weight


def distance(raw: Array, encoded: Array, weight: Array, xp: ModuleType) -> Array:
    """Distance of arrows, not squared.  Arguments as of `squared_distance`.  (n,) in units of what is encoded"""
    return length(_squared(raw, encoded, xp), xp) * weight


def huber_distance(raw: Array, encoded: Array, weight: Array, xp: ModuleType, *, delta: float = 1.0) -> Array:
    """Half the square of distances up to `delta`, a straight line beyond.  Arguments as of `squared_distance`.  (n,)"""
    return bent(length(_squared(raw, encoded, xp), xp), delta, xp) * weight


def squared_point_distance(raw: Array, encoded: Array, weight: Array, xp: ModuleType) -> Array:
    """Squared distance of points, mean over those that are seen; 0 where none is.

    Args:
        raw: x and y of one point after the other.  (n, 2 k)
        encoded: NaN where a point is not seen.  (n, k, 2)
        weight: 0 for padding.  (n,)

    Returns:
        (n,) in squared halves of the frame.
    """
    wanted = xp.reshape(encoded, raw.shape)
    seen = is_number(wanted)
    off = xp.where(seen, raw - xp.where(seen, wanted, 0.0), 0.0)
    n_seen = xp.sum(xp.where(seen, xp.ones_like(raw), 0.0), axis=-1) / 2
    return xp.sum(xp.square(off), axis=-1) / xp.where(n_seen > 0, n_seen, 1.0) * weight


def point_distance(raw: Array, encoded: Array, weight: Array, xp: ModuleType) -> Array:
    """Distance of points, not squared.  Arguments as of `squared_point_distance`.  (n,) in halves of the frame"""
    far, n_seen = _distances(raw, encoded, xp)
    return xp.sum(far, axis=-1) / n_seen * weight


def huber_point_distance(raw: Array, encoded: Array, weight: Array, xp: ModuleType, *, delta: float = 0.1) -> Array:
    """Half the square of distances up to `delta` halves of the frame, a straight line beyond.  (n,)

    Args:
        raw, encoded, weight: As of `squared_point_distance`.
        delta: Above 0.
    """
    far, n_seen = _distances(raw, encoded, xp)
    return xp.sum(bent(far, delta, xp), axis=-1) / n_seen * weight


def _squared(raw: Array, encoded: Array, xp: ModuleType) -> Array:
    known = is_number(encoded)
    return xp.sum(xp.square(xp.where(known, raw - xp.where(known, encoded, 0.0), 0.0)), axis=-1)


def _distances(raw: Array, encoded: Array, xp: ModuleType) -> tuple[Array, Array]:
    """Of each point, 0 where it is not seen; and how many are seen, at least 1.  (n, k), (n,)"""
    given = xp.reshape(raw, encoded.shape)
    seen = is_number(encoded)
    off = xp.where(seen, given - xp.where(seen, encoded, 0.0), 0.0)
    is_there = xp.where(seen[..., 0], xp.ones_like(off[..., 0]), 0.0)
    n_seen = xp.sum(is_there, axis=-1)
    return length(xp.sum(xp.square(off), axis=-1), xp), xp.where(n_seen > 0, n_seen, 1.0)
