"""The built-in backbone: a small residual network that learns quickly from scratch at 8–96 px on a CPU.

A stem brings the picture to a map of at most `plans.STEM_MAP` pixels at once, where a 3×3 convolution costs little; stages of
residual blocks then halve the map and double the channels until it is `plans.LAST_MAP` pixels, so that every stage costs
about the same. How many stages there are follows from the size.

Source:
    He et al. (2016), Deep Residual Learning for Image Recognition; its blocks with the shortcut of He et al. (2019), Bag of
    Tricks for Image Classification (mean-pool before the 1×1 convolution, last scale of a block starts at zero).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tamesu.nets.activations import make_activation
from tamesu.nets.places import Seen
from tamesu.nets.plans import plan_blocks, plan_stages, plan_stem


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
        for out_channels, stride in plan_blocks(n_stages, width, depth):
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


def make_stem(in_channels: int, width: int, n_halvings: int, activation: str) -> nn.Sequential:
    """The convolutions that bring a picture to a small map at once."""
    plan = plan_stem(width, n_halvings)
    layers: list[nn.Module] = []
    for out_channels, stride in plan.convolutions:
        layers += [conv_norm(in_channels, out_channels, stride), make_activation(activation)]
        in_channels = out_channels
    return nn.Sequential(*layers, *(nn.MaxPool2d(2) for _ in range(plan.n_maxima)))


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
