"""Models of the user's own, `my_module:build_model`: a few lines of Keras.

`build_model(input_shape)` returns a model that gives features (batch, features), and the heads are added;
`build_model(input_shape, n_outputs)` returns a finished one, whose output (batch, n_outputs) is raw.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from tamesu.errors import ConfigError
from tamesu.knets.layers import Tensor
from tamesu.knets.tiny import Seen
from tamesu.knets.wrapped import Wrapped
from tamesu.nets.settings import import_builder
from tamesu.nets.shapes import Head, InputShape
from tamesu.texts import say

SQUASHING = {"sigmoid", "softmax", "hard_sigmoid"}
N_PROBED = 16  # rows, with numbers of several sizes: what stays within 0 and 1 for all of them is no accident
N_PROBED_STEPS = 64  # of series, whose length a model does not know


def is_own(backbone: str) -> bool:
    """Whether a study's backbone is a function of its own."""
    return ":" in backbone and not backbone.startswith(("applications:", "timm:"))


class OwnModels:
    """One model for each input, made by the study's function or as they were loaded.

    Attributes:
        n_outputs: Of finished models; 0 of those that give features.
        made: By input.
        shapes: Of those inputs, without the batch.
    """

    def __init__(self, name: str, n_outputs: int, loaded: Mapping[str, keras.Model] | None = None):
        self.name, self.n_outputs = name, n_outputs
        self.made: dict[str, keras.Model] = dict(loaded or {})
        self.shapes: dict[str, tuple[int | None, ...]] = {}

    def wrap(self, key: str, input_shape: tuple[int | None, ...]) -> Wrapped:
        """The model for one input.

        Raises:
            ConfigError: It is not what it must be.
        """
        if key not in self.made:
            self.made[key] = self._build(input_shape)
        self.shapes[key] = input_shape
        wrapped = Wrapped(self.made[key], self.name, input_shape)
        if self.n_outputs and wrapped.n_features != self.n_outputs:
            raise ConfigError(
                say(
                    "model.backbone: {name} must return {expected} outputs, as the target needs; got {found}.",
                    name=self.name,
                    expected=self.n_outputs,
                    found=wrapped.n_features,
                )
            )
        return wrapped

    def to_json(self) -> dict[str, Any]:
        """What `from_json` makes the same of, without their weights.

        Raises:
            ConfigError: One cannot be written down.
        """
        try:
            made = {key: keras.saving.serialize_keras_object(model) for key, model in self.made.items()}
            return {"n_outputs": self.n_outputs, "made": json.loads(json.dumps(made))}
        except (NotImplementedError, TypeError, ValueError) as error:
            raise ConfigError(self._not_kept(error)) from error

    @classmethod
    def from_json(cls, name: str, kept: dict[str, Any]) -> OwnModels:
        """What `to_json` described; no code is run, nor imported, that a file names."""
        made = {key: keras.saving.deserialize_keras_object(one, safe_mode=True) for key, one in kept["made"].items()}
        return cls(name, kept["n_outputs"], made)

    def check(self) -> list[str]:
        """What is wrong with the models that were made, one sentence each."""
        mistakes = []
        for key, model in self.made.items():
            if model.compiled:
                mistakes.append(
                    say(
                        "model.backbone: {name} must not be compiled: its loss and optimizer are not used, those of the study "
                        "are. Take compile() out.",
                        name=self.name,
                    )
                )
            if self.n_outputs and _gives_probabilities(model, self.shapes[key]):
                mistakes.append(
                    say(
                        "model.backbone: {name} must return raw outputs (logits); got probabilities between 0 and 1. "
                        "Take the activation off the last layer: Dense(n_outputs).",
                        name=self.name,
                    )
                )
        return mistakes + self._check_kept()

    def _check_kept(self) -> list[str]:
        try:
            OwnModels.from_json(self.name, self.to_json())
        except ConfigError as error:
            return error.mistakes
        except (TypeError, ValueError) as error:
            return [self._not_kept(error)]
        return []

    def _not_kept(self, error: Exception) -> str:
        return say(
            "model.backbone: {name} must return a model that can be saved without its code: of Keras's own layers without "
            "Lambda, or of classes under @keras.saving.register_keras_serializable(); got {error}.",
            name=self.name,
            error=str(error).strip().split("\n")[0].rstrip("."),
        )

    def _build(self, input_shape: tuple[int | None, ...]) -> keras.Model:
        build = import_builder(self.name)
        try:
            model = build(input_shape, self.n_outputs) if self.n_outputs else build(input_shape)
        except Exception as error:
            error.add_note(
                say("while building model.backbone {name} for inputs of shape {shape}", name=self.name, shape=input_shape)
            )
            raise
        if not isinstance(model, keras.Model):
            raise ConfigError(
                say(
                    "model.backbone: {name} must return a keras.Model; got {found}.", name=self.name, found=type(model).__name__
                )
            )
        return model


def make_own_models(name: str, shape: InputShape, heads: Mapping[str, Head]) -> OwnModels:
    """The models a study's function makes for these inputs and targets.

    Raises:
        ConfigError: It cannot be imported, or makes finished models for a study that has room for more than one.
    """
    parameters = list(inspect.signature(import_builder(name)).parameters)
    if len(parameters) < 2:
        return OwnModels(name, 0)
    n_inputs = len(shape.stacks) + len(shape.series) + bool(shape.n_features or shape.category_sizes)
    if n_inputs != 1 or len(heads) != 1 or next(iter(heads.values())).spread != "row":
        raise ConfigError(
            say(
                "model.backbone: {name} must return features, build_model(input_shape), in a study of {inputs} inputs and "
                "{targets} targets, auxiliary ones included; got build_model(input_shape, n_outputs), which is for one input "
                "and one target of a row.",
                name=name,
                inputs=n_inputs,
                targets=len(heads),
            )
        )
    return OwnModels(name, next(iter(heads.values())).n_outputs)


class OwnTable(keras.layers.Layer):
    """A model for tables: of the numbers and, as 0 and 1, the categories."""

    def __init__(self, own: OwnModels, shape: InputShape):
        super().__init__(dtype="float32")
        self.sizes = tuple(shape.category_sizes)
        self.wrapped = own.wrap("table", (shape.n_features + sum(self.sizes),))
        self.n_features = self.n_early = self.wrapped.n_features

    def call(self, table: Tensor, categories: Tensor, there: Tensor, training: bool = False) -> Seen:
        """Of numbers (b, f) and codes (b, g)."""
        codes = [ops.one_hot(categories[:, i], size, dtype="float32") for i, size in enumerate(self.sizes)]
        return self.wrapped(ops.concatenate([table, *codes], axis=1), there, training=training)


class OwnSeries(keras.layers.Layer):
    """A model for series; what lies beyond a row's end is 0."""

    def __init__(self, own: OwnModels, key: str, channels: int):
        super().__init__(dtype="float32")
        self.wrapped = own.wrap(key, (None, channels))  # rows to predict may be longer than all those trained on
        self.n_features = self.n_early = self.wrapped.n_features

    def call(self, values: Tensor, lengths: Tensor, there: Tensor, training: bool = False) -> Seen:
        """Of (b, t, c)."""
        return self.wrapped(values, there, training=training)


def _gives_probabilities(model: keras.Model, input_shape: tuple[int | None, ...]) -> bool:
    """Whether what it gives for random inputs lies between 0 and 1 and, if that is not by its activation, sums to one."""
    shape = (N_PROBED, *(n or N_PROBED_STEPS for n in input_shape))
    sizes = np.geomspace(0.3, 10, N_PROBED).reshape(-1, *(1,) * len(input_shape))
    rows = np.random.default_rng(0).normal(size=shape) * sizes
    raw = model(ops.convert_to_tensor(rows.astype(np.float32)), training=False)
    out = ops.convert_to_numpy(ops.cast(raw, "float32"))
    if (out < 0).any() or (out > 1).any():
        return False
    return bool(np.allclose(out.sum(axis=1), 1, atol=0.01)) or _last_activation(model) in SQUASHING


def _last_activation(model: keras.Model) -> str:
    last = model.layers[-1] if model.layers else None
    return "softmax" if isinstance(last, keras.layers.Softmax) else getattr(getattr(last, "activation", None), "__name__", "")
