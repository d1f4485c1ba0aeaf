"""The network that joins pictures and table and has one head for each target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tamesu.config import InputGroup, ModelConfig
from tamesu.nets.activations import make_activation
from tamesu.nets.backbones import make_backbone, n_early_of
from tamesu.nets.maps import last_map, make_map_head
from tamesu.nets.places import Places, Seen, Told
from tamesu.nets.plans import embedding_width
from tamesu.nets.series import SeriesBranch
from tamesu.nets.shapes import Head, InputShape
from tamesu.nets.stem import BalancedColumns, balance_backbone, is_placed, place_backbone
from tamesu.nets.tiny import Tiny
from tamesu.stacks import position_group


class Network(nn.Module):
    """Standardised pictures through a backbone a stack, series and table through a branch each, all features through the heads.

    Pictures come in as they are stored, (b, h, w, c) of any type: mean and spread of the training pictures are part of
    the network and saved with it.
    """

    def __init__(self, model: ModelConfig, shape: InputShape, heads: Mapping[str, int | Head]):
        super().__init__()
        self.standardise = nn.ModuleDict()
        self.backbones = nn.ModuleDict()
        self.stems = nn.ModuleDict()
        self.stacks = {name: tuple(groups) for name, groups in shape.stacks.items()}
        self.keys = {name: f"field_{i}" for i, name in enumerate(shape.stacks)}  # names that PyTorch would refuse
        self.group_keys = {
            group: self.keys[name] if group == name else f"{self.keys[name]}_{i}"
            for name, groups in shape.stacks.items()
            for i, group in enumerate(groups)
        }
        self.head_keys = {name: f"target_{i}" for i, name in enumerate(heads)}
        self.heads_of = {name: Head(head) if isinstance(head, int) else head for name, head in heads.items()}
        self.places = Places(shape.size, **shape.places) if shape.places else None
        n_joined = n_early = 0
        for name, groups in shape.stacks.items():
            for group, channels in groups.items():
                self.standardise[self.group_keys[group]] = Standardise(channels, holes=group in shape.holes)
            key = self.keys[name]
            self.backbones[key], n_features = make_backbone(model, sum(groups.values()), shape.size)
            if self.places is not None and position_group(name) in groups:
                place_backbone(self.backbones[key])
            if model.stem == "balanced" and len(groups) > 1:
                stem = balance_backbone(self.backbones[key], model, groups)
                self.stems.update({} if stem is None else {key: stem})
            n_joined += n_features
            n_early += n_early_of(self.backbones[key], n_features)
        self.table: TableBranch | None = None
        if shape.n_features or shape.category_sizes:
            self.table = TableBranch(shape.n_features, shape.category_sizes, model.hidden, model.activation, model.dropout)
            if model.stem == "balanced":
                self.table.balance_groups(shape.feature_fields, shape.category_fields, model.groups)
            n_joined, n_early = n_joined + self.table.n_features, n_early + self.table.n_features
        self.series_keys = {name: f"series_{i}" for i, name in enumerate(shape.series)}
        self.series = nn.ModuleDict(
            {
                self.series_keys[name]: SeriesBranch(channels, model.width, model.depth, model.activation)
                for name, channels in shape.series.items()
            }
        )
        n_steps = {name: int(self.series[key].n_features) for name, key in self.series_keys.items()}  # type: ignore[arg-type]
        n_joined, n_early = n_joined + sum(n_steps.values()), n_early + sum(n_steps.values())
        self.dropout = nn.Dropout(model.dropout)
        self.heads = nn.ModuleDict()
        for name, head in self.heads_of.items():
            if head.spread == "steps":
                made: nn.Module = StepsHead(n_steps[head.along], n_joined, head.n_outputs)
            elif head.spread == "pixels":
                made = make_map_head(self.backbones[self._key_of(head.along)], head, shape.size)
            else:
                made = RowHead(n_early if head.branch == "early" else n_joined, head, model)
            self.heads[self.head_keys[name]] = made.linear if isinstance(made, RowHead) and made.is_plain else made

    def forward(
        self,
        pictures: Mapping[str, Tensor],
        table: Tensor,
        categories: Tensor,
        series: Mapping[str, Tensor] | None = None,
        lengths: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Raw outputs by target: (b, n_outputs), of steps (b, t, n_outputs), of pixels (b, h, w, n_outputs)."""
        return self.predict_heads(self.features(pictures, table, categories, series, lengths))

    def features(
        self,
        pictures: Mapping[str, Tensor],
        table: Tensor,
        categories: Tensor,
        series: Mapping[str, Tensor] | None = None,
        lengths: Mapping[str, Tensor] | None = None,
    ) -> Features:
        """What the heads look at."""
        wants_maps = any(head.spread == "pixels" or head.branch == "early" for head in self.heads_of.values())
        parts, early, maps, steps = [], [], {}, {}
        told: list[Told] = []
        for name, groups in self.stacks.items():
            backbone, joined = self.backbones[self.keys[name]], self._joined(name, groups, pictures, told)
            if wants_maps and isinstance(backbone, Tiny):
                half, maps[name] = backbone.maps(joined)
                early.append(half.mean(dim=(2, 3)))
                parts.append(maps[name].mean(dim=(2, 3)))
            elif wants_maps and isinstance(joined, Tensor) and (shown := last_map(backbone, joined)) is not None:
                features, maps[name] = shown
                parts.append(features)
                early.append(features)
            else:
                parts.append(backbone(joined))
                early.append(parts[-1])
        if self.table is not None:
            parts.append(self.table(table, categories))
            early.append(parts[-1])
        for name, key in self.series_keys.items():
            pooled, steps[name] = self.series[key]((series or {})[name], (lengths or {})[name])
            parts.append(pooled)
            early.append(pooled)
        return Features(_joined(parts), _joined(early) if wants_maps else None, maps, steps)

    def _joined(self, name: str, groups: tuple[str, ...], pictures: Mapping[str, Tensor], told: list[Told]) -> Tensor | Seen:
        """What a stack's backbone looks at: its groups side by side, standardised and balanced.

        Args:
            told: Where the pixels of stacks before it are, which those of this one may share.
        """
        key, numbers = self.keys[name], [pictures[group] for group in groups if pictures[group].ndim == 3]
        seen = [self.standardise[self.group_keys[group]](pictures[group]) for group in groups if pictures[group].ndim == 4]
        if numbers and self.places is not None:
            if is_placed(self.backbones[key]):
                if not (told and numbers[0].device.type == "cpu" and torch.equal(told[-1].numbers, numbers[0])):
                    told.append(self.places.told(numbers[0]))
                return Seen(_joined(seen), told[-1])
            seen.append(self.places.planes(numbers[0]))
        return self.stems[key](seen) if key in self.stems else _joined(seen)

    def predict_heads(self, seen: Features) -> dict[str, Tensor]:
        """Raw outputs by target."""
        late = self.dropout(seen.joined)
        out = {}
        for name, key in self.head_keys.items():
            head = self.heads_of[name]
            if head.spread == "steps":
                out[name] = self.heads[key](seen.steps[head.along], late)
            elif head.spread == "pixels":
                out[name] = self.heads[key](seen.maps[self._stack_of(head.along)])
            else:
                out[name] = self.heads[key](seen.early if head.branch == "early" else late)
        return out

    def _stack_of(self, picture: str) -> str:
        """The stack whose map a dense head looks at: the one of the picture it lies in, or the first."""
        found = [name for name, groups in self.stacks.items() if picture in groups]
        return found[0] if found else next(iter(self.stacks))

    def _key_of(self, picture: str) -> str:
        return self.keys[self._stack_of(picture)]


class Features(NamedTuple):
    """What the heads of a network look at.

    Attributes:
        joined: Of a row.  (b, f)
        early: Half-way to those; None where no head asks.  (b, f')
        maps: By stack, the backbone's last map, where a head asks.  (b, c, h, w)
        steps: By series field.  (b, t, d)
    """

    joined: Tensor
    early: Tensor | None
    maps: dict[str, Tensor]
    steps: dict[str, Tensor]


class RowHead(nn.Module):
    """One linear layer, or for a branch of its own two."""

    def __init__(self, n_in: int, head: Head, model: ModelConfig):
        super().__init__()
        self.is_plain = head.branch != "own"
        hidden = model.hidden or n_in
        self.before = (
            nn.Identity() if self.is_plain else nn.Sequential(nn.Linear(n_in, hidden), make_activation(model.activation))
        )
        self.linear = nn.Linear(n_in if self.is_plain else hidden, head.n_outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(b, f) to (b, n_outputs)."""
        out: Tensor = self.linear(self.before(features))
        return out


class StepsHead(nn.Module):
    """Outputs at every step: from the series there, and from everything that is known of the row."""

    def __init__(self, n_steps: int, n_joined: int, n_outputs: int):
        super().__init__()
        self.at_step = nn.Linear(n_steps, n_outputs)
        self.of_row = nn.Linear(n_joined, n_outputs, bias=False)

    def forward(self, steps: Tensor, joined: Tensor) -> Tensor:
        """(b, t, d) and (b, f) to (b, t, n_outputs)."""
        out: Tensor = self.at_step(steps) + self.of_row(joined)[:, None]
        return out


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


class Standardise(nn.Module):
    """(b, h, w, c) of any type to (b, c, h, w) float32, with mean 0 and spread 1 in the training rows."""

    mean: Tensor
    scale: Tensor

    def __init__(self, channels: int, holes: bool = False):
        super().__init__()
        self.holes = holes  # NaN stands for no reading, and is given as the mean
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
        rows = pictures.reshape(b, h, w * c)
        if rows.dtype == torch.float32:  # one pass over new memory, which is what it costs
            standardised = torch.addcmul(shift, rows, scale)
        else:
            standardised = rows.to(torch.float32).mul_(scale).add_(shift)
        if self.holes:
            standardised.nan_to_num_(0.0)
        return standardised.view(b, h, w, c).permute(0, 3, 1, 2)


class TableBranch(nn.Module):
    """Numbers and embedded categories through two hidden layers.

    Layer normalisation, as it works for a batch of one row.
    """

    def __init__(self, n_numbers: int, category_sizes: tuple[int, ...], hidden: int, activation: str, dropout: float):
        super().__init__()
        self.widths = [embedding_width(size) for size in category_sizes]
        each = zip(category_sizes, self.widths, strict=True)
        self.embeddings = nn.ModuleList(nn.Embedding(size, width) for size, width in each)
        n_in = n_numbers + sum(self.widths)
        layers: list[nn.Module] = []
        for n_before in (n_in, hidden) if hidden else ():
            layers += [nn.Linear(n_before, hidden), nn.LayerNorm(hidden), make_activation(activation), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers[:-1])  # the head has its own dropout
        self.n_features = hidden or n_in
        self.balance: BalancedColumns | None = None

    def balance_groups(
        self, feature_fields: tuple[str, ...], category_fields: tuple[str, ...], groups: Mapping[str, InputGroup]
    ) -> None:
        """From here on each group of fields has its share; the fields are those of each number and of each category."""
        embedded = [name for name, width in zip(category_fields, self.widths, strict=True) for _ in range(width)]
        self.balance = BalancedColumns([*feature_fields, *embedded], groups)

    def forward(self, table: Tensor, categories: Tensor) -> Tensor:
        """(b, f) and (b, g) to (b, n_features)."""
        embedded = [embedding(categories[:, i]) for i, embedding in enumerate(self.embeddings)]
        joined = torch.cat([table, *embedded], dim=1)
        out: Tensor = self.layers(joined if self.balance is None else self.balance(joined))
        return out
