"""The backbone a study names: `tiny`, `timm:<name>`, or `your_module:build_backbone`."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import nn

from tamesu.config import ModelConfig
from tamesu.errors import ConfigError, suggest
from tamesu.nets.plans import N_COLOURS, Size
from tamesu.nets.settings import import_builder
from tamesu.nets.tiny import Tiny
from tamesu.nets.weights import load_weights, take_weights
from tamesu.texts import say


def make_backbone(model: ModelConfig, in_channels: int, size: Size) -> tuple[nn.Module, int]:
    """The backbone and how many features it has.

    Args:
        model: What the study says; `weights` "none" gives fresh ones drawn from PyTorch's random state.
        in_channels: Channels of the pictures; any number.
        size: Height and width of the pictures.

    Raises:
        ConfigError: There is no such backbone, or the weights do not fit it.
    """
    if model.backbone == "tiny":
        backbone: nn.Module = Tiny(in_channels, size, model.width, model.depth, model.activation)
    elif model.backbone.startswith("timm:"):
        backbone = _make_timm(model, in_channels, size)
    elif ":" in model.backbone:
        backbone = _make_own(model.backbone, in_channels, size)
    else:
        raise ConfigError(
            say(
                "model.backbone: must be tiny, timm:<name> or your_module:build_backbone; got {value!r}.{hint}",
                value=model.backbone,
                hint=suggest(model.backbone, ["tiny"]),
            )
        )
    if model.weights not in {"none", "hub"}:
        load_weights(backbone, model.weights, model.new_channels)
    return backbone, _count_features(backbone, model.backbone, in_channels, size)


def n_early_of(backbone: nn.Module, n_features: int) -> int:
    """Channels of a backbone's map half-way; of one that shows none its features, which then stand for it."""
    return backbone.n_early if isinstance(backbone, Tiny) else n_features


def _make_timm(model: ModelConfig, in_channels: int, size: Size) -> nn.Module:
    timm = _import_timm()
    name = model.backbone.removeprefix("timm:")
    if not timm.is_model(name):
        raise ConfigError(
            say(
                "model.backbone: must name a model of timm {version}; got {value!r}.{hint}",
                version=timm.__version__,
                value=name,
                hint=suggest(name, timm.list_models()),
            )
        )
    known = timm.models.get_pretrained_cfg(name)
    options: dict[str, Any] = {"img_size": size} if known is not None and known.fixed_input_size else {}
    options["num_classes"] = 0
    from_hub = model.weights == "hub"
    if from_hub and model.new_channels != "repeat" and in_channels > N_COLOURS:  # timm itself only repeats
        backbone: nn.Module = timm.create_model(name, in_chans=in_channels, **options)
        take_weights(backbone, timm.create_model(name, pretrained=True, **options), model.new_channels)
    else:
        backbone = timm.create_model(name, pretrained=from_hub, in_chans=in_channels, **options)
    return backbone


def _import_timm() -> Any:
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise ConfigError(
            say("model.backbone: timm:<name> needs the package timm, which is not installed. Run: pip install 'tamesu[timm]'")
        ) from error


def _make_own(name: str, in_channels: int, size: Size) -> nn.Module:
    build = import_builder(name)
    try:
        backbone = build(in_channels, size)
    except Exception as error:
        error.add_note(
            say("while building model.backbone {name} for {c} channels at {size} px", name=name, c=in_channels, size=size)
        )
        raise
    if not isinstance(backbone, nn.Module):
        raise ConfigError(
            say("model.backbone: {name} must return a torch.nn.Module; got {found}.", name=name, found=type(backbone).__name__)
        )
    return backbone


def _count_features(backbone: nn.Module, name: str, in_channels: int, size: Size) -> int:
    known = getattr(backbone, "n_features", None) or getattr(backbone, "num_features", None)
    if isinstance(backbone, Tiny) and isinstance(known, int):
        return known
    was_training = backbone.training
    backbone.eval()
    with torch.no_grad():
        features = backbone(torch.zeros(1, in_channels, *size))
    backbone.train(was_training)
    if not isinstance(features, torch.Tensor) or features.ndim != 2:
        raise ConfigError(
            say(
                "model.backbone: {name} must return features of shape (batch, features); got {shape}.",
                name=name,
                shape=tuple(features.shape) if isinstance(features, torch.Tensor) else type(features).__name__,
            )
        )
    return int(features.shape[1])
