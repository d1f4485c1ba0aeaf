"""The network that joins pictures, table and series and has one head for each target, for Keras's backends.

Whoever imports this has chosen the backend: KERAS_BACKEND is read when Keras is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import keras
from keras import ops

from tamesu.config import ModelConfig
from tamesu.errors import ConfigError
from tamesu.knets.activations import make_activation
from tamesu.knets.heads import MapHead, RowHead, StepsHead
from tamesu.knets.layers import Tensor
from tamesu.knets.own import OwnModels, OwnSeries, OwnTable, is_own, make_own_models
from tamesu.knets.pictures import PictureBranch
from tamesu.knets.series import SeriesBranch
from tamesu.knets.table import TableBranch
from tamesu.knets.tiny import Seen
from tamesu.nets.settings import check_model
from tamesu.nets.shapes import Head, InputShape
from tamesu.pixels import FittedPixels
from tamesu.targets.maps import grid_of
from tamesu.texts import say


@keras.saving.register_keras_serializable("tamesu")
class Network(keras.Model):
    """Standardised pictures through a backbone a stack, series and table through a branch each, all features through the heads.

    The same function as `tamesu.nets.heads.Network` with the same weights. Mean and spread of the training pictures are part of
    the network and saved with it.
    """

    def __init__(self, model: ModelConfig, shape: InputShape, heads: Mapping[str, Head], own: OwnModels | None = None) -> None:
        """With `own`, models that were loaded; else the function that the study names makes them.

        Raises:
            ConfigError: There is no such backbone, or it does not fit.
        """
        super().__init__(dtype="float32")  # inputs come as they are: each branch has its own idea of precision
        self._settings, self._shape_in = model, shape
        if own is None and is_own(model.backbone):
            own = make_own_models(model.backbone, shape, heads)
        self.pictures = {name: PictureBranch(name, model, shape, own) for name in shape.stacks}
        own_beside = None if shape.stacks else own  # a model of one's own takes the pictures, where there are any
        self.table: Any = None
        if shape.n_features or shape.category_sizes:
            self.table = TableBranch(model, shape) if own_beside is None else OwnTable(own_beside, shape)
            own_beside = None  # else the table, else the series
        self.series = {
            name: SeriesBranch(channels, model.width, model.depth, model.activation)
            if own_beside is None
            else OwnSeries(own_beside, name, channels)
            for name, channels in shape.series.items()
        }
        self._own = None if own is None else own.to_json()
        finished = own is not None and own.n_outputs > 0
        self.dropout = keras.layers.Dropout(0.0 if finished else model.dropout)
        self.places = dict(heads)
        self.heads = {
            name: keras.layers.Identity() if finished else self._make_head(head, model, shape) for name, head in heads.items()
        }
        self.built = True

    def _make_head(self, head: Head, model: ModelConfig, shape: InputShape) -> keras.layers.Layer:
        branches = [*self.pictures.values(), *([] if self.table is None else [self.table]), *self.series.values()]
        n_joined = sum(one.n_features for one in branches)
        if head.spread == "steps":
            return StepsHead(_n_steps(self.series[head.along]), n_joined, head.n_outputs)
        if head.spread == "pixels":
            return MapHead(_n_map(self.pictures[self._stack_of(head.along)]), head.n_outputs, grid_of(shape.size))
        return RowHead(sum(one.n_early for one in branches) if head.branch == "early" else n_joined, head, model)

    def call(self, inputs: Mapping[str, Any], training: bool = False) -> dict[str, Tensor]:
        """Raw outputs by target, in float32.

        Args:
            inputs: `pictures` by group, (b, h, w, c) uint8, uint16 or float32; `table` (b, f) float32; `categories`
                (b, g) int32; `series` by field, (b, t, c) float32, and their `lengths`, (b,) int32; `weight`, (b,) float32, 0
                for padding.
            training: Whether dropout drops and normalisation learns.

        Returns:
            (b, n_outputs), of steps (b, t, n_outputs), of pixels (b, h, w, n_outputs).
        """
        there = ops.cast(inputs["weight"] > 0, "float32")
        seen: dict[str, Seen] = {}
        for name, branch in self.pictures.items():
            seen[name] = branch(inputs["pictures"], there, training=training)
        table = [] if self.table is None else [self.table(inputs["table"], inputs["categories"], there, training=training)]
        steps: dict[str, Seen] = {}
        for name, branch in self.series.items():
            steps[name] = branch(inputs["series"][name], inputs["lengths"][name], there, training=training)
        parts = [*seen.values(), *table, *steps.values()]
        early = _joined([part.early for part in parts])
        late = self.dropout(_joined([part.features for part in parts]), training=training)
        out = {}
        for name, head in self.places.items():
            if head.spread == "steps":
                raw = self.heads[name](steps[head.along].steps, late)
            elif head.spread == "pixels":
                raw = self.heads[name](seen[self._stack_of(head.along)].map)
            else:
                raw = self.heads[name](early if head.branch == "early" else late)
            out[name] = ops.cast(raw, "float32")
        return out

    def _stack_of(self, picture: str) -> str:
        """The stack whose map a dense head looks at: the one of the picture it lies in, or the first."""
        found = [name for name, branch in self.pictures.items() if picture in branch.groups]
        return found[0] if found else next(iter(self.pictures))

    def set_pixels(self, pixels: Mapping[str, FittedPixels]) -> None:
        """Puts mean and spread of the training pictures, by group, into the network."""
        for branch in self.pictures.values():
            branch.set_pixels(pixels)

    def decaying(self) -> list[keras.Variable]:
        """What a decay of weights shrinks: matrices and kernels."""
        return [one for one in self.trainable_variables if _decays(one)]

    def not_decaying(self) -> list[keras.Variable]:
        """What it leaves alone: biases, scales and embeddings."""
        return [one for one in self.trainable_variables if not _decays(one)]

    def get_config(self) -> dict[str, Any]:
        """Plain values, which `from_config` makes the same network of."""
        return {
            "model": self._settings.model_dump(mode="json"),
            "shape": self._shape_in.to_json(),
            "heads": {name: asdict(head) for name, head in self.places.items()},
            "own": self._own,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Network:
        """What `get_config` described, with fresh weights: those of the file come after, and none are fetched."""
        model = ModelConfig(**(config["model"] | {"weights": "none", "new_channels": "repeat"}))
        heads = {name: Head(**(head | {"size": tuple(head["size"])})) for name, head in config["heads"].items()}
        own = None if config["own"] is None else OwnModels.from_json(model.backbone, config["own"])
        return cls(model, InputShape.from_json(config["shape"]), heads, own)


def make_network(model: ModelConfig, shape: InputShape, heads: Mapping[str, Head]) -> Network:
    """The network, with all its variables.

    Raises:
        ConfigError: There is no such backbone, or it does not fit.
    """
    return Network(model, shape, heads)


def check_network(model: ModelConfig, shape: InputShape, heads: Mapping[str, Head]) -> list[str]:
    """What is wrong with what the study asks for, one sentence each; weights of the hub are not fetched for it."""
    try:
        make_activation(model.activation)
        mistakes = check_model(model) if shape.stacks or is_own(model.backbone) else []
        if mistakes:
            return mistakes
        fresh = model.model_copy(update={"weights": "none"}) if model.weights == "hub" else model
        own = make_own_models(model.backbone, shape, heads) if is_own(model.backbone) else None
        Network(fresh, shape, heads, own)
    except ConfigError as error:
        return error.mistakes
    return [] if own is None else own.check()


def _n_map(branch: PictureBranch) -> int:
    if not branch.n_map:
        text = say(
            "model.backbone: must show its last map where a mask or a depth is predicted; use tiny or a convolutional one."
        )
        raise ConfigError(text)
    return branch.n_map


def _n_steps(branch: SeriesBranch | OwnSeries) -> int:
    if isinstance(branch, OwnSeries):
        raise ConfigError(say("model.backbone: must be tiny where something is predicted at each step of a series."))
    return branch.n_features


def _joined(parts: list[Tensor]) -> Tensor:
    """Features of several branches, some perhaps in less than float32.  (b, f)"""
    return parts[0] if len(parts) == 1 else ops.concatenate([ops.cast(part, "float32") for part in parts], axis=1)


def _decays(variable: keras.Variable) -> bool:
    return len(variable.shape) > 1 and variable.name != "embeddings"
