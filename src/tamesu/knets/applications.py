"""Backbones of keras.applications, without what they do to pictures first: ours come standardised.

Pretrained weights saw pictures as their own `preprocess_input`, or layers of their own, made them: from -1 to 1, or blue before
red and as far as 150 from the mean. What that is comes out by trying it, and is done to standardised pictures instead.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tamesu.config import ModelConfig
from tamesu.errors import ConfigError, suggest
from tamesu.knets.wrapped import Wrapped
from tamesu.nets.plans import N_COLOURS, NewChannels, colour_mix
from tamesu.texts import say

PREFIX = "applications:"
PREPARING = (keras.layers.Rescaling, keras.layers.Normalization)
# of the pictures they were trained on, red, green, blue of 255 (as in torchvision's and timm's own preprocessing)
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32) * 255
IMAGENET_STD = np.array([0.229, 0.224, 0.225], dtype=np.float32) * 255
Shape = tuple[int, int, int]


def application_names() -> list[str]:
    """All models there are."""
    return [name for name in dir(keras.applications) if name[0].isupper() and callable(getattr(keras.applications, name))]


def make_application(model: ModelConfig, shape: Shape) -> Wrapped:
    """The model a study names, for pictures of this height, width and number of channels.

    Raises:
        ConfigError: There is no such model, it cannot be this small, or the weights do not fit it.
    """
    name = model.backbone.removeprefix(PREFIX)
    if name not in application_names():
        raise ConfigError(
            say(
                "model.backbone: must name a model of keras.applications {version}; got {value!r}.{hint}",
                version=keras.__version__,
                value=name,
                hint=suggest(name, application_names()),
            )
        )
    made = _make(name, shape)
    preparing = _preparing(made)
    wrapped = Wrapped(made, model.backbone, shape, start=preparing[-1].output if preparing else None)
    if model.weights == "none":
        return wrapped
    donor = _pretrained(name, made, shape, model.weights)
    order, scale, offset = _as_trained(name, _preparing(donor))
    _take_weights(made, donor, order, colour_mix(shape[2], model.new_channels))
    mix = _shares(shape[2], model.new_channels)
    wrapped.set_scale(mix @ scale, mix @ offset)
    return wrapped


def _make(name: str, shape: Shape, weights: str | None = None) -> keras.Model:
    make = getattr(keras.applications, name)
    options: dict[str, Any] = {"include_top": False, "weights": weights, "input_shape": shape, "pooling": "avg"}
    if "include_preprocessing" in inspect.signature(make).parameters:
        options["include_preprocessing"] = shape[2] == N_COLOURS  # what it is for, and where it is known
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="This model usually expects")  # one channel or three
            warnings.filterwarnings("ignore", message="`input_shape` is undefined or non-square")  # of weights to fetch
            return make(**options)
    except ValueError as error:
        raise ConfigError(
            say(
                "model.backbone: {name} must be one that takes pictures of {c} channels at {size} px; got {error}.",
                name=PREFIX + name,
                c=shape[2],
                size=shape[:2],
                error=_first_line(error),
            )
        ) from error


def _preparing(made: keras.Model) -> list[keras.layers.Layer]:
    """What a model does to pictures first."""
    return list(itertools.takewhile(lambda layer: isinstance(layer, PREPARING), made.layers[1:]))


def _pretrained(name: str, fresh: keras.Model, shape: Shape, weights: str) -> keras.Model:
    """The model for three colours, with its weights; it may be the fresh one itself."""
    colours = (*shape[:2], N_COLOURS)
    if weights == "hub":
        return _make(name, colours, "imagenet")
    if not Path(weights).is_file():
        raise ConfigError(say("model.weights: must be none, hub or a file that exists; got {file!r}.", file=weights))
    made = fresh if shape == colours else _make(name, colours)
    try:
        made.load_weights(weights)
    except Exception as error:
        raise ConfigError(
            say(
                "model.weights: {file} must hold weights of {name} without its classifier (.weights.h5, or Keras's own "
                "_notop.h5); got {error}.",
                file=weights,
                name=PREFIX + name,
                error=_first_line(error),
            )
        ) from error
    return made


def _as_trained(name: str, preparing: list[keras.layers.Layer]) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[Any]]:
    """Which of its inputs a model sees red, green and blue as, and how standardised ones become what it was trained on.

    Returns:
        Positions (3,), factors (3,), and what is added after them (3,).
    """
    own = importlib.import_module(getattr(keras.applications, name).__module__).preprocess_input
    pictures = np.repeat(IMAGENET_MEAN[None], N_COLOURS + 1, axis=0)
    pictures[1:] += np.diag(IMAGENET_STD)  # the mean, and one standard deviation more of each colour
    seen: Any = own(pictures.reshape(-1, 1, 1, N_COLOURS).copy(), data_format="channels_last")
    for layer in preparing:
        seen = layer(seen)
    at_mean, *moved = ops.convert_to_numpy(seen).reshape(-1, N_COLOURS)
    slope = np.stack(moved) - at_mean  # (colour that comes in, channel that is seen)
    order = np.abs(slope).argmax(axis=1)
    return order, slope[np.arange(N_COLOURS), order], at_mean[order]


def _shares(n_channels: int, new_channels: NewChannels) -> NDArray[Any]:
    """Which colour each channel is scaled like, as shares: new ones that count for nothing as the mean.  (n_channels, 3)"""
    mix = colour_mix(n_channels, new_channels)
    whole = mix.sum(axis=1, keepdims=True)
    return np.where(whole > 0, mix / np.where(whole > 0, whole, 1), np.float32(1 / N_COLOURS))


def _take_weights(model: keras.Model, donor: keras.Model, order: NDArray[np.int64], mix: NDArray[np.float32]) -> None:
    """Puts weights for three colours into a model for other channels; its first kernel by `mix` (n_channels, 3)."""
    is_first = True
    for layer, given in zip(_weighted(model), _weighted(donor), strict=True):
        values = given.get_weights()
        if is_first and values[0].ndim == 4:
            values[0] = np.einsum("nc,hwck->hwnk", mix, values[0][:, :, order])
            is_first = False
        layer.set_weights(values)


def _weighted(model: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in model.layers if layer.weights and not isinstance(layer, PREPARING)]


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")
