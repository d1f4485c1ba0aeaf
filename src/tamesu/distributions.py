"""Tails of the normal and of Student's t distribution, and back; scipy.stats has them too, and takes long to import."""

from __future__ import annotations

from scipy.special import ndtr, ndtri, stdtr, stdtrit


def normal_below(z: float) -> float:
    """Probability of a value below z."""
    return float(ndtr(z))


def normal_above(z: float) -> float:
    """Probability of a value above z, exact far out too."""
    return float(ndtr(-z))


def normal_from(tail: float) -> float:
    """The z above which values have this probability."""
    return float(-ndtri(tail))


def t_above(t: float, df: float) -> float:
    """Probability of a value above t with so many degrees of freedom."""
    return float(stdtr(df, -t))


def t_from(tail: float, df: float) -> float:
    """The t above which values have this probability."""
    return float(-stdtrit(df, tail))
