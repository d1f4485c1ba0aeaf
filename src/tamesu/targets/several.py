"""Targets that are several numbers of a row which belong together: shares of a whole, numbers under laws."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from tamesu.errors import DataError
from tamesu.linear import Law, read_law, read_linear
from tamesu.losses import log_softmax
from tamesu.losses.known import like
from tamesu.targets.base import Target, unless
from tamesu.targets.bounds import Range, finite
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.maps import Maps


@dataclass(frozen=True, eq=False)
class SeveralTarget(Target):
    """Numbers that maps leave as they are, where the study says so."""

    @property
    def n_outputs(self) -> int:  # noqa: D102
        return int(self.field.n_numbers)

    @property
    def prediction_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (int(self.field.n_numbers),)

    def truth(self, values: NDArray[Any]) -> NDArray[np.float64]:  # noqa: D102
        if not np.isfinite(values).all():
            text = say("target {name}: every row must hold all its numbers; got an empty cell. Drop the row.", name=self.name)
            raise DataError(text)
        return values

    def allows(self, encoded: NDArray[Any], maps: Maps) -> NDArray[np.bool_]:  # noqa: D102
        return self.field.allows(encoded, maps)

    def move(self, encoded: NDArray[Any], maps: Maps) -> NDArray[Any]:  # noqa: D102
        return encoded

    def move_back(self, prediction: NDArray[Any], maps: Maps) -> NDArray[Any]:  # noqa: D102
        return unless(~self.allows(prediction, maps), prediction)


@dataclass(frozen=True, eq=False)
class SharesTarget(SeveralTarget):
    """Parts of a whole.  encoded: (n, k) that sum to 1; prediction: (n, k) that sum to the field's total, none below 0."""

    def encode(self, values: NDArray[Any]) -> NDArray[np.float64]:  # noqa: D102
        values = self.truth(values)
        return values / values.sum(axis=1, keepdims=True)

    def trained(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:
        """Logarithms of the shares, which the losses take as logits.  (n, k)"""
        return log_softmax(finite(raw, xp), xp)

    def decode(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:  # noqa: D102
        shares = xp.exp(self.trained(raw, xp))
        return shares / xp.sum(shares, axis=1, keepdims=True) * self.field.total

    def as_raw(self, encoded: NDArray[Any]) -> NDArray[np.float64]:  # noqa: D102
        return np.log(np.maximum(encoded, 1e-30))


@dataclass(frozen=True, eq=False)
class NumbersTarget(SeveralTarget):
    """Numbers under laws.  encoded: (n, k) standardised, column by column; prediction: (n, k) in their own units.

    Attributes:
        mean: Of the columns in the training rows.  k
        std: 1 for a constant one.  k
        learnt_mean: Of what is learnt in their place: sums of columns, or the first and its increments.  m
        learnt_std: m
        back: From what is learnt, standardised, to the columns, standardised; affine, by least squares.  (m + 1, k)
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    learnt_mean: tuple[float, ...] = ()
    learnt_std: tuple[float, ...] = ()
    back: tuple[tuple[float, ...], ...] = ()
    learned: ClassVar[tuple[str, ...]] = ("mean", "std", "learnt_mean", "learnt_std", "back")

    @property
    def n_outputs(self) -> int:  # noqa: D102
        return len(self.field.learn) or int(self.field.n_numbers)

    def fit(self, values: NDArray[Any]) -> Self:  # noqa: D102
        mean, std = _spread(values)
        fitted = replace(self, mean=mean, std=std)
        if self.field.rising:
            learnt_mean, learnt_std = _spread(np.diff(values, axis=1))
            return replace(fitted, learnt_mean=learnt_mean, learnt_std=learnt_std)
        if not self.field.learn:
            return fitted
        learnt = values @ self._sums.T
        learnt_mean, learnt_std = _spread(learnt)
        design = np.column_stack([(learnt - learnt_mean) / learnt_std, np.ones(len(values))])
        back, *_ = np.linalg.lstsq(design, (values - mean) / std, rcond=None)
        return replace(
            fitted, learnt_mean=learnt_mean, learnt_std=learnt_std, back=tuple(tuple(map(float, row)) for row in back)
        )

    def encode(self, values: NDArray[Any]) -> NDArray[np.float64]:  # noqa: D102
        return (self.truth(values) - np.array(self.mean)) / np.array(self.std)

    def as_numbers(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Each column in its standard deviations in the training rows.  (n, k)"""
        return (super().as_numbers(values) - np.array(self.mean)) / np.array(self.std)

    def trained(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:  # noqa: D102
        value = self._values(raw, xp, given)
        return (value - like(self.mean, raw, xp)) / like(self.std, raw, xp)

    def decode(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:  # noqa: D102
        return self._values(raw, xp, given)

    def as_raw(self, encoded: NDArray[Any]) -> NDArray[np.float64]:  # noqa: D102
        values = encoded * np.array(self.std) + np.array(self.mean)
        if self.field.rising:
            steps = np.diff(values, axis=1)
            parts = [one.raw(steps[:, i]) for i, one in enumerate(self._steps)]
            return np.column_stack([encoded[:, 0], *parts])
        if self.field.learn:
            return (values @ self._sums.T - np.array(self.learnt_mean)) / np.array(self.learnt_std)
        return encoded

    def penalty(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:
        """Squared residuals of the laws that come as a penalty, in the spread of their terms, by weight.  (n,)"""
        drawn = [law for law in self.laws if law.how == "penalty"]
        if not drawn:
            return 0.0
        value = self._values(raw, xp, given)
        total = 0.0
        for law in drawn:
            factors = np.array([law.coefficients.get(name, 0.0) for name in self.field.columns])
            off = xp.sum(value * like(factors, raw, xp), axis=1) - self._due(law, given, value, xp)
            known = off == off  # NaN where an input is missing is not itself
            off = xp.where(known, off, xp.zeros_like(off)) / self._scale(factors)
            total = total + law.weight * xp.square(off)
        return total

    @property
    def needs(self) -> tuple[str, ...]:  # noqa: D102
        names = {name for law in self.laws for name in law.coefficients}
        return tuple(sorted(names - set(self.field.columns)))

    @cached_property
    def laws(self) -> tuple[Law, ...]:
        """As the study says them."""
        return tuple(read_law(one) for one in self.field.laws)

    def _values(self, raw: Any, xp: ModuleType, given: Any) -> Any:
        """What the raw outputs say, in the columns' own units, on the laws that are exact.  (n, k)"""
        raw = finite(raw, xp)
        mean, std = like(self.mean, raw, xp), like(self.std, raw, xp)
        if self.field.rising:
            first = raw[:, :1] * self.std[0] + self.mean[0]
            steps = [one.bounded(raw[:, i + 1 : i + 2], xp) for i, one in enumerate(self._steps)]
            value = xp.cumsum(xp.concatenate([first, *steps], axis=1), axis=1)
        elif self.field.learn:
            back = like(self.back, raw, xp)
            value = (raw @ back[:-1] + back[-1]) * std + mean
        else:
            value = raw * std + mean
        exact = [law for law in self.laws if law.how == "projection"]
        return self._projected(value, exact, given, xp) if exact else value

    def _projected(self, value: Any, laws: list[Law], given: Any, xp: ModuleType) -> Any:
        """The nearest values that obey the laws, in standard deviations of the columns; as they are where an input is missing.

        Twice: what is left after the first time is rounding of numbers that may have been far larger.
        """
        factors = np.array([[law.coefficients.get(name, 0.0) for name in self.field.columns] for law in laws])  # (l, k)
        variance = np.square(self.std)
        move = np.linalg.pinv((factors * variance) @ factors.T) @ (factors * variance)  # (l, k)
        due = xp.stack([self._due(law, given, value, xp) for law in laws], axis=1)
        for _ in range(2):
            off = value @ like(factors.T, value, xp) - due
            off = xp.where(off == off, off, xp.zeros_like(off))
            value = value - off @ like(move, value, xp)
        return value

    def _due(self, law: Law, given: Any, value: Any, xp: ModuleType) -> Any:
        """What the columns of a law must come to, given the row's inputs.  (n,)"""
        due = xp.zeros_like(value[:, 0]) + law.equals
        for i, name in enumerate(self.needs):
            if law.coefficients.get(name, 0.0):
                due = due - law.coefficients[name] * given[:, i]
        return due

    def _scale(self, factors: NDArray[np.float64]) -> float:
        """How far a law's terms spread in the training rows."""
        return float(np.sqrt(np.sum(np.square(factors * np.array(self.std))))) or 1.0

    @cached_property
    def _sums(self) -> NDArray[np.float64]:
        """What is learnt, as sums of the columns.  (m, k)"""
        read = [read_linear(one) for one in self.field.learn]
        return np.array([[one.get(name, 0.0) for name in self.field.columns] for one in read])

    @cached_property
    def _steps(self) -> tuple[Range, ...]:
        """From each column to the next, where columns rise."""
        return tuple(Range(0.0, None, mean, std) for mean, std in zip(self.learnt_mean, self.learnt_std, strict=True))


def _spread(values: NDArray[np.float64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each column; 1 for a constant one."""
    std = values.std(axis=0)
    return tuple(map(float, values.mean(axis=0))), tuple(map(float, np.where(std > 0, std, 1.0)))
