"""Conservation: what comes in is what goes out and what is stored, by the names of columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import ModuleType

from tamesu.losses.known import Array


def law_coefficients(
    into: Iterable[str] | Mapping[str, float],
    out: Iterable[str] | Mapping[str, float] = (),
    stored: Iterable[str] | Mapping[str, float] = (),
) -> dict[str, float]:
    """The law in - out - stored = 0 as one coefficient a column; a mapping gives further factors.

    >>> law_coefficients(["shortwave", "latent"], ["longwave"], ["storage"])
    {'shortwave': 1.0, 'latent': 1.0, 'longwave': -1.0, 'storage': -1.0}
    """
    found: dict[str, float] = {}
    for sign, side in ((1.0, into), (-1.0, out), (-1.0, stored)):
        factors = side if isinstance(side, Mapping) else dict.fromkeys(side, 1.0)
        for name, factor in factors.items():
            found[name] = found.get(name, 0.0) + sign * factor
    return found


def imbalance(columns: Mapping[str, Array], coefficients: Mapping[str, float]) -> Array:
    """How far a linear law is from 0, in the columns' own unit.

    Args:
        columns: By name, in one unit.  (n,)
        coefficients: By name (see `law_coefficients`).

    Raises:
        KeyError: A column of the law is not there.
    """
    terms = [factor * columns[name] for name, factor in coefficients.items()]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def conservation(
    columns: Mapping[str, Array], coefficients: Mapping[str, float], xp: ModuleType, *, unit: float = 1.0
) -> Array:
    """The penalty for breaking a law: the squared imbalance; 0 where a column is NaN, for then nothing is known.

    Args:
        columns, coefficients: As of `imbalance`.
        unit: What the imbalance is measured in, such as the outputs' standard deviation.

    Returns:
        (n,) in squared `unit`s.
    """
    off = imbalance(columns, coefficients) / unit
    known = off == off
    return xp.square(xp.where(known, off, 0.0))
