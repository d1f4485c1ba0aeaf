"""What training lowers: one value a row, from raw outputs and encoded targets.

Pure functions of an array namespace `xp`, which is `numpy`, `torch` or `keras.ops`; only operations that the three spell
alike are used, so one definition serves every framework. `LOSSES` has them by kind of target and name; `loss_of` chooses.
"""

from __future__ import annotations

from tamesu.losses.arrows import (
    distance,
    huber_distance,
    huber_point_distance,
    point_distance,
    squared_distance,
    squared_point_distance,
)
from tamesu.losses.choice import (
    LOSSES,
    Loss,
    class_weight_mistakes,
    class_weights_of,
    count_classes,
    loss_kind,
    loss_mistakes,
    loss_of,
    n_outputs_of,
    said_loss,
    wants_counts,
)
from tamesu.losses.classes import (
    binary_cross_entropy,
    binary_dice,
    binary_focal,
    cross_entropy,
    cross_entropy_dice,
    dice,
    focal,
    log_sigmoid,
    log_softmax,
    sigmoid,
)
from tamesu.losses.conserve import conservation, imbalance, law_coefficients
from tamesu.losses.known import Array
from tamesu.losses.maps import edge_aware_smoothness, smooth_absolute_error
from tamesu.losses.mixed import mixed_loss
from tamesu.losses.numbers import absolute_error, crps, huber, quantile_error, squared_error
from tamesu.losses.own import OwnLoss

__all__ = [
    "LOSSES",
    "Array",
    "Loss",
    "OwnLoss",
    "absolute_error",
    "binary_cross_entropy",
    "binary_dice",
    "binary_focal",
    "class_weight_mistakes",
    "class_weights_of",
    "conservation",
    "count_classes",
    "crps",
    "cross_entropy",
    "cross_entropy_dice",
    "dice",
    "distance",
    "edge_aware_smoothness",
    "focal",
    "huber",
    "huber_distance",
    "huber_point_distance",
    "imbalance",
    "law_coefficients",
    "log_sigmoid",
    "log_softmax",
    "loss_kind",
    "loss_mistakes",
    "loss_of",
    "mixed_loss",
    "n_outputs_of",
    "point_distance",
    "quantile_error",
    "said_loss",
    "sigmoid",
    "smooth_absolute_error",
    "squared_distance",
    "squared_error",
    "squared_point_distance",
    "wants_counts",
]
