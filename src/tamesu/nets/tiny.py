"""The built-in backbone: a small residual network that learns quickly from scratch at 8–96 px on a CPU.

A stem brings the picture to a map of at most `STEM_MAP` pixels at once, where a 3×3 convolution costs little; stages of
residual blocks then halve the map and double the channels until it is `LAST_MAP` pixels, so that every stage costs
about the same. How many stages there are follows from the size.

Source:
    He et al. (2016), Deep Residual Learning for Image Recognition; its blocks with the shortcut of He et al. (2019), Bag of
    Tricks for Image Classification (mean-pool before the 1×1 convolution, last scale of a block starts at zero).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tamesu.nets.activations import make_activation
from tamesu.nets.places import Seen

STEM_MAP = 20  # px: 32 px pictures are halved once, 64 px ones twice, 100 px ones three times
LAST_MAP = 4  # px: at this or less a map is averaged
MAX_WIDTH = 512


class Tiny(nn.Module):
    """Pictures to features.

    Attributes:
        n_features: Length of the feature vector.
    """

    def __init__(self, in_channels: int, size: tuple[int, int], width: int = 32, depth: int = 1, activation: str = "relu"):
        super().__init__()
        n_halvings, n_stages = plan_stages(size)
        self.stem = make_stem(in_channels, width, n_halvings, activation)
        blocks: list[nn.Module] = []
        channels = width
        for stage in range(n_stages):
            out_channels = min(width * 2**stage, MAX_WIDTH)
            for i in range(depth):
                stride = 2 if stage > 0 and i == 0 else 1
                blocks.append(Block(channels, out_channels, stride, activation))
                channels = out_channels
        self.blocks = nn.Sequential(*blocks)
        self.n_features, self.stem_channels = channels, width
        initialise(self)

    def forward(self, pictures: Tensor | Seen) -> Tensor:
        """(b, c, h, w) to (b, n_features)."""
        features: Tensor = self.blocks(self.stem(pictures)).mean(dim=(2, 3))
        return features

    @property
    def n_early(self) -> int:
        """Channels of the map half-way."""
        return self.stem_channels if self._half == 0 else int(self.blocks[self._half - 1].second[0].out_channels)  # type: ignore[index, union-attr]

    @property
    def _half(self) -> int:
        return len(self.blocks) // 2

    def maps(self, pictures: Tensor | Seen) -> tuple[Tensor, Tensor]:
        """The map half-way and the last one, whose mean is the features.  (b, c', h', w'), (b, n_features, h'', w'')"""
        early: Tensor = self.blocks[: self._half](self.stem(pictures))
        return early, self.blocks[self._half :](early)


class Block(nn.Module):
    """Two 3×3 convolutions and what went in."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, activation: str):
        super().__init__()
        self.first = conv_norm(in_channels, out_channels, stride)
        self.second = conv_norm(out_channels, out_channels)
        self.activation, self.last_activation = make_activation(activation), make_activation(activation)
        shortcut: list[nn.Module] = []
        if stride == 2:
            shortcut.append(nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False))
        if in_channels != out_channels:
            shortcut += [nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)]
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) to (b, c', h', w')."""
        out: Tensor = self.last_activation(self.second(self.activation(self.first(x))) + self.shortcut(x))
        return out


def plan_stages(size: tuple[int, int]) -> tuple[int, int]:
    """How often the stem halves a picture of this size, and how many stages follow."""
    side = min(size)
    n_halvings = max(0, math.ceil(math.log2(side / STEM_MAP)))
    side = max(1, round(side / 2**n_halvings))
    return n_halvings, 1 + max(0, math.ceil(math.log2(side / LAST_MAP)))


def make_stem(in_channels: int, width: int, n_halvings: int, activation: str) -> nn.Sequential:
    """Convolutions for the first two halvings, maxima for the others: large maps are dear."""
    if n_halvings < 2:
        return nn.Sequential(conv_norm(in_channels, width, stride=2**n_halvings), make_activation(activation))
    half = max(1, width // 2)
    layers = [conv_norm(in_channels, half, stride=2), make_activation(activation), conv_norm(half, width, stride=2)]
    return nn.Sequential(*layers, make_activation(activation), *(nn.MaxPool2d(2) for _ in range(n_halvings - 2)))


def conv_norm(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """A 3×3 convolution and batch normalisation."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False), nn.BatchNorm2d(out_channels))


def initialise(network: Tiny) -> None:
    """He's normal weights; each block starts as its shortcut."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, Block):
            norm = module.second[1]
            if isinstance(norm, nn.BatchNorm2d):
                with torch.no_grad():
                    norm.weight.zero_()
