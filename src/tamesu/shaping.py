"""The shape of a number before it is scaled: clipped, made less skew, or laid around a circle.

`fit_shape(training values, field)` → `FittedShape`, which moves any value by itself: what stands beside it does not matter.
"""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.fields import NumberField

Array = NDArray[np.float64]

MOST_QUANTILES = 1000  # scikit-learn's default
MOST_VALUES = 10_000  # the likelihood behind Yeo-Johnson hardly moves with more
MOST_POWER = 20.0  # beyond it x^power says nothing: the search has run away


@dataclass(frozen=True, eq=False)
class FittedShape:
    """How one number is moved.

    Attributes:
        field: `clip` and `skew` of it.
        power: Of Yeo-Johnson; 1 leaves every value as it is.
        quantiles: Of the training values, in rising order; empty without `skew: quantile`.
        n_seen: Training values those are from.
    """

    field: NumberField
    power: float = 1.0
    quantiles: Array = dataclasses.field(default_factory=lambda: np.zeros(0))
    n_seen: int = 0

    def move(self, values: Array) -> Array:
        """Values clipped, then made less skew; missing stays missing.  (n,)"""
        return self.unskew(clipped(values, self.field))

    def unskew(self, values: Array) -> Array:
        """Values made less skew; missing stays missing.  (n,)

        `log1p` is sign(x) log(1 + |x|), so that it has an answer for every number.
        """
        if self.field.skew == "log1p":
            return np.sign(values) * np.log1p(np.abs(values))
        if self.field.skew == "yeo_johnson":
            return yeo_johnson(values, self.power)
        if self.field.skew == "quantile" and len(self.quantiles):
            return normal_scores(values, self.quantiles, self.n_seen)
        return values

    def to_json(self) -> dict[str, Any]:
        """What `from_json` makes the same of, to the bit."""
        return {"power": self.power, "quantiles": self.quantiles.tolist(), "n_seen": self.n_seen}

    @classmethod
    def from_json(cls, field: NumberField, kept: dict[str, Any]) -> FittedShape:
        """What `to_json` described."""
        return cls(field, kept["power"], np.array(kept["quantiles"], dtype=np.float64), kept["n_seen"])


def fit_shape(values: Array, field: NumberField) -> FittedShape:
    """Learn what `field.skew` needs to know.

    Args:
        values: Of the training rows, and nothing else; NaN where missing.  (n,)
        field: What the study says of the number.
    """
    seen = clipped(values[~np.isnan(values)], field)
    if len(seen) == 0:
        return FittedShape(field)
    if field.skew == "yeo_johnson":
        return FittedShape(field, power=_fit_power(seen))
    if field.skew == "quantile":
        return FittedShape(field, quantiles=_fit_quantiles(seen), n_seen=len(seen))
    return FittedShape(field)


def clipped(values: Array, field: NumberField) -> Array:
    """What lies beyond the ends of `clip` brought to them; missing stays missing.  (n,)"""
    if field.clip is None:
        return values
    low, high = field.clip
    return np.clip(values, -np.inf if low is None else low, np.inf if high is None else high)


def yeo_johnson(values: Array, power: float) -> Array:
    """The power transform that also takes numbers below zero; missing stays missing.  (n,)

    Source:
        Yeo & Johnson (2000), A New Family of Power Transformations to Improve Normality or Symmetry, Biometrika 87.
    """
    limit = np.finfo(np.float64).max
    with np.errstate(over="ignore"):  # a number far beyond those seen: the largest there is
        above = _one_side(np.maximum(values, 0.0), power)
        below = _one_side(np.maximum(-values, 0.0), 2.0 - power)
    return np.where(values >= 0, np.minimum(above, limit), -np.minimum(below, limit))


def normal_scores(values: Array, quantiles: Array, n_seen: int) -> Array:
    """The normal quantiles of the values' places among `quantiles`, between which lines are drawn; missing stays missing.  (n,)

    The smallest and the largest of n values have the shares 1 / 2n and 1 - 1 / 2n, as the middles of n equal parts do, and what
    lies beyond them has these too. scikit-learn has 10^-7 there, which makes an outlier of the ends of every column.
    """
    from scipy.special import ndtri

    # A quarter: the distance between two numbers near 1e308 has no name in float64.
    shares = np.linspace(0.0, 1.0, len(quantiles))
    at, x = quantiles / 4, values / 4
    rising = np.interp(x, at, shares)
    falling = -np.interp(-x, -at[::-1], -shares[::-1])  # equal quantiles: the middle of their shares
    least = 0.5 / n_seen
    return np.asarray(ndtri(np.clip((rising + falling) / 2, least, 1 - least)), dtype=np.float64)


def circle(values: Array, period: float) -> Array:
    """Cosine and sine of the share of the period; 0, 0 where missing.  (n, 2)"""
    # The remainder first: so large numbers lose nothing to the multiplication by 2 pi.
    angle_rad = np.remainder(values, period) / period * (2 * np.pi)
    return np.nan_to_num(np.stack([np.cos(angle_rad), np.sin(angle_rad)], axis=1), nan=0.0)


def _one_side(sizes: Array, power: float) -> Array:
    """((1 + x)^power - 1) / power, log(1 + x) for a power of 0; exact for small x.  (n,)"""
    if power == 1:
        return sizes
    logs = np.log1p(sizes)
    return logs if power == 0 else np.expm1(power * logs) / power


def _fit_power(seen: Array) -> float:
    """The power of the greatest likelihood; 1 where the numbers have none."""
    from sklearn.preprocessing import PowerTransformer

    rows = seen if len(seen) <= MOST_VALUES else np.sort(seen)[np.linspace(0, len(seen) - 1, MOST_VALUES).astype(np.int64)]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # numbers near 1e308 overflow on the way; what comes is looked at below
        try:
            power = float(PowerTransformer("yeo-johnson", standardize=False).fit(rows[:, None]).lambdas_[0])
        except (ValueError, FloatingPointError, OverflowError):  # no likelihood to climb: too large, or too near to each other
            return 1.0
    moved = yeo_johnson(rows, power) if abs(power) <= MOST_POWER else rows[:0]
    fine = moved.size > 0 and bool((np.abs(moved) < np.finfo(np.float64).max).all()) and moved.min() < moved.max()
    return power if fine else 1.0


def _fit_quantiles(seen: Array) -> Array:
    from sklearn.preprocessing import QuantileTransformer

    n = min(MOST_QUANTILES, len(seen))
    fitted = QuantileTransformer(n_quantiles=n, output_distribution="normal", subsample=None).fit(seen[:, None] / 4)
    return np.asarray(fitted.quantiles_[:, 0] * 4, dtype=np.float64)
