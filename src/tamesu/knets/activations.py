"""Activations by name, as PyTorch defines them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from tamesu.errors import ConfigError, suggest
from tamesu.texts import say

Tensor = Any

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": ops.relu,
    "leaky_relu": lambda x: ops.leaky_relu(x, negative_slope=0.01),
    "elu": ops.elu,
    "selu": ops.selu,
    "gelu": lambda x: ops.gelu(x, approximate=False),
    "silu": ops.silu,
    "mish": lambda x: x * ops.tanh(ops.softplus(x)),
    "hardswish": ops.hard_silu,
    "softplus": ops.softplus,
    "sigmoid": ops.sigmoid,
    "tanh": ops.tanh,
    "identity": lambda x: x,
}


def make_activation(name: str) -> Callable[[Tensor], Tensor]:
    """The activation of this name.

    Raises:
        ConfigError: There is none.
    """
    if name not in ACTIVATIONS:
        raise ConfigError(
            say(
                "model.activation: must be an activation; got {value!r}.{hint}",
                value=name,
                hint=suggest(name, ACTIVATIONS),
            )
        )
    return ACTIVATIONS[name]
