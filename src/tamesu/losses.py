"""What training lowers: one value a row, from raw outputs and encoded targets.

Pure functions of an array namespace `xp`, which is `numpy`, `torch` or `keras.ops`; only operations that the three spell
alike are used, so one definition serves every framework.
"""

from __future__ import annotations

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


LOSSES = {"label": cross_entropy, "labels": binary_cross_entropy, "number": squared_error}


def log_softmax(raw: Array, xp: ModuleType) -> Array:
    """Logits as log probabilities over the last axis."""
    shifted = raw - xp.amax(raw, axis=-1, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))


def sigmoid(raw: Array, xp: ModuleType) -> Array:
    """1 / (1 + exp(-raw)) without overflow."""
    small = xp.exp(-xp.abs(raw))
    return xp.where(raw >= 0, 1 / (1 + small), small / (1 + small))
