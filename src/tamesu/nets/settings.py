"""What a study says about its network's backbone, whatever framework builds it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from tamesu.config import ModelConfig
from tamesu.errors import ConfigError
from tamesu.texts import say

WITH_HUB = ("timm:", "applications:")  # whose weights can be fetched by name


def check_model(model: ModelConfig) -> list[str]:
    """What of these settings the backbone cannot honour, one sentence each."""
    mistakes = []
    if ":" in model.backbone:  # anything else but tiny is refused when it is made
        defaults = ModelConfig()
        mistakes += [
            say(
                "model.{name}: must be left out with backbone {backbone}, which decides it itself; got {value!r}.",
                name=name,
                backbone=model.backbone,
                value=getattr(model, name),
            )
            for name in ("width", "depth", "activation")
            if getattr(model, name) != getattr(defaults, name)
        ]
    if model.new_channels != "repeat" and model.weights == "none":
        mistakes.append(
            say(
                "model.new_channels: must be left out with weights: none, where no channel was seen before; got {value!r}.",
                value=model.new_channels,
            )
        )
    if model.weights == "hub" and not model.backbone.startswith(WITH_HUB):
        mistakes.append(
            say("model.weights: must be none or a file with backbone {backbone}; got 'hub'.", backbone=model.backbone)
        )
    return mistakes


def import_builder(name: str) -> Callable[..., Any]:
    """The function a study names, `my_module:build`.

    Raises:
        ConfigError: It cannot be imported.
    """
    module_name, _, function_name = name.partition(":")
    try:
        build: Callable[..., Any] = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            say("model.backbone: must name a function that can be imported; got {value!r}: {error}.", value=name, error=error)
        ) from error
    return build
