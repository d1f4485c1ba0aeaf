"""Losses of classes: of a row, of every step, of every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from tamesu.losses.known import Array, is_number, like, mean_known

LEAST = 1e-12  # a share under a power: below 1 the power's slope at 0 is infinite
EMPTY = 1.0  # added to overlap and sizes, so that a class that is neither there nor predicted costs nothing


def cross_entropy(
    raw: Array,
    encoded: Array,
    weight: Array,
    xp: ModuleType,
    *,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
) -> Array:
    """Minus the log probability of the right class; mean over the known steps or pixels, where there are any.

    Args:
        raw: Logits.  (n, …, k)
        encoded: Class codes 0…k-1; -1 where unknown.  (n, …) integer
        weight: 0 for padding.  (n,)
        label_smoothing: Probability spread evenly over all classes.
        class_weights: Of each class.  (k,)

    Returns:
        (n,) in nats.
    """
    return _expected(log_softmax(raw, xp), encoded, xp, label_smoothing, class_weights) * weight


def focal(
    raw: Array,
    encoded: Array,
    weight: Array,
    xp: ModuleType,
    *,
    gamma: float = 2.0,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
) -> Array:
    """Cross entropy times (1 - p) ** gamma, where p is what the class is given: what is known well counts little.

    Args:
        raw, encoded, weight, label_smoothing, class_weights: As of `cross_entropy`, which this is for gamma 0.
        gamma: At least 0.

    Returns:
        (n,) in nats.

    Source:
        Lin et al. (2017), Focal Loss for Dense Object Detection, ICCV.
    """
    log_probability = log_softmax(raw, xp)
    each = log_probability * _power(-xp.expm1(log_probability), gamma, xp)
    return _expected(each, encoded, xp, label_smoothing, class_weights) * weight


def binary_cross_entropy(
    raw: Array,
    encoded: Array,
    weight: Array,
    xp: ModuleType,
    *,
    label_smoothing: float = 0.0,
    class_weights: Sequence[Sequence[float]] | None = None,
) -> Array:
    """Minus the log probability of each class being there or not, mean over classes, and over steps where there are any.

    Args:
        raw: Logits.  (n, …, k)
        encoded: 1 where the class is there, else 0; between them where that is so likely; NaN where unknown.  (n, …, k)
        weight: 0 for padding.  (n,)
        label_smoothing: Moves each 0 and 1 by half of this towards the middle.
        class_weights: Of each class where it is there, and where it is not.  (2, k)

    Returns:
        (n,) in nats.
    """
    known, wanted = _wanted(encoded, label_smoothing, xp)
    size = xp.abs(raw)
    if class_weights is None:
        # log(1 + exp(raw)) - wanted * raw, written so that nothing overflows
        each = (raw + size) / 2 + xp.log1p(xp.exp(-size)) - wanted * raw
    else:
        there, absent = (like(one, raw, xp) for one in class_weights)
        each = -(there * wanted * log_sigmoid(raw, xp) + absent * (1 - wanted) * log_sigmoid(-raw, xp))
    return mean_known(each, known, xp) * weight


def binary_focal(
    raw: Array,
    encoded: Array,
    weight: Array,
    xp: ModuleType,
    *,
    gamma: float = 2.0,
    label_smoothing: float = 0.0,
    class_weights: Sequence[Sequence[float]] | None = None,
) -> Array:
    """Binary cross entropy, each term times (1 - p) ** gamma, where p is what the truth is given.

    Args:
        raw, encoded, weight, label_smoothing, class_weights: As of `binary_cross_entropy`, which this is for gamma 0.
        gamma: At least 0.

    Returns:
        (n,) in nats.

    Source:
        Lin et al. (2017), Focal Loss for Dense Object Detection, ICCV.
    """
    known, wanted = _wanted(encoded, label_smoothing, xp)
    log_there, log_absent = log_sigmoid(raw, xp), log_sigmoid(-raw, xp)
    there = wanted * log_there * _power(-xp.expm1(log_there), gamma, xp)
    absent = (1 - wanted) * log_absent * _power(-xp.expm1(log_absent), gamma, xp)
    if class_weights is not None:
        of_there, of_absent = (like(one, raw, xp) for one in class_weights)
        there, absent = there * of_there, absent * of_absent
    return mean_known(-(there + absent), known, xp) * weight


def dice(raw: Array, encoded: Array, weight: Array, xp: ModuleType) -> Array:
    """1 minus the overlap of what is predicted and what is there, mean over classes.

    Args:
        raw: Logits.  (n, …, k)
        encoded: Class codes 0…k-1; -1 where unknown.  (n, …) integer
        weight: 0 for padding.  (n,)

    Returns:
        (n,) from 0 to 1.

    Source:
        Milletari, Navab & Ahmadi (2016), V-Net, 3DV: overlap over the sum of squares; here 1 is added to both.
    """
    known = xp.where(encoded[..., None] >= 0, xp.ones_like(raw), 0.0)
    there = xp.where(_is_class(raw, encoded, xp), xp.ones_like(raw), 0.0)
    return _overlap_missed(xp.exp(log_softmax(raw, xp)) * known, there, xp) * weight


def binary_dice(raw: Array, encoded: Array, weight: Array, xp: ModuleType) -> Array:
    """The same of classes that may be there together: of a row's classes, or of each class over its steps.

    Args:
        raw: Logits.  (n, …, k)
        encoded: From 0 to 1; NaN where unknown.  (n, …, k)
        weight: 0 for padding.  (n,)

    Returns:
        (n,) from 0 to 1.
    """
    known, wanted = _wanted(encoded, 0.0, xp)
    given = sigmoid(raw, xp) * xp.where(known, xp.ones_like(raw), 0.0)
    if len(raw.shape) == 2:  # one row's classes are one set
        given, wanted = given[..., None], wanted[..., None]
    return _overlap_missed(given, wanted, xp) * weight


def cross_entropy_dice(
    raw: Array,
    encoded: Array,
    weight: Array,
    xp: ModuleType,
    *,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
) -> Array:
    """Cross entropy and dice in one: each pixel right, and small regions found.  (n,)"""
    each = cross_entropy(raw, encoded, weight, xp, label_smoothing=label_smoothing, class_weights=class_weights)
    return each + dice(raw, encoded, weight, xp)


def log_softmax(raw: Array, xp: ModuleType) -> Array:
    """Logits as log probabilities over the last axis."""
    shifted = raw - xp.amax(raw, axis=-1, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))


def sigmoid(raw: Array, xp: ModuleType) -> Array:
    """1 / (1 + exp(-raw)) without overflow."""
    small = xp.exp(-xp.abs(raw))
    return xp.where(raw >= 0, 1 / (1 + small), small / (1 + small))


def log_sigmoid(raw: Array, xp: ModuleType) -> Array:
    """log(1 / (1 + exp(-raw))) without overflow."""
    size = xp.abs(raw)
    return (raw - size) / 2 - xp.log1p(xp.exp(-size))


def _is_class(raw: Array, encoded: Array, xp: ModuleType) -> Array:
    codes = xp.cumsum(xp.ones_like(raw), axis=-1) - 1  # 0…k-1 on the device of `raw`, which an arange would not be
    return encoded[..., None] == codes


def _expected(
    each: Array, encoded: Array, xp: ModuleType, label_smoothing: float, class_weights: Sequence[float] | None
) -> Array:
    """Minus what the right class has of `each` (n, …, k), smoothed; mean over what is known of a row.  (n,)"""
    if class_weights is not None:
        each = each * like(class_weights, each, xp)
    right = xp.sum(xp.where(_is_class(each, encoded, xp), each, 0.0), axis=-1)
    if label_smoothing:
        right = (1 - label_smoothing) * right + label_smoothing * xp.mean(each, axis=-1)
    return mean_known(-right, encoded >= 0, xp)


def _wanted(encoded: Array, label_smoothing: float, xp: ModuleType) -> tuple[Array, Array]:
    """Where it is known whether a class is there, and how far it is to be said to be."""
    known = is_number(encoded)
    return known, xp.where(known, encoded, 0.0) * (1 - label_smoothing) + label_smoothing / 2


def _power(share: Array, gamma: float, xp: ModuleType) -> Array:
    return xp.clip(share, LEAST, 1.0) ** gamma


def _overlap_missed(given: Array, there: Array, xp: ModuleType) -> Array:
    """1 minus the overlap over all but the first and last axis, mean over the last.  (n, …, k), both 0 where unknown"""
    axes = tuple(range(1, len(given.shape) - 1))
    overlap, sizes = given * there, xp.square(given) + xp.square(there)
    if axes:
        overlap, sizes = xp.sum(overlap, axis=axes), xp.sum(sizes, axis=axes)
    return xp.mean(1 - (2 * overlap + EMPTY) / (sizes + EMPTY), axis=-1)
