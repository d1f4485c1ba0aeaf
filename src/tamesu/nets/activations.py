"""Activations by name."""

from __future__ import annotations

from torch import nn

from tamesu.errors import ConfigError, suggest
from tamesu.texts import say

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "hardswish": nn.Hardswish,
    "softplus": nn.Softplus,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "identity": nn.Identity,
}


def make_activation(name: str) -> nn.Module:
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
    return ACTIVATIONS[name]()
