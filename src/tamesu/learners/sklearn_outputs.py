"""What an estimator is trained on for a target, and what its answers say of it.

Classes are the classifier's, in codes from 0; several classes at once are a column each; numbers are the regressor's. An
answer goes through the target's own `decode`, so that a prediction keeps what is known of it, whoever made it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tamesu.errors import FitError
from tamesu.targets import Target
from tamesu.targets.classes import UNSEEN, ClassTarget, LabelsTarget
from tamesu.targets.constrained import OrderedTarget
from tamesu.targets.numbers import AngleTarget, NumberTarget, VectorTarget
from tamesu.targets.several import NumbersTarget, SharesTarget
from tamesu.texts import say

Array = NDArray[np.float64]
Role = Literal["classifier", "regressor"]
_OF_NUMBERS = (NumberTarget, AngleTarget, VectorTarget, SharesTarget, NumbersTarget)


@dataclass(frozen=True, eq=False)
class Outputs(ABC):
    """How one target is trained and predicted.

    Attributes:
        target: Fitted on the training rows.
        n_rows: Training rows.
        fixed: What every training row has of each output, NaN where rows differ: that is learnt.
    """

    target: Target
    n_rows: int
    fixed: tuple[float, ...]

    @property
    def learnt(self) -> NDArray[np.bool_]:
        """The outputs that the estimator is asked for.  (k,)"""
        return np.isnan(self.fixed)

    @property
    def n_columns(self) -> int:
        """Columns of what `trained` gives."""
        return int(self.learnt.sum())

    @abstractmethod
    def trained(self, y: NDArray[Any]) -> NDArray[Any]:
        """What the estimator is fitted on, of what `as_outputs` gives.  (n,) or (n, m)"""

    @abstractmethod
    def answers(self, estimator: Any, x: Array) -> Array:
        """What the estimator says of each output learnt.  (n, m)"""

    @abstractmethod
    def predicted(self, answers: Array | None, n: int, given: Array | None) -> NDArray[Any]:
        """The prediction, in the target's own terms.

        Args:
            answers: None where nothing was learnt.
            n: Rows.
            given: Values of the inputs that the target needs.
        """


@dataclass(frozen=True, eq=False)
class ClassOutputs(Outputs):
    """One class of several; `fixed` is 0 of a class that training did not have, or of all where it had only one."""

    @property
    def n_columns(self) -> int:  # noqa: D102
        return 1

    def trained(self, y: NDArray[Any]) -> NDArray[np.int64]:  # noqa: D102
        return np.searchsorted(np.flatnonzero(self.learnt), y)

    def answers(self, estimator: Any, x: Array) -> Array:  # noqa: D102
        return probabilities(estimator, x, int(self.learnt.sum()))

    def predicted(self, answers: Array | None, n: int, given: Array | None) -> NDArray[Any]:  # noqa: D102
        unseen = UNSEEN / (self.n_rows + UNSEEN)  # unlikely, not impossible
        shares = np.tile(np.where(np.array(self.fixed) == 1, 1.0, unseen), (n, 1))
        if answers is not None:
            shares[:, self.learnt] = answers
        with np.errstate(divide="ignore"):  # a forest may be sure: exp(-inf) is its 0
            return np.asarray(self.target.decode(np.log(shares), np))


@dataclass(frozen=True, eq=False)
class SetOutputs(Outputs):
    """Any number of classes at once; `fixed` of a class that no training row had, or every one."""

    def trained(self, y: NDArray[Any]) -> NDArray[np.int64]:  # noqa: D102
        return one_or_several(y[:, self.learnt].astype(np.int64))

    def answers(self, estimator: Any, x: Array) -> Array:  # noqa: D102
        if self.n_columns == 1:
            return probabilities(estimator, x, 2)[:, 1:]
        found = estimator.predict_proba(x)
        if isinstance(found, list):  # of each class, that it is not there and that it is
            found = np.stack([one[:, 1] for one in found], axis=1)
        return checked(found, self.n_columns)

    def predicted(self, answers: Array | None, n: int, given: Array | None) -> NDArray[Any]:  # noqa: D102
        unseen = UNSEEN / (self.n_rows + UNSEEN)
        shares = np.tile(np.clip(self.fixed, unseen, 1 - unseen), (n, 1))
        if answers is not None:
            shares[:, self.learnt] = np.clip(answers, 0, 1)
        return shares


@dataclass(frozen=True, eq=False)
class NumberOutputs(Outputs):
    """Numbers: one in its own unit, since a regressor may need it (counts, amounts above 0); several as they are encoded, in
    units that make them alike, since a regressor takes their errors together.
    """

    def trained(self, y: NDArray[Any]) -> Array:  # noqa: D102
        return one_or_several(y[:, self.learnt])

    def answers(self, estimator: Any, x: Array) -> Array:  # noqa: D102
        return checked(estimator.predict(x), self.n_columns)

    def predicted(self, answers: Array | None, n: int, given: Array | None) -> NDArray[Any]:  # noqa: D102
        values = np.tile(np.array(self.fixed), (n, 1))
        if answers is not None:
            values[:, self.learnt] = answers
        encoded = self.target.encode(values[:, 0]) if isinstance(self.target, NumberTarget) else values
        return np.asarray(self.target.decode(self.target.as_raw(encoded), np, given))


def as_outputs(target: Target, values: NDArray[Any]) -> NDArray[Any]:
    """Values of the training rows as what is learnt of them: codes (n,), or a column for each output (n, k).

    Raises:
        DataError: A value is missing or unknown.
    """
    if isinstance(target, NumberTarget):
        return target.truth(values)[:, None]
    encoded = target.as_trained(target.encode(values))
    return encoded if isinstance(target, ClassTarget) else encoded.reshape(len(values), -1)


def make_outputs(target: Target, y: NDArray[Any]) -> Outputs:
    """How a target is trained and predicted.

    Args:
        target: Fitted on the training rows.
        y: Those rows, as `as_outputs` gives them.
    """
    if not isinstance(target, ClassTarget):
        same = np.where((y == y[:1]).all(axis=0), y[0], np.nan)
        return outputs_of(target, len(y), tuple(same.tolist()))
    there = np.bincount(y, minlength=len(target.classes)) > 0
    alone = there.sum() < 2
    return outputs_of(target, len(y), tuple(np.where(there, 1.0 if alone else np.nan, 0.0).tolist()))


def outputs_of(target: Target, n_rows: int, fixed: tuple[float, ...]) -> Outputs:
    """What `make_outputs` made, from what was kept of it."""
    kind = (
        ClassOutputs if isinstance(target, ClassTarget) else SetOutputs if isinstance(target, LabelsTarget) else NumberOutputs
    )
    return kind(target, n_rows, fixed)


def role_for(target: Target) -> Role | None:
    """What an estimator must be for a target; None of one that no estimator predicts."""
    if isinstance(target, ClassTarget | LabelsTarget):
        return None if isinstance(target, OrderedTarget) else "classifier"
    return "regressor" if isinstance(target, _OF_NUMBERS) else None


def one_or_several(columns: NDArray[Any]) -> NDArray[Any]:
    """One output as (n,), several as (n, m): as scikit-learn tells them apart."""
    return columns[:, 0] if columns.shape[1] == 1 else columns


def probabilities(estimator: Any, x: Array, n_classes: int) -> Array:
    """Of each class, in the order of their codes.  (n, k)"""
    return checked(estimator.predict_proba(x), n_classes)


def checked(found: Any, n_outputs: int) -> Array:
    """An estimator's answers as (n, m).

    Raises:
        FitError: They are of another shape, or not finite.
    """
    answers = np.asarray(found, dtype=np.float64)
    answers = answers.reshape(len(answers), -1)
    if answers.shape[1] != n_outputs:
        text = say("the estimator must answer with {n} columns; got {found}.", n=n_outputs, found=answers.shape[1])
        raise FitError(text)
    if not np.isfinite(answers).all():
        value = answers[~np.isfinite(answers)][0]
        raise FitError(say("the estimator must answer with finite numbers; got {value}. Scale the target.", value=value))
    return answers
