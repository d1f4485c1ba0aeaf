"""A Keras model, whoever made it, as a part of the network: its features and, where it has one, its last map."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tamesu.errors import ConfigError
from tamesu.knets.layers import Tensor
from tamesu.knets.tiny import Seen
from tamesu.texts import say


class Wrapped(keras.layers.Layer):
    """Channels as the model was trained on them, then the model.

    Attributes:
        n_features: How many it gives.
        n_map: Channels of its last map; 0 of a model that shows none.
    """

    def __init__(self, model: keras.Model, name: str, input_shape: tuple[int | None, ...], start: Any = None):
        """Of inputs (b, *input_shape), which take the place of the tensor `start` on the model's way, or of its input.

        Raises:
            ConfigError: It does not give features.
        """
        super().__init__(dtype="float32")
        self.n_features = self.n_early = _count_features(model, name, input_shape)
        last = _last_map(model)
        self.n_map = 0 if last is None else int(last.shape[-1])
        self.model = model
        if start is not None or last is not None:
            outputs = [model.outputs[0]] if last is None else [model.outputs[0], last]
            self.model = keras.Model(model.inputs if start is None else start, outputs)
        channels = int(input_shape[-1] or 0)
        self.scale = self.add_weight(shape=(channels,), initializer="ones", trainable=False, name="scale")
        self.offset = self.add_weight(shape=(channels,), initializer="zeros", trainable=False, name="offset")

    def set_scale(self, scale: NDArray[np.float32], offset: NDArray[np.float32]) -> None:
        """What standardised channels are multiplied by, and what is added, before the model sees them.  (c,)"""
        self.scale.assign(scale)
        self.offset.assign(offset)

    def call(self, x: Tensor, there: Tensor | None = None, training: bool = False) -> Seen:
        """Of (b, …, c); the model sees rows that are not `there` as well."""
        out = self.model(x * self.scale + self.offset, training=training)
        features, last = out if self.n_map else (keras.tree.flatten(out)[0], None)
        return Seen(features, features, last)


def _count_features(model: keras.Model, name: str, input_shape: tuple[int | None, ...]) -> int:
    if getattr(model, "inputs", None):
        shapes = [tuple(one.shape) for one in model.outputs]
    else:  # a model by subclassing is built by its first batch
        out = model(np.zeros((1, *(n or 1 for n in input_shape)), dtype=np.float32))
        shapes = [tuple(one.shape) for one in keras.tree.flatten(out)]
    if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] is None:
        shown = ["batch", *shapes[0][1:]] if len(shapes) == 1 else shapes
        raise ConfigError(
            say(
                "model.backbone: {name} must return features of shape (batch, features); got {shape}.",
                name=name,
                shape=f"({', '.join(str(n) for n in shown)})",
            )
        )
    return int(shapes[0][1])


def _last_map(model: keras.Model) -> Any:
    """The last tensor (b, h, w, c) on a model's way; None of a model by subclassing, or without any."""
    if not getattr(model, "inputs", None) or len(model.inputs[0].shape) != 4:
        return None
    for layer in reversed(model.layers):
        out: Any = None if isinstance(layer, keras.layers.InputLayer) else getattr(layer, "output", None)
        if hasattr(out, "shape") and len(out.shape) == 4 and None not in out.shape[1:]:
            return out
    return None
