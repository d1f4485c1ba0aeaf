"""What predicts from the features: rows, steps, maps, as in `tamesu.nets.heads` and `tamesu.nets.maps`."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tamesu.config import ModelConfig
from tamesu.knets.activations import make_activation
from tamesu.knets.layers import Tensor, linear, torch_uniform
from tamesu.nets.plans import N_HIDDEN, Size
from tamesu.nets.shapes import Head


class RowHead(keras.layers.Layer):
    """One linear layer, or for a branch of its own two."""

    def __init__(self, n_in: int, head: Head, model: ModelConfig):
        super().__init__()
        n_hidden = model.hidden or n_in
        self.before: Any = linear(n_in, n_hidden) if head.branch == "own" else None
        self.activation = make_activation(model.activation)
        self.linear = linear(n_in if self.before is None else n_hidden, head.n_outputs)

    def call(self, features: Tensor) -> Tensor:
        """(b, f) to (b, n_outputs)."""
        return self.linear(features if self.before is None else self.activation(self.before(features)))


class StepsHead(keras.layers.Layer):
    """Outputs at every step: from the series there, and from everything that is known of the row."""

    def __init__(self, n_steps: int, n_joined: int, n_outputs: int):
        super().__init__()
        self.at_step, self.of_row = linear(n_steps, n_outputs), linear(n_joined, n_outputs, bias=False)

    def call(self, steps: Tensor, joined: Tensor) -> Tensor:
        """(b, t, d) and (b, f) to (b, t, n_outputs)."""
        return self.at_step(steps) + self.of_row(joined)[:, None]


class MapHead(keras.layers.Layer):
    """One layer at the backbone's resolution, and one 3×3 convolution at the grid's."""

    def __init__(self, n_channels: int, n_outputs: int, grid: Size):
        super().__init__()
        self.before, self.grid = linear(n_channels, N_HIDDEN), grid
        start = torch_uniform(9 * N_HIDDEN)
        self.after = keras.layers.Conv2D(
            n_outputs, 3, padding="same", kernel_initializer=start, bias_initializer=start, data_format="channels_last"
        )
        self.after.build((None, *grid, N_HIDDEN))

    def call(self, maps: Tensor) -> Tensor:
        """(b, h, w, c) to (b, h', w', n_outputs)."""
        before = ops.cast(
            ops.relu(self.before(maps)), "float32"
        )  # TensorFlow's gradient of a resize is float32 whatever went in
        return self.after(ops.image.resize(before, self.grid, "bilinear", data_format="channels_last"))
