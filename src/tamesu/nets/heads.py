"""The network that joins pictures and table and has one head for each target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tamesu.config import ModelConfig
from tamesu.nets.activations import make_activation
from tamesu.nets.backbones import make_backbone


@dataclass(frozen=True)
class InputShape:
    """What comes in.

    Attributes:
        channels: By image field.
        size: Height and width of pictures.
        n_features: Numbers of the table.
        category_sizes: Codes that each category has.
    """

    channels: dict[str, int]
    size: tuple[int, int]
    n_features: int
    category_sizes: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """What `from_json` makes the same of."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> InputShape:
        """What `to_json` described."""
        return cls(dict(kept["channels"]), tuple(kept["size"]), kept["n_features"], tuple(kept["category_sizes"]))


class Network(nn.Module):
    """Standardised pictures through a backbone each, table through a branch, all features through one linear head a target.

    Pictures come in as they are stored, (b, h, w, c) of any type: mean and spread of the training pictures are part of
    the network and saved with it.
    """

    def __init__(self, model: ModelConfig, shape: InputShape, n_outputs: Mapping[str, int]):
        super().__init__()
        self.standardise = nn.ModuleDict()
        self.backbones = nn.ModuleDict()
        self.keys = {name: f"field_{i}" for i, name in enumerate(shape.channels)}  # names that PyTorch would refuse
        self.head_keys = {name: f"target_{i}" for i, name in enumerate(n_outputs)}
        n_joined = 0
        for name, channels in shape.channels.items():
            self.standardise[self.keys[name]] = Standardise(channels)
            self.backbones[self.keys[name]], n_features = make_backbone(model, channels, shape.size)
            n_joined += n_features
        self.table: TableBranch | None = None
        if shape.n_features or shape.category_sizes:
            self.table = TableBranch(shape.n_features, shape.category_sizes, model.hidden, model.activation, model.dropout)
            n_joined += self.table.n_features
        self.dropout = nn.Dropout(model.dropout)
        self.heads = nn.ModuleDict({self.head_keys[name]: nn.Linear(n_joined, k) for name, k in n_outputs.items()})

    def forward(self, pictures: Mapping[str, Tensor], table: Tensor, categories: Tensor) -> dict[str, Tensor]:
        """Raw outputs by target.  (b, n_outputs)"""
        parts = [self.backbones[key](self.standardise[key](pictures[name])) for name, key in self.keys.items()]
        if self.table is not None:
            parts.append(self.table(table, categories))
        features = self.dropout(parts[0] if len(parts) == 1 else torch.cat(parts, dim=1))
        return {name: self.heads[key](features) for name, key in self.head_keys.items()}


class Standardise(nn.Module):
    """(b, h, w, c) of any type to (b, c, h, w) float32, with mean 0 and spread 1 in the training rows."""

    mean: Tensor
    scale: Tensor

    def __init__(self, channels: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))

    def set(self, mean: Any, std: Any) -> None:
        """Mean and spread of the training pictures.  (c,)"""
        self.mean.copy_(torch.as_tensor(mean))
        self.scale.copy_(1 / torch.as_tensor(std))

    def forward(self, pictures: Tensor) -> Tensor:
        """In the memory order channels-last, which costs no copy."""
        b, h, w, c = pictures.shape
        # one row of h * (w c) numbers at a time: broadcasting over an axis of only c numbers takes eight times as long
        scale, shift = self.scale.repeat(w), (-self.mean * self.scale).repeat(w)
        standardised = pictures.reshape(b, h, w * c).to(torch.float32, copy=True).mul_(scale).add_(shift)
        return standardised.view(b, h, w, c).permute(0, 3, 1, 2)


class TableBranch(nn.Module):
    """Numbers and embedded categories through two hidden layers.

    Layer normalisation, as it works for a batch of one row.
    """

    def __init__(self, n_numbers: int, category_sizes: tuple[int, ...], hidden: int, activation: str, dropout: float):
        super().__init__()
        widths = [embedding_width(size) for size in category_sizes]
        self.embeddings = nn.ModuleList(nn.Embedding(size, width) for size, width in zip(category_sizes, widths, strict=True))
        n_in = n_numbers + sum(widths)
        layers: list[nn.Module] = []
        for n_before in (n_in, hidden) if hidden else ():
            layers += [nn.Linear(n_before, hidden), nn.LayerNorm(hidden), make_activation(activation), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers[:-1])  # the head has its own dropout
        self.n_features = hidden or n_in

    def forward(self, table: Tensor, categories: Tensor) -> Tensor:
        """(b, f) and (b, g) to (b, n_features)."""
        embedded = [embedding(categories[:, i]) for i, embedding in enumerate(self.embeddings)]
        out: Tensor = self.layers(torch.cat([table, *embedded], dim=1))
        return out


def embedding_width(n_codes: int) -> int:
    """Numbers that stand for a category of so many codes: a rule found by trial, from fastai's tabular models."""
    return min(50, max(2, round(1.6 * n_codes**0.56)))
