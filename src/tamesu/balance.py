"""Rates that follow the class: how often each training row is drawn in an epoch, and how much it is varied.

Everything is a function of the training rows given and their own random numbers. `balance` goes from 0, classes as often as
they are, to 1, all equally often.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamesu.config import AugmentConfig, StudyConfig
from tamesu.draws import GOLDEN, Bits, Draws, as_fraction, mixed, name_key
from tamesu.fields import Field
from tamesu.losses import class_weights_of
from tamesu.mistakes import Mistake, must_be
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.targets import Target

CLASS_KINDS = ("label", "direction", "labels")  # targets whose values can be rare
MAX_STRENGTH = 2.0  # rare classes are varied at most this much more than written: twice a sensible magnitude is still a picture


class EpochRows(NamedTuple):
    """The rows of one epoch in order."""

    positions: NDArray[np.int64]  # (n,) among the training rows
    occurrence: NDArray[np.int64]  # (n,) 0 the first time a row comes, 1 the second, …


def balanced_target(fields: Mapping[str, Field]) -> str | None:
    """The target whose classes are balanced: the first that has classes."""
    return next((name for name, one in fields.items() if one.target and one.kind in CLASS_KINDS), None)


def row_classes(encoded: NDArray[Any], kind: str, n_classes: int) -> NDArray[np.int64]:
    """The class each row counts as: its own; of several, the rarest; `n_classes` where it has none.  (n,)

    Args:
        encoded: Codes (n,), or for labels 0 and 1 (n, k), of the training rows.
        kind: The target's: label, direction or labels.

    Raises:
        ValueError: A kind without classes (see `balance_mistakes`).
    """
    if kind not in CLASS_KINDS:
        raise ValueError(f"only classes can be rare; got a target of kind {kind!r}")
    if kind != "labels":
        return np.asarray(encoded, dtype=np.int64)
    there = np.asarray(encoded) > 0
    rarity = np.where(there, there.sum(axis=0), len(there) + 1)
    return np.where(there.any(axis=1), rarity.argmin(axis=1) if n_classes else 0, n_classes).astype(np.int64)


def class_weights(classes: NDArray[np.int64], balance: float) -> NDArray[np.float64]:
    """How often each row is drawn in an epoch, on average: proportional to (rows of its class)^-balance, mean 1.  (n,)

    Args:
        classes: Of the training rows, as `row_classes` gives them.
        balance: 0 to 1.
    """
    weights = np.bincount(classes, minlength=1)[classes].astype(np.float64) ** -balance
    return weights / weights.mean() if len(weights) else weights


def epoch_rows(
    weights: NDArray[np.float64], draws: Draws, order_bits: Bits, classes: NDArray[np.int64] | None = None
) -> EpochRows:
    """As many draws as there are rows, each row as often as it is expected, rounded down or up, in random order.

    Systematic resampling: rows lie on a line by class, each as long as its expected count, and are drawn where a comb with
    teeth one apart hits it. Classes thereby come within one of their expected count, too. Equal weights give every row
    once, in the order of `order_bits`.

    Args:
        weights: Of the training rows, on any scale.  (n,)
        draws: One key for each row, of this epoch.
        order_bits: Random bits for each row; rows come in their order.  (n,)
        classes: As `row_classes`, so that the counts of classes come out as well as those of rows; None: rows of one weight are
            one class.  (n,)

    Source:
        Kitagawa (1996), Monte Carlo Filter and Smoother, Journal of Computational and Graphical Statistics 5.
    """
    n = len(weights)
    if n == 0 or np.all(weights == weights[0]):
        return EpochRows(np.argsort(order_bits, kind="stable"), np.zeros(n, dtype=np.int64))
    line = np.lexsort((order_bits, weights if classes is None else classes))
    ends = np.cumsum(weights[line]) * (n / weights.sum())
    ends[-1] = n  # the sum, whatever was rounded on the way
    comb = as_fraction(mixed(np.bitwise_xor.reduce(draws.keys, keepdims=True) + name_key("balance")))
    counts = np.empty(n, dtype=np.int64)
    counts[line] = np.diff(np.floor(ends + comb).astype(np.int64), prepend=0)
    positions = np.repeat(np.arange(n), counts)
    occurrence = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
    order = np.argsort(repeated_keys(order_bits[positions], occurrence), kind="stable")
    return EpochRows(positions[order], occurrence[order])


def repeated_keys(keys: Bits, occurrence: NDArray[np.int64]) -> Bits:
    """Keys that differ each time a row comes in an epoch, so that its maps do; the first time they are the row's own.  (b,)"""
    return np.where(occurrence == 0, keys, mixed(keys + occurrence.astype(np.uint64) * GOLDEN))


def strength(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much more than written each row is varied: (rows of the largest class / of its own)^(balance / 2), at most 2.  (n,)

    The root of how much more often it is drawn: rows that come again and again differ more from one another.

    Args:
        weights: Of all training rows, as `class_weights` gives them.
    """
    return np.minimum(np.sqrt(weights / weights.min()), MAX_STRENGTH) if len(weights) else weights


def balance_mistakes(config: StudyConfig) -> Iterator[Mistake]:
    """A `balance` of a study whose targets have no classes."""
    targets = {name: one for name, one in config.fields.items() if one.target}
    if targets and balanced_target(targets) is None:
        name, field = next(iter(targets.items()))
        rule = say("0 where the target {name!r} is of kind {kind}: only classes can be rare", name=name, kind=field.kind)
        yield must_be(("augment", "balance"), rule, config.augment.balance)


def row_weights(target: Target, encoded: NDArray[Any], augment: AugmentConfig) -> NDArray[np.float64] | None:
    """What each training row counts, by its class: `class_weights` of the loss times `augment.balance`; None: all alike.  (n,)

    Args:
        target: Fitted on the training rows.
        encoded: Of those.
        augment: Of it, `balance`: where networks draw rows of rare classes more often, here they count more.
    """
    weights = np.ones(len(encoded))
    by_class = class_weights_of(target)
    if by_class is not None:
        weights = np.asarray(by_class)[target.as_trained(encoded)]
    if augment.balance:
        classes = row_classes(encoded, target.kind, len(target.classes))
        weights = weights * class_weights(classes, augment.balance)
    return None if (weights == 1).all() else weights
