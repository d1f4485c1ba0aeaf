"""The branch for series, as `tamesu.nets.series` has it: what lies beyond a row's end, and what is padding, is not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tamesu.knets.activations import make_activation
from tamesu.knets.layers import MaskedNorm, Tensor, he_normal, linear, pointwise
from tamesu.knets.tiny import Seen
from tamesu.nets.plans import STEM_WIDTH, plan_series


class SeriesBranch(keras.layers.Layer):
    """Series to features of each step and of the whole row.

    Attributes:
        n_features: Length of both.
    """

    def __init__(self, channels: int, width: int, depth: int, activation: str):
        super().__init__()
        self.activation = make_activation(activation)
        self.stem, self.stem_norm = _convolution(channels, width, STEM_WIDTH), MaskedNorm(width)
        self.blocks, before = [], width
        for after, dilation in plan_series(width, depth):
            self.blocks.append(SeriesBlock(before, after, dilation, self.activation))
            before = after
        self.pool = linear(2 * before, before)
        self.n_features = self.n_early = before

    def call(self, values: Tensor, lengths: Tensor, there: Tensor, training: bool = False) -> Seen:
        """Features of the rows and of their steps; those beyond a row's end are 0.

        Args:
            values: (b, t, c)
            lengths: 0 for a row that is not there.  (b,)
            there: 1 for a row, 0 for padding.  (b,)
            training: Whether means and spreads are those of the batch.
        """
        lengths = lengths[:, None]
        inside = ops.arange(values.shape[1], dtype=lengths.dtype)[None] < lengths
        there = ops.cast(inside, self.compute_dtype) * there[:, None]  # (b, t)
        mask = there[..., None]
        x = values * mask
        x = self.activation(self.stem_norm(self.stem(x), there, training=training)) * mask
        for block in self.blocks:
            x = block(x, there, training=training)
        n_steps = ops.sum(ops.cast(there, "float32"), axis=1)[:, None]
        mean = ops.sum(ops.cast(x, "float32"), axis=1) / ops.maximum(n_steps, 1.0)
        highest = ops.max(ops.where(mask > 0, ops.cast(x, "float32"), -float("inf")), axis=1)
        highest = ops.where(n_steps > 0, highest, 0.0)  # of a row without steps nothing
        pooled = self.activation(self.pool(ops.concatenate([mean, highest], axis=1)))
        pooled = pooled * ops.cast(n_steps > 0, pooled.dtype)
        return Seen(pooled, pooled, steps=x)


class SeriesBlock(keras.layers.Layer):
    """Two convolutions over three steps, `dilation` apart, and what went in; it starts as its shortcut."""

    def __init__(self, in_channels: int, out_channels: int, dilation: int, activation: Callable[[Tensor], Tensor]):
        super().__init__()
        self.first, self.first_norm = _convolution(in_channels, out_channels, 3, dilation), MaskedNorm(out_channels)
        self.second = _convolution(out_channels, out_channels, 3, dilation)
        self.second_norm = MaskedNorm(out_channels, start="zeros")
        self.activation = activation
        self.widen: Any = pointwise(in_channels, out_channels) if in_channels != out_channels else None

    def call(self, x: Tensor, there: Tensor, training: bool = False) -> Tensor:
        """(b, t, c) to (b, t, c'), 0 where `there` (b, t) is."""
        mask = there[..., None]
        inner = self.activation(self.first_norm(self.first(x), there, training=training)) * mask
        shortcut = x if self.widen is None else self.widen(x)
        return self.activation(self.second_norm(self.second(inner), there, training=training) + shortcut) * mask


def _convolution(in_channels: int, out_channels: int, width: int, dilation: int = 1) -> keras.layers.Conv1D:
    """Over `width` steps, `dilation` apart, with zeros beyond the ends."""
    layer = keras.layers.Conv1D(
        out_channels,
        width,
        padding="same",
        dilation_rate=dilation,
        use_bias=False,
        kernel_initializer=he_normal(),
        data_format="channels_last",
    )
    layer.build((None, None, in_channels))
    return layer
