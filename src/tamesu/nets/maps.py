"""Heads that predict maps: a small decoder from a backbone's last map to a coarse grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tamesu.errors import ConfigError
from tamesu.nets.plans import N_HIDDEN
from tamesu.nets.tiny import Tiny
from tamesu.targets.maps import grid_of
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.nets.shapes import Head


class MapHead(nn.Module):
    """One layer at the backbone's resolution, and one 3×3 convolution at the grid's."""

    def __init__(self, n_channels: int, n_outputs: int, grid: tuple[int, int]):
        super().__init__()
        self.before = nn.Sequential(nn.Conv2d(n_channels, N_HIDDEN, 1), nn.ReLU())
        self.after = nn.Conv2d(N_HIDDEN, n_outputs, 3, padding=1)
        self.grid = grid

    def forward(self, maps: Tensor) -> Tensor:
        """(b, c, h, w) to (b, h', w', n_outputs)."""
        grown = nn.functional.interpolate(self.before(maps), size=self.grid, mode="bilinear", align_corners=False)
        out: Tensor = self.after(grown)
        return out.permute(0, 2, 3, 1)


def make_map_head(backbone: nn.Module, head: Head, size: tuple[int, int]) -> MapHead:
    """The decoder from a backbone's last map.

    Args:
        backbone: `tiny`, or one whose `forward_features` gives (b, c, h, w).
        head: What is predicted.
        size: Height and width of the pictures that come in.

    Raises:
        ConfigError: The backbone shows no map.
    """
    n_channels = backbone.n_features if isinstance(backbone, Tiny) else _n_channels(backbone, size)
    return MapHead(n_channels, head.n_outputs, grid_of(size))


def last_map(backbone: Any, pictures: Tensor) -> tuple[Tensor, Tensor] | None:
    """Features and the map they are a mean of; None of a backbone that shows no map.  (b, n_features), (b, c, h, w)"""
    if not (hasattr(backbone, "forward_features") and hasattr(backbone, "forward_head")):
        return None
    maps = backbone.forward_features(pictures)
    return (backbone.forward_head(maps), maps) if maps.ndim == 4 else None


def _n_channels(backbone: nn.Module, size: tuple[int, int]) -> int:
    first = next((one for one in backbone.modules() if isinstance(one, nn.Conv2d)), None)
    was_training = backbone.training
    backbone.eval()
    with torch.no_grad():
        found = None if first is None else last_map(backbone, torch.zeros(1, first.in_channels, *size))
    backbone.train(was_training)
    if found is None or found[1].shape[1] != getattr(backbone, "num_features", None):
        text = say(
            "model.backbone: must show its last map where a mask or a depth is predicted; use tiny or a convolutional one."
        )
        raise ConfigError(text)
    return int(found[1].shape[1])
