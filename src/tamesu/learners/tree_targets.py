"""What trees are asked for a target, and how what they say becomes a prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamesu.fields import Field
from tamesu.learners.tree_library import Array, Objective
from tamesu.losses import LOSSES, log_sigmoid, log_softmax, said_loss
from tamesu.targets import Target
from tamesu.targets.classes import UNSEEN, LabelTarget
from tamesu.targets.constrained import BoundedTarget, OrderedTarget
from tamesu.targets.numbers import NumberTarget

if TYPE_CHECKING:
    pass

OPTIONS = {"cross_entropy": "class_weights", "huber": "delta", "quantile": "quantile"}  # of losses, the one that trees know
OF_NUMBERS = ("l2", "l1", "huber", "quantile")


@dataclass(frozen=True, eq=False)
class Answers(ABC):
    """What boosters are asked, one or several, and their answers put together.

    Attributes:
        target: Fitted on the training rows.
        present: Codes that training had, in order; none of a number.
        n_rows: Training rows.
    """

    target: Any
    present: NDArray[np.int64]
    n_rows: int

    @property
    @abstractmethod
    def n_classes(self) -> int:
        """Classes that each booster tells apart; 0 for a number."""

    @abstractmethod
    def asked(self, y: NDArray[Any]) -> list[NDArray[Any]]:
        """What each booster is trained on: codes from 0, or numbers.  None where there is nothing to tell apart.  (n,) each"""

    @abstractmethod
    def prediction(self, margins: Sequence[Array], n: int) -> NDArray[Any]:
        """The prediction of `n` rows from what the boosters say of them, (n, k or 1) each."""

    @property
    def _unseen(self) -> float:
        """Probability of a class that training did not have: it is unlikely, not impossible."""
        return UNSEEN / (self.n_rows + UNSEEN)


class NumberAnswers(Answers):
    """A number, standardised by the training rows.

    In a range, predictions beyond it are brought to its ends: no loss of a truth within grows by that.
    """

    n_classes = 0

    def asked(self, y: NDArray[Any]) -> list[NDArray[Any]]:  # noqa: D102
        return [y] if len(y) and (y != y[0]).any() else []

    def prediction(self, margins: Sequence[Array], n: int) -> NDArray[Any]:  # noqa: D102
        raw = margins[0] if margins else np.zeros((n, 1))
        values = NumberTarget.decode(self.target, raw, np)
        if isinstance(self.target, BoundedTarget):
            low, high = self.target.field.range
            values = np.clip(values, -np.inf if low is None else low, np.inf if high is None else high)
        return np.asarray(values)


class ClassAnswers(Answers):
    """One class out of several."""

    @property
    def n_classes(self) -> int:  # noqa: D102
        return len(self.present)

    def asked(self, y: NDArray[Any]) -> list[NDArray[Any]]:  # noqa: D102
        return [np.searchsorted(self.present, y)] if len(self.present) > 1 else []

    def prediction(self, margins: Sequence[Array], n: int) -> NDArray[Any]:  # noqa: D102
        raw = np.full((n, self.target.n_outputs), np.log(self._unseen))
        raw[:, self.present] = log_softmax(margins[0], np) if margins else 0.0
        return np.asarray(self.target.decode(raw, np))


class OrderedAnswers(Answers):
    """Classes in order: for each cut between two of them, whether a row lies above it.

    The probabilities of lying above must fall from cut to cut. Where those of separate boosters do not, each is replaced by
    the middle between the least so far and the most to come, which do.

    Source:
        Frank & Hall (2001), A Simple Approach to Ordinal Classification, ECML.
    """

    n_classes = 2

    def asked(self, y: NDArray[Any]) -> list[NDArray[Any]]:  # noqa: D102
        return [(self.target.places[y] > place).astype(np.int64) for place in self.present[:-1]]

    def prediction(self, margins: Sequence[Array], n: int) -> NDArray[Any]:  # noqa: D102
        ends = [np.ones((n, 1)), *(np.exp(log_sigmoid(one[:, 1:] - one[:, :1], np)) for one in margins), np.zeros((n, 1))]
        above = np.concatenate(ends, axis=1)
        falling = np.minimum.accumulate(above, axis=1)
        from_behind = np.maximum.accumulate(above[:, ::-1], axis=1)[:, ::-1]
        shares = -np.diff((falling + from_behind) / 2, axis=1)
        in_order = np.full((n, len(self.target.classes)), self._unseen)
        in_order[:, self.present] = np.maximum(shares, self._unseen)
        return (in_order / in_order.sum(axis=1, keepdims=True))[:, self.target.places]


def make_answers(target: Target, y: NDArray[Any]) -> Answers:
    """What is asked for a target of which training has the values `y`, as they are trained.  (n,)"""
    if isinstance(target, OrderedTarget):
        return OrderedAnswers(target, np.unique(target.places[y]), len(y))
    if isinstance(target, LabelTarget):
        return ClassAnswers(target, np.unique(y), len(y))
    return NumberAnswers(target, np.zeros(0, dtype=np.int64), len(y))


def load_answers(target: Target, present: Sequence[int], n_rows: int) -> Answers:
    """The same once it has been asked."""
    kind = OrderedAnswers if isinstance(target, OrderedTarget) else ClassAnswers if present else NumberAnswers
    return kind(target, np.array(present, dtype=np.int64), n_rows)


def can_answer(target: Target) -> bool:
    """Whether trees can be asked for such a target."""
    return isinstance(target, NumberTarget | LabelTarget)


def objective_of(field: Field) -> Objective | None:
    """What trees lower for the loss a field says; None where no library has it."""
    name, options = said_loss(field)
    if set(options) - {OPTIONS.get(name)}:
        return None
    if field.kind == "label":
        return Objective("log_loss") if name == "cross_entropy" else None
    if name not in OF_NUMBERS:
        return None
    own = {**(LOSSES["number"][name].__kwdefaults__ or {}), **options}
    return Objective(name, float(own.get(OPTIONS.get(name, ""), 0.0)))  # type: ignore[arg-type]
