"""What training lowers: one value a row, from raw outputs and encoded targets.

Pure functions of an array namespace `xp`, which is `numpy`, `torch` or `keras.ops`; only operations that the three spell
alike are used, so one definition serves every framework.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

Array = Any  # of the namespace xp


def cross_entropy(raw: Array, encoded: Array, weight: Array, xp: ModuleType, *, label_smoothing: float = 0.0) -> Array:
    """Minus the log probability of the right class.

    Args:
        raw: Logits.  (n, k)
        encoded: Class codes 0…k-1.  (n,) integer
        weight: 0 for padding.  (n,)
        label_smoothing: Probability spread evenly over all classes.

    Returns:
        (n,) in nats.
    """
    log_probability = log_softmax(raw, xp)
    codes = xp.cumsum(xp.ones_like(raw), axis=-1) - 1  # 0…k-1 on the device of `raw`, which an arange would not be
    is_class = encoded[:, None] == codes
    right = xp.sum(xp.where(is_class, log_probability, 0.0), axis=-1)
    if label_smoothing:
        right = (1 - label_smoothing) * right + label_smoothing * xp.mean(log_probability, axis=-1)
    return -right * weight


def binary_cross_entropy(raw: Array, encoded: Array, weight: Array, xp: ModuleType, *, label_smoothing: float = 0.0) -> Array:
    """Minus the log probability of each class being there or not, mean over classes.

    Args:
        raw: Logits.  (n, k)
        encoded: 1 where the class is there, else 0.  (n, k)
        weight: 0 for padding.  (n,)
        label_smoothing: Moves each 0 and 1 by half of this towards the middle.

    Returns:
        (n,) in nats.
    """
    wanted = encoded * (1 - label_smoothing) + label_smoothing / 2
    size = xp.abs(raw)
    # log(1 + exp(raw)) - wanted * raw, written so that nothing overflows
    each = (raw + size) / 2 + xp.log1p(xp.exp(-size)) - wanted * raw
    return xp.mean(each, axis=-1) * weight


def squared_error(raw: Array, encoded: Array, weight: Array, xp: ModuleType, *, label_smoothing: float = 0.0) -> Array:
    """Squared distance of standardised numbers.

    Args:
        raw: (n, 1)
        encoded: (n,)
        weight: 0 for padding.  (n,)
        label_smoothing: Of no meaning for numbers; taken so that all losses are called alike.

    Returns:
        (n,) in squared standard deviations of the training rows.
    """
    return xp.square(raw[:, 0] - encoded) * weight


def mixed_loss(
    loss: Callable[..., Array],
    raw: Array,
    encoded: Array,
    partner: Array | None,
    share: Array | None,
    weight: Array,
    xp: ModuleType,
    **options: Any,
) -> Array:
    """A loss of rows that are partly another row (mixup, cutmix): the mean of both targets' losses, never of the targets.

    Args:
        loss: One of `LOSSES`.
        raw: As that loss takes it.  (n, …)
        encoded: The rows' own targets.  (n, …)
        partner: Position in the batch of the row each was mixed with; None where none was.  (n,) integer
        share: Of the row's own target; 1 where it was not mixed.  (n,)
        weight: 0 for padding.  (n,)
        options: What else the loss takes.

    Returns:
        (n,) in the loss's unit.

    Source:
        Zhang et al. (2018), mixup; for one-hot targets and cross entropy the two are equal.
    """
    own = loss(raw, encoded, weight, xp, **options)
    if partner is None or share is None:
        return own
    other = loss(raw, _rows_at(encoded, partner, xp), weight, xp, **options)
    return share * own + (1 - share) * other


def squared_distance(raw: Array, encoded: Array, weight: Array, xp: ModuleType, *, label_smoothing: float = 0.0) -> Array:
    """Squared distance of arrows: of encoded vectors, or of the unit vectors that stand for angles.

    Args:
        raw: (n, k)
        encoded: (n, k)
        weight: 0 for padding.  (n,)
        label_smoothing: Of no meaning here.

    Returns:
        (n,) in squared units of what is encoded.
    """
    return xp.sum(xp.square(raw - encoded), axis=-1) * weight


def squared_point_distance(raw: Array, encoded: Array, weight: Array, xp: ModuleType, *, label_smoothing: float = 0.0) -> Array:
    """Squared distance of points, mean over those that are seen; 0 where none is.

    Args:
        raw: x and y of one point after the other.  (n, 2 k)
        encoded: NaN where a point is not seen.  (n, k, 2)
        weight: 0 for padding.  (n,)
        label_smoothing: Of no meaning here.

    Returns:
        (n,) in squared halves of the frame.
    """
    wanted = xp.reshape(encoded, raw.shape)
    seen = wanted == wanted  # NaN is not itself
    off = xp.where(seen, raw - xp.where(seen, wanted, 0.0), 0.0)
    n_seen = xp.sum(xp.where(seen, xp.ones_like(raw), 0.0), axis=-1) / 2
    return xp.sum(xp.square(off), axis=-1) / xp.where(n_seen > 0, n_seen, 1.0) * weight


LOSSES = {
    "label": cross_entropy,
    "labels": binary_cross_entropy,
    "direction": cross_entropy,
    "number": squared_error,
    "angle": squared_distance,
    "vector": squared_distance,
    "points": squared_point_distance,
}


def loss_of(target: Any, train: Any) -> Callable[..., Array]:
    """The loss a target is trained with: (raw, encoded, weight, xp) to one value a row."""
    return functools.partial(LOSSES[target.kind], label_smoothing=train.label_smoothing)


def log_softmax(raw: Array, xp: ModuleType) -> Array:
    """Logits as log probabilities over the last axis."""
    shifted = raw - xp.amax(raw, axis=-1, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))


def sigmoid(raw: Array, xp: ModuleType) -> Array:
    """1 / (1 + exp(-raw)) without overflow."""
    small = xp.exp(-xp.abs(raw))
    return xp.where(raw >= 0, 1 / (1 + small), small / (1 + small))


def _rows_at(values: Array, positions: Array, xp: ModuleType) -> Array:
    """Rows at these positions: the one operation that PyTorch spells otherwise."""
    return xp.index_select(values, 0, positions) if hasattr(xp, "index_select") else xp.take(values, positions, axis=0)
