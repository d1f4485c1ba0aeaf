"""The built-in backbone for pictures, as `tamesu.nets.tiny` has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from tamesu.knets.activations import make_activation
from tamesu.knets.balance import Balance, BalancedConvolution
from tamesu.knets.layers import Convolution, MaskedNorm, Tensor, pointwise
from tamesu.nets.plans import Size, plan_blocks, plan_stages, plan_stem


class Seen(NamedTuple):
    """What a branch makes of its input.

    Attributes:
        features: Of a row.  (b, f)
        early: Half-way to those; of a branch that shows nothing half-way its features.  (b, f')
        map: The last map of pictures; None where there is none.  (b, h, w, c)
        steps: Features of each step of a series; None of anything else.  (b, t, d)
    """

    features: Tensor
    early: Tensor
    map: Tensor | None = None
    steps: Tensor | None = None


class Tiny(keras.layers.Layer):
    """Pictures to features.

    Attributes:
        n_features: Length of the feature vector.
        n_early: Channels of the map half-way.
        n_map: Channels of the last map.
    """

    def __init__(
        self, in_channels: int, size: Size, width: int, depth: int, activation: str, balance: Balance | None = None
    ) -> None:
        """With `balance`, the channels that come in are groups with a share each."""
        super().__init__()
        n_halvings, n_stages = plan_stages(size)
        self.activation = make_activation(activation)
        plan = plan_stem(width, n_halvings)
        self.stem = []
        for i, (out_channels, stride) in enumerate(plan.convolutions):
            first = i == 0 and balance is not None
            self.stem.append(ConvNorm(in_channels, out_channels, stride, balance=balance if first else None))
            in_channels = out_channels
        self.maxima = [keras.layers.MaxPooling2D(2, data_format="channels_last") for _ in range(plan.n_maxima)]
        self.blocks, channels = [], width
        widths = [width]
        for out_channels, stride in plan_blocks(n_stages, width, depth):
            self.blocks.append(Block(channels, out_channels, stride, self.activation))
            channels = out_channels
            widths.append(channels)
        self.half = len(self.blocks) // 2
        self.n_features = self.n_map = channels
        self.n_early = widths[self.half]

    def call(self, pictures: Tensor, there: Tensor, training: bool = False) -> Seen:
        """Of pictures (b, h, w, c), rows of which are `there` (b,)."""
        x = pictures
        for one in self.stem:
            x = self.activation(one(x, there, training=training))
        for one in self.maxima:
            x = one(x)
        early = x
        for i, block in enumerate(self.blocks):
            x = block(x, there, training=training)
            early = x if i + 1 == self.half else early
        return Seen(mean_of_map(x), mean_of_map(early), x)


def mean_of_map(x: Tensor) -> Tensor:
    """(b, h, w, c) to (b, c)."""
    return ops.mean(x, axis=(1, 2))


class ConvNorm(keras.layers.Layer):
    """A 3×3 convolution and batch normalisation."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, start: str = "ones", balance: Balance | None = None
    ) -> None:
        """With scales that start at `start`; with `balance`, of balanced groups."""
        super().__init__()
        self.conv = (
            Convolution(in_channels, out_channels, stride)
            if balance is None
            else BalancedConvolution(balance, in_channels, out_channels, stride)
        )
        self.norm = MaskedNorm(out_channels, start)

    def call(self, x: Tensor, there: Tensor, training: bool = False) -> Tensor:
        """(b, h, w, c) to (b, h', w', c')."""
        return self.norm(self.conv(x, there, training=training), there, training=training)


class Block(keras.layers.Layer):
    """Two 3×3 convolutions and what went in; it starts as its shortcut."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, activation: Callable[[Tensor], Tensor]):
        super().__init__()
        self.first = ConvNorm(in_channels, out_channels, stride)
        self.second = ConvNorm(out_channels, out_channels, start="zeros")
        self.activation = activation
        self.pool = keras.layers.AveragePooling2D(2, padding="same", data_format="channels_last") if stride == 2 else None
        self.widen: Any = None
        if in_channels != out_channels:
            self.widen, self.widen_norm = pointwise(in_channels, out_channels), MaskedNorm(out_channels)

    def call(self, x: Tensor, there: Tensor, training: bool = False) -> Tensor:
        """(b, h, w, c) to (b, h', w', c')."""
        inner = self.second(self.activation(self.first(x, there, training=training)), there, training=training)
        shortcut = x if self.pool is None else self.pool(x)
        if self.widen is not None:
            shortcut = self.widen_norm(self.widen(shortcut), there, training=training)
        return self.activation(inner + shortcut)
