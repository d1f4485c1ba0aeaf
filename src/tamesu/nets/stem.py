"""Balanced groups: each group of inputs enters a network with its share of the variance, however many channels it has.

A group is projected by itself; the projection is divided by the spread of what comes out of it and multiplied by the square
root of the group's share. The spread follows from the covariance of the group's inputs, which is kept as a running mean:
nothing has to be computed for every pixel but one product, and one row is enough to predict. Where a convolution comes next,
even that product is taken of its kernel instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tamesu.config import InputGroup, ModelConfig
from tamesu.nets.places import PlacedConv2d, Seen, place_convolution
from tamesu.nets.plans import BALANCE_MOMENTUM, LEAST_VARIANCE, PIXELS_SEEN, groups_of, number_groups
from tamesu.nets.tiny import Tiny


class Balance(nn.Module):
    """The matrix that projects groups of inputs, each to its share of the variance.

    With room for all inputs each has a place of its own to begin with, and nothing but the groups' sizes changes; else each
    group is turned at random into all the places there are.
    """

    covariance: Tensor
    mean: Tensor
    n_batches: Tensor
    members: Tensor
    together: Tensor
    least: Tensor
    shares: Tensor

    def __init__(self, group_of: Sequence[int], weights: Sequence[float], n_out: int):
        """Of inputs whose groups are `group_of`, numbered from 0; `weights` are those of the groups."""
        super().__init__()
        n_in = len(group_of)
        start = torch.eye(n_out, n_in)
        members = torch.zeros(n_in, len(weights))
        for group in range(len(weights)):
            own = [i for i, one in enumerate(group_of) if one == group]
            members[own, group] = 1.0
            if n_out < n_in:
                start[:, own] = nn.init.orthogonal_(torch.empty(n_out, len(own)))
        self.weight = nn.Parameter(start)
        self.register_buffer("members", members, persistent=False)  # (n_in, groups)
        self.register_buffer("together", members @ members.T, persistent=False)  # 1 within a group, 0 between groups
        self.register_buffer("least", LEAST_VARIANCE * torch.eye(n_in), persistent=False)
        self.register_buffer("shares", torch.tensor(weights) / sum(weights), persistent=False)
        self.register_buffer("covariance", torch.eye(n_in))
        self.register_buffer("mean", torch.zeros(n_in))
        self.register_buffer("n_batches", torch.zeros(()))

    def matrix(self) -> Tensor:
        """What inputs are multiplied by.  (n_out, n_in)"""
        within = self.covariance * self.together + self.least
        variance = ((self.weight @ within) * self.weight).mean(dim=0) @ self.members  # of a group, mean over what comes out
        return self.weight * (self.members @ (self.shares / variance).sqrt())

    @torch.no_grad()
    def look(self, rows: Tensor) -> None:
        """Takes a batch into the running covariance.  (n, n_in)"""
        self.n_batches += 1
        share = torch.clamp(1 / self.n_batches, min=BALANCE_MOMENTUM)
        rows = rows.float()
        self.mean.lerp_(rows.mean(dim=0), share)
        rows = rows - self.mean
        self.covariance.lerp_(rows.T @ rows / len(rows), share)


class BalancedStem(nn.Module):
    """Groups of pictures to one stack of channels.

    Attributes:
        out_channels: How many.
    """

    def __init__(
        self,
        groups: Mapping[str, int],
        weights: Mapping[str, float],
        out_channels: int,
        together: Mapping[str, str] | None = None,
    ):
        """For `groups` of so many channels; `together` names what some of them are one group of, which `weights` then means."""
        super().__init__()
        self.out_channels = out_channels
        names = [(together or {}).get(name, name) for name, channels in groups.items() for _ in range(channels)]
        self.balance = Balance(*number_groups(names, weights), out_channels)

    def forward(self, pictures: Sequence[Tensor]) -> Tensor:
        """Standardised pictures, one of each group in the groups' order, (b, c_g, h, w) to (b, out_channels, h, w)."""
        joined = torch.cat(list(pictures), dim=1)
        return functional.conv2d(joined, balance_of(self.balance, joined)[:, :, None, None])


class BalancedConv2d(nn.Module):
    """A convolution of balanced groups: as `BalancedStem` and then the convolution, for the price of the convolution."""

    def __init__(self, balance: Balance, conv: nn.Conv2d):
        super().__init__()
        self.balance, self.conv = balance, conv

    def forward(self, joined: Tensor | Seen) -> Tensor:
        """(b, c, h, w) to (b, c', h', w')."""
        kernel = torch.einsum("okhw,kc->ochw", self.conv.weight, balance_of(self.balance, joined))
        return self.conv._conv_forward(joined, kernel, self.conv.bias)  # type: ignore[arg-type]


def balance_of(balance: Balance, joined: Tensor | Seen) -> Tensor:
    """The matrix for these pictures (b, n_in, h, w), at which it looks while training.  (n_out, n_in)"""
    pictures = joined if isinstance(joined, Tensor) else joined.pictures
    with torch.autocast(pictures.device.type, enabled=False):
        if balance.training:
            h, w = pictures.shape[2:]
            steps = math.ceil(h / PIXELS_SEEN), math.ceil(w / PIXELS_SEEN)
            seen = pictures[:, :, :: steps[0], :: steps[1]]
            if isinstance(joined, Seen):
                seen = torch.cat([seen, joined.told.places.planes(joined.told.numbers, steps)], dim=1)
            balance.look(seen.permute(0, 2, 3, 1).flatten(0, 2))
        return balance.matrix()


class BalancedColumns(nn.Module):
    """Columns of a table, each group of them with its share; as many as before."""

    def __init__(self, fields: Sequence[str], groups: Mapping[str, InputGroup]):
        """For the `fields` the columns come from; those that no group names are a group each."""
        super().__init__()
        together, weights = groups_of(groups)
        names = [together.get(name, name) for name in fields]
        self.balance = Balance(*number_groups(names, weights), len(fields))

    def forward(self, rows: Tensor) -> Tensor:
        """(b, f) to (b, f)."""
        with torch.autocast(rows.device.type, enabled=False):
            if self.training:
                self.balance.look(rows.detach())
            return functional.linear(rows.float(), self.balance.matrix())


def balance_backbone(backbone: nn.Module, model: ModelConfig, groups: Mapping[str, int]) -> BalancedStem | None:
    """Balances the groups of one stack of pictures: in the backbone's first convolution, or by a stem that comes before it.

    Args:
        backbone: Of the stack's channels; its weights are those it starts with.
        model: `groups` says which belong together and what weight they have.
        groups: Channels by group of the stack, in the order they come in.

    Returns:
        The stem; None where the backbone does it by itself now.
    """
    together, weights = groups_of(model.groups)
    stem = BalancedStem(groups, weights, sum(groups.values()), together)
    path = _first_convolution(backbone)
    conv = backbone.get_submodule(path) if path else None
    if not isinstance(conv, nn.Conv2d) or type(conv) not in (nn.Conv2d, PlacedConv2d):
        return stem  # of another type, it may do more with its kernel
    if conv.groups != 1 or conv.in_channels != stem.out_channels:
        return stem
    backbone.set_submodule(path, BalancedConv2d(stem.balance, conv))
    return None


def place_backbone(backbone: nn.Module) -> None:
    """From here on its first convolution can be told where pixels are, if the backbone shows it `Seen` as it came."""
    if isinstance(backbone, Tiny):
        path = _first_convolution(backbone)
        backbone.set_submodule(path, place_convolution(cast(nn.Conv2d, backbone.get_submodule(path))))


def is_placed(backbone: nn.Module) -> bool:
    """Whether it takes `Seen`."""
    return isinstance(backbone, Tiny) and any(isinstance(module, PlacedConv2d) for module in backbone.stem.modules())


def _first_convolution(backbone: nn.Module) -> str:
    """The path of the one that sees the pictures, where the backbone says so; empty elsewhere."""
    if isinstance(backbone, Tiny):
        return next(f"stem.{name}" for name, module in backbone.stem.named_modules() if isinstance(module, nn.Conv2d))
    known = getattr(backbone, "default_cfg", {})  # timm's
    path = known.get("first_conv") if isinstance(known, dict) else None
    return path if isinstance(path, str) and path in dict(backbone.named_modules()) else ""
