"""Where pixels are, told to a network as eight numbers a picture in place of planes of channels.

A map takes pixels of the original to those of the frame, so the original's x and y are affine in the frame's column and row
(`channels.position_numbers`). The network works out the channels from that. Sines and cosines of them, which would be most
of what its first convolution looks at, are never made: by the addition theorem the wave at a pixel is that of its column
times that of its row, a shift of the pixel turns it by an angle, and so the convolution of a wave is one product of lines.
It comes to the same, zeros beyond the frame included.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

Size = tuple[int, int]


class Places:
    """The channels of position that a study asks for, as `channels.position_channels` has them.

    Args:
        size: Height and width of the frame.
        coords: none, frame or crop.
        fourier: Octaves of sines and cosines.
        border: Whether the distance to the border is one of them.
    """

    def __init__(self, size: Size, coords: str, fourier: int, border: bool):
        self.size, self.coords, self.fourier, self.border = size, coords, fourier, border
        self.n_coords = 0 if coords == "none" else 2
        self.n_channels = self.n_coords + 4 * fourier + border

    def planes(self, numbers: Tensor, steps: Size = (1, 1)) -> Tensor:
        """All channels, or those of every so many pixels down and across.  (b, c, h, w)"""
        place = self._place(numbers, steps)
        angles = math.pi * place[:, None] * self.octaves(numbers)[:, None, None, None]  # (b, octaves, 2, h, w)
        waves = torch.stack([angles.sin(), angles.cos()], dim=3).flatten(1, 3)
        few = self.few(numbers, place, steps)
        return torch.cat([few[:, : self.n_coords], waves, few[:, self.n_coords :]], dim=1)

    def told(self, numbers: Tensor) -> Told:
        """What a convolution needs of these pictures; the same for several of one shape."""
        return Told(self, numbers)

    def _place(self, numbers: Tensor, steps: Size) -> Tensor:
        """The original's x and y.  (b, 2, h, w)"""
        (h, w), (down, across) = self.size, steps
        column = torch.arange(0, w, across, device=numbers.device, dtype=numbers.dtype)
        row = torch.arange(0, h, down, device=numbers.device, dtype=numbers.dtype)
        lines = numbers[:, :, 0:1] * column, numbers[:, :, 1:2] * row + numbers[:, :, 2:3]
        return lines[0][:, :, None, :] + lines[1][:, :, :, None]

    def few(self, numbers: Tensor, place: Tensor | None = None, steps: Size = (1, 1)) -> Tensor:
        """The channels that are no waves.  (b, c, h, w)"""
        place = self._place(numbers, steps) if place is None else place
        parts: list[Tensor] = []
        if self.coords == "frame":
            parts += [place[:, 0], place[:, 1]]
        elif self.coords == "crop":
            h, w = self.size
            own = numbers.new_tensor([[[2 / w, 0, 1 / w - 1, 1], [0, 2 / h, 1 / h - 1, 1]]])
            parts += [one.expand(len(numbers), -1, -1) for one in self._place(own, steps)[0]]
        if self.border:
            away = (1 - place.abs()) * numbers[:, :, 3, None, None]
            parts.append(torch.minimum(away[:, 0], away[:, 1]))
        return torch.stack(parts, dim=3).permute(0, 3, 1, 2) if parts else place[:, :0]

    def octaves(self, numbers: Tensor) -> Tensor:
        """(octaves,)"""
        return 2.0 ** torch.arange(self.fourier, device=numbers.device, dtype=numbers.dtype)


class Told:
    """The channels of position of some pictures, for convolutions that do not need to see them all.

    Args:
        places: Which channels there are.
        numbers: See `channels.position_numbers`.  (b, 2, 4)
    """

    def __init__(self, places: Places, numbers: Tensor):
        self.places, self.numbers = places, numbers
        self._few: Tensor | None = None
        self._waves: dict[tuple[Any, ...], _Waves] = {}

    def convolved(self, kernel: Tensor, conv: nn.Conv2d, base: Tensor) -> Tensor:
        """All channels through a convolution with this kernel (k, c, kernel_h, kernel_w), else like `conv`, and `base` added.

        (b, k, h', w')
        """
        first, last = self.places.n_coords, self.places.n_coords + 4 * self.places.fourier
        few = torch.cat([kernel[:, :first], kernel[:, last:]], dim=1)
        if few.shape[1]:
            if self._few is None:
                self._few = self.places.few(self.numbers)
            base = base + functional.conv2d(self._few, few, None, conv.stride, conv.padding, conv.dilation)
        return _convolved(self._waves_for(conv), kernel[:, first:last], base) if self.places.fourier else base

    @torch.no_grad()
    def _waves_for(self, conv: nn.Conv2d) -> _Waves:
        geometry = (conv.kernel_size, conv.stride, conv.padding, conv.dilation)
        if geometry not in self._waves:
            windows = (_windows(self.places.size[axis], conv, axis, self.numbers) for axis in (0, 1))
            self._waves[geometry] = _waves(self.numbers, self.places.octaves(self.numbers), *windows)
        return self._waves[geometry]


class Seen(NamedTuple):
    """Pictures, and where their pixels are, for a convolution that knows what to do with it.

    Attributes:
        pictures: Standardised.  (b, c, h, w)
        told: Where their pixels are.
    """

    pictures: Tensor
    told: Told


class PlacedConv2d(nn.Conv2d):
    """A convolution whose last channels are those of position, which it need not be given: `Seen` will do."""

    def _conv_forward(self, joined: Tensor | Seen, weight: Tensor, bias: Tensor | None) -> Tensor:  # type: ignore[override]
        if isinstance(joined, Tensor):
            return super()._conv_forward(joined, weight, bias)
        n_given = joined.pictures.shape[1]
        out = super()._conv_forward(joined.pictures, weight[:, :n_given], bias)
        return joined.told.convolved(weight[:, n_given:], self, out)


def place_convolution(conv: nn.Conv2d) -> PlacedConv2d:
    """The same convolution, with the same parameters, that can be told where pixels are."""
    placed = PlacedConv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        conv.dilation,  # type: ignore[arg-type]
        bias=conv.bias is not None,
        device="meta",
    )
    placed.weight, placed.bias = conv.weight, conv.bias
    return placed


class _Windows(NamedTuple):
    """Which pixels along one axis each output of a convolution looks at.

    Attributes:
        at: The one it stands at.  (n,)
        offsets: Of the kernel's, from there.  (kernel,)
        seen: (n, kernel)
        inside: Which of those are not padding.  (n, kernel)
    """

    at: Tensor
    offsets: Tensor
    seen: Tensor
    inside: Tensor


def _windows(side: int, conv: nn.Conv2d, axis: int, like: Tensor) -> _Windows:
    kernel, stride, dilation = conv.kernel_size[axis], conv.stride[axis], conv.dilation[axis]
    padding = int(conv.padding[axis])
    n = (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    at = stride * torch.arange(n, device=like.device, dtype=like.dtype)
    offsets = dilation * torch.arange(kernel, device=like.device, dtype=like.dtype) - padding
    seen = at[:, None] + offsets
    return _Windows(at, offsets, seen, (seen >= 0) & (seen < side))


class _Waves(NamedTuple):
    """What the convolution of waves needs beside its kernel.

    With a the angle at a pixel by its column, b by its row and d that of a row of the kernel, the sine is
    cos b sin(a + d) + sin b cos(a + d), and the cosine cos b cos(a + d) - sin b sin(a + d): two lines of columns for each
    angle, of which d mixes the kernel's rows. Rows of outputs that look at padding have one more, which takes that part back.

    Attributes:
        mixing: Of the kernel's rows for sine and cosine, by d.  (angles, b, 2, 2 kernel_h)
        columns: Sines and cosines of a, 0 beyond the frame.  (b, angles, 2 w', 2 kernel_w)
        rows: Cosines and sines of b, and -1 where a row looks at padding.  (b, h', 2 angles + e)
        beyond: `mixing` of the kernel's rows that lie in the padding, of each such row.  (angles, b, e, 2, 2 kernel_h)
        at_beyond: Cosines and sines of a + b of each such row.  (b, e, w', angles 2 kernel_w)
    """

    mixing: Tensor
    columns: Tensor
    rows: Tensor
    beyond: Tensor
    at_beyond: Tensor


def _waves(numbers: Tensor, octaves: Tensor, down: _Windows, across: _Windows) -> _Waves:
    rates = math.pi * (numbers[:, None, :, :3] * octaves[:, None, None]).flatten(1, 2)  # (b, angles, 3)
    d = rates[:, :, 1:2] * down.offsets
    b = rates[:, :, 1:2] * down.at + rates[:, :, 2:3]
    a = rates[:, :, 0, None, None] * across.seen
    sine, cosine = d.sin(), d.cos()
    mixing = torch.stack([torch.cat([sine, cosine], dim=2), torch.cat([cosine, -sine], dim=2)], dim=2)
    sines, cosines = a.sin() * across.inside, a.cos() * across.inside
    columns = torch.cat([torch.cat([cosines, sines], dim=3), torch.cat([-sines, cosines], dim=3)], dim=2)
    edges = (~down.inside.all(dim=1)).nonzero()[:, 0]
    rows = torch.stack([b.cos(), b.sin()], dim=2).flatten(1, 2)
    back = -(edges[:, None] == torch.arange(len(down.at), device=edges.device)).to(rows.dtype)
    rows = torch.cat([rows, back.expand(len(rows), -1, -1)], dim=1).transpose(1, 2)
    angles = a[:, None] + b[:, :, edges].transpose(1, 2)[:, :, :, None, None]
    at_beyond = torch.cat([angles.cos() * across.inside, angles.sin() * across.inside], dim=4)
    outside = (~down.inside[edges]).to(rows.dtype).repeat(1, 2)
    mixing = mixing.transpose(0, 1).contiguous()
    beyond = mixing[:, :, None] * outside[:, None, :]
    return _Waves(mixing, columns, rows, beyond, at_beyond.transpose(2, 3).flatten(3))


def _convolved(waves: _Waves, kernel: Tensor, base: Tensor) -> Tensor:
    """(b, k, h', w') of a kernel (k, c, kernel_h, kernel_w), added to `base`."""
    k, _, kernel_h, kernel_w = kernel.shape
    n, n_rows, _ = waves.rows.shape
    by_angle = kernel.reshape(k, -1, 2, kernel_h, kernel_w).permute(1, 2, 3, 4, 0).reshape(-1, 2 * kernel_h, kernel_w * k)
    mixed = torch.bmm(waves.mixing.flatten(1, 2), by_angle).reshape(-1, n, 2 * kernel_w, k).transpose(0, 1)
    lines = (waves.columns @ mixed).reshape(n, 2 * mixed.shape[1], -1)  # (b, 2 angles, w' k)
    e = waves.beyond.shape[2]
    if e:
        mixed = torch.bmm(waves.beyond.flatten(1, 3), by_angle).reshape(-1, n, e, 2 * kernel_w, k).permute(1, 2, 0, 3, 4)
        lines = torch.cat([lines, (waves.at_beyond @ mixed.flatten(2, 3)).flatten(2)], dim=1)
    flat = base.permute(0, 2, 3, 1).reshape(n, n_rows, -1)
    return torch.baddbmm(flat, waves.rows, lines).reshape(n, n_rows, -1, k).permute(0, 3, 1, 2)
