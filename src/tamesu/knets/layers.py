"""What all else is made of, with PyTorch's numbers: how layers start, where zeros come in, what is normalised."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from tamesu.nets.plans import NORM_EPSILON, NORM_MOMENTUM

Tensor = Any


def linear(n_in: int, n_out: int, bias: bool = True) -> keras.layers.Dense:
    """(…, n_in) to (…, n_out), starting as nn.Linear and nn.Conv2d of one pixel do."""
    start = torch_uniform(n_in)
    layer = keras.layers.Dense(n_out, use_bias=bias, kernel_initializer=start, bias_initializer=start)
    layer.build((None, n_in))
    return layer


def pointwise(n_in: int, n_out: int) -> keras.layers.Dense:
    """A convolution over one place, without bias, of He's normal weights."""
    layer = keras.layers.Dense(n_out, use_bias=False, kernel_initializer=he_normal())
    layer.build((None, n_in))
    return layer


def torch_uniform(n_in: int) -> keras.initializers.Initializer:
    """How PyTorch's layers start that see `n_in` numbers."""
    limit = 1 / math.sqrt(max(n_in, 1))
    return keras.initializers.RandomUniform(-limit, limit)


def he_normal() -> keras.initializers.Initializer:
    """The one of nn.init.kaiming_normal_ with mode="fan_out"."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


class Convolution(keras.layers.Layer):
    """A 3×3 convolution without bias that sees one row of zeros beyond each side, whatever its stride."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__()
        self.stride = stride
        self.kernel = self.add_weight(shape=(3, 3, in_channels, out_channels), initializer=he_normal(), name="kernel")
        self.built = True

    def call(self, x: Tensor, there: Tensor, training: bool = False) -> Tensor:
        """(b, h, w, c), rows of which are `there` (b,), to (b, h', w', c')."""
        kernel = self.kernel_for(x, there, training)
        if self.stride == 1:
            return ops.conv(x, kernel, padding="same", data_format="channels_last")
        # "same" would add its zeros at the end only where the side is even
        padded = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        return ops.conv(padded, kernel, strides=self.stride, padding="valid", data_format="channels_last")

    def kernel_for(self, x: Tensor, there: Tensor, training: bool) -> Tensor:
        """What these rows are convolved with.  (3, 3, c, c')"""
        return self.kernel


class MaskedNorm(keras.layers.Layer):
    """Batch normalisation whose means and spreads are those of what is there; computed in float32."""

    def __init__(self, channels: int, start: str = "ones"):
        """With scales that start at `start`, ones or zeros."""
        super().__init__()
        common: dict[str, Any] = {"shape": (channels,), "autocast": False}
        self.gamma = self.add_weight(**common, initializer=start, name="gamma")
        self.beta = self.add_weight(**common, initializer="zeros", name="beta")
        self.running_mean = self.add_weight(**common, initializer="zeros", trainable=False, name="running_mean")
        self.running_var = self.add_weight(**common, initializer="ones", trainable=False, name="running_var")
        self.built = True

    def call(self, x: Tensor, there: Tensor, training: bool = False) -> Tensor:
        """(b, …, c) to the same.

        Args:
            x: Of rows, of the pixels of pictures, or of the steps of series.
            there: 1 for a row, or a step, that is there, 0 for padding.  (b,) or (b, t)
            training: Whether the batch is normalised by its own means and spreads, and they are learned.
        """
        x = ops.cast(x, "float32")
        mean, var = self._of_batch(x, ops.cast(there, "float32")) if training else (self.running_mean, self.running_var)
        scale = self.gamma * ops.rsqrt(var + NORM_EPSILON)
        return ops.cast(x * scale + (self.beta - mean * scale), self.compute_dtype)

    def _of_batch(self, x: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        n = ops.sum(there) * math.prod(x.shape[len(there.shape) : -1])
        mean = total(x, there) / ops.maximum(n, 1.0)
        var = total(ops.square(x - mean), there) / ops.maximum(n, 1.0)
        share = NORM_MOMENTUM * ops.cast(n > 0, "float32")  # a batch without rows teaches nothing
        learn(self.running_mean, mean, share)
        learn(self.running_var, var * n / ops.maximum(n - 1, 1.0), share)
        return mean, var


def total(values: Tensor, there: Tensor) -> Tensor:
    """The sum over the places of all rows, or steps, that are there.

    Args:
        values: (b, …, c)
        there: 1 or 0.  (b,) or (b, t)

    Returns:
        (c,)
    """
    inner = tuple(range(len(there.shape), len(values.shape) - 1))
    summed = ops.sum(values, axis=inner) if inner else values  # first, which leaves little to multiply
    return ops.sum(summed * there[..., None], axis=tuple(range(len(there.shape))))


def learn(running: keras.Variable, value: Tensor, share: Tensor) -> None:
    """Moves a running mean towards a value by a share of the way."""
    running.assign(running + share * (ops.stop_gradient(value) - running))
