"""The branch for tables, as `tamesu.nets.heads.TableBranch`."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tamesu.config import ModelConfig
from tamesu.knets.activations import make_activation
from tamesu.knets.balance import BalancedStem, balance_of
from tamesu.knets.layers import Tensor, linear
from tamesu.knets.tiny import Seen
from tamesu.nets.plans import NORM_EPSILON, embedding_width
from tamesu.nets.shapes import InputShape


class TableBranch(keras.layers.Layer):
    """Numbers and embedded categories through two hidden layers.

    Attributes:
        n_features: How many come out.
    """

    def __init__(self, model: ModelConfig, shape: InputShape):
        super().__init__(dtype="float32")  # numbers are not rounded before the first layer
        widths = [embedding_width(size) for size in shape.category_sizes]
        self.embeddings = [_embedding(size, width) for size, width in zip(shape.category_sizes, widths, strict=True)]
        self.activation = make_activation(model.activation)
        self.balance: Any = None
        if model.stem == "balanced":
            embedded = [name for name, width in zip(shape.category_fields, widths, strict=True) for _ in range(width)]
            self.balance = BalancedStem(balance_of([*shape.feature_fields, *embedded], model.groups))
        n_in = shape.n_features + sum(widths)
        befores = (n_in, model.hidden) if model.hidden else ()
        self.hidden = [linear(n_before, model.hidden) for n_before in befores]
        self.norms = [_layer_norm(model.hidden) for _ in befores]
        self.dropout = keras.layers.Dropout(model.dropout)  # between the two; the head has its own
        self.n_features = self.n_early = model.hidden or n_in

    def call(self, table: Tensor, categories: Tensor, there: Tensor, training: bool = False) -> Seen:
        """Of numbers (b, f) and codes (b, g), rows of which are `there` (b,)."""
        x = ops.concatenate([table, *(one(categories[:, i]) for i, one in enumerate(self.embeddings))], axis=1)
        if self.balance is not None:
            x = self.balance(x, there, training=training)
        for i, (hidden, norm) in enumerate(zip(self.hidden, self.norms, strict=True)):
            x = self.activation(norm(hidden(x if i == 0 else self.dropout(x, training=training))))
        return Seen(x, x)


def _embedding(size: int, width: int) -> keras.layers.Embedding:
    start = keras.initializers.RandomNormal(stddev=1.0)
    layer = keras.layers.Embedding(size, width, embeddings_initializer=start, dtype="float32")
    layer.build((None,))
    return layer


def _layer_norm(width: int) -> keras.layers.LayerNormalization:
    layer = keras.layers.LayerNormalization(epsilon=NORM_EPSILON)
    layer.build((None, width))
    return layer
