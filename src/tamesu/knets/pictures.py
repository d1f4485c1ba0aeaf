"""The branch for pictures: one stack of groups, standardised, through one backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from tamesu.config import ModelConfig
from tamesu.errors import ConfigError, suggest
from tamesu.knets.applications import PREFIX, make_application
from tamesu.knets.balance import Balance, BalancedStem, balance_of
from tamesu.knets.layers import Tensor
from tamesu.knets.own import OwnModels
from tamesu.knets.tiny import Seen, Tiny
from tamesu.knets.wrapped import Wrapped
from tamesu.nets.shapes import InputShape
from tamesu.pixels import FittedPixels
from tamesu.texts import say


class PictureBranch(keras.layers.Layer):
    """Pictures of a stack to features.

    Attributes:
        n_features: How many.
        n_early: Channels of the map half-way.
        n_map: Channels of the last map; 0 where there is none.
    """

    def __init__(self, stack: str, model: ModelConfig, shape: InputShape, own: OwnModels | None):
        """Of the stack's groups.

        Raises:
            ConfigError: There is no such backbone, or it does not fit.
        """
        super().__init__(dtype="float32")
        self.groups = shape.stacks[stack]
        self.standardise = [Standardise(channels, name in shape.holes) for name, channels in self.groups.items()]
        n_channels = sum(self.groups.values())
        balance = None
        if model.stem == "balanced" and len(self.groups) > 1:
            balance = balance_of([name for name, channels in self.groups.items() for _ in range(channels)], model.groups)
        self.backbone = make_backbone(stack, model, n_channels, shape.size, balance, own)
        self.stem: Any = None if balance is None or isinstance(self.backbone, Tiny) else BalancedStem(balance)
        self.n_features, self.n_early, self.n_map = self.backbone.n_features, self.backbone.n_early, self.backbone.n_map

    def set_pixels(self, pixels: Mapping[str, FittedPixels]) -> None:
        """Puts in mean and spread of those groups that are there."""
        for name, standardise in zip(self.groups, self.standardise, strict=True):
            if name in pixels:
                standardise.set(pixels[name].mean, pixels[name].std)

    def call(self, pictures: Mapping[str, Tensor], there: Tensor, training: bool = False) -> Seen:
        """Of pictures by group, (b, h, w, c) of any type, rows of which are `there` (b,)."""
        seen = [standardise(pictures[name]) for name, standardise in zip(self.groups, self.standardise, strict=True)]
        joined = ops.concatenate(seen, axis=-1) if len(seen) > 1 else seen[0]
        if self.stem is not None:
            joined = self.stem(joined, there, training=training)
        return self.backbone(joined, there, training=training)


class Standardise(keras.layers.Layer):
    """(b, h, w, c) of any type to float32, with mean 0 and spread 1 in the training rows."""

    def __init__(self, channels: int, holes: bool):
        """With `holes`, NaN stands for no reading, and is given as the mean."""
        super().__init__(dtype="float32")
        self.holes = holes
        self.mean = self.add_weight(shape=(channels,), initializer="zeros", trainable=False, name="mean")
        self.scale = self.add_weight(shape=(channels,), initializer="ones", trainable=False, name="scale")

    def set(self, mean: np.ndarray, std: np.ndarray) -> None:
        """Mean and spread of the training pictures.  (c,)"""
        self.mean.assign(mean)
        self.scale.assign(1 / np.asarray(std))

    def call(self, pictures: Tensor) -> Tensor:
        """(b, h, w, c) to the same."""
        standardised = ops.cast(pictures, "float32") * self.scale - self.mean * self.scale
        return ops.nan_to_num(standardised, nan=0.0) if self.holes else standardised


def make_backbone(
    stack: str, model: ModelConfig, in_channels: int, size: tuple[int, int], balance: Balance | None, own: OwnModels | None
) -> Tiny | Wrapped:
    """The backbone a study names, for one of its stacks; `tiny` does the balance by itself.

    Raises:
        ConfigError: There is no such backbone, or it does not fit.
    """
    if own is not None:
        return own.wrap(stack, (*size, in_channels))
    if model.backbone == "tiny":
        return Tiny(in_channels, size, model.width, model.depth, model.activation, balance)
    if model.backbone.startswith(PREFIX):
        return make_application(model, (*size, in_channels))
    raise ConfigError(
        say(
            "model.backbone: must be tiny, applications:<name> or your_module:build_model; got {value!r}.{hint}",
            value=model.backbone,
            hint=suggest(model.backbone, ["tiny"]),
        )
    )
