"""Maps: where each pixel of a picture goes. Crop, resize, flip, turn, rotation, scale, shear and shift as one matrix.

A map takes pixel coordinates of one frame to those of another: x right, y down, the centre of the first pixel is (0, 0).
Maps compose, have inverses, and say which way they leave things: whether left and right changed places, and how far
everything was turned. What a map does to a picture is in `warp.py`, to points, boxes, vectors and cameras in `geometry.py`,
to what a class or a number means in `fields`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Size = tuple[int, int]  # h, w
Resize = Literal["stretch", "pad", "crop"]
Matrices = NDArray[np.float64]
QUARTER_TURNS = np.array([[[1, 0], [0, 1]], [[0, 1], [-1, 0]], [[-1, 0], [0, -1]], [[0, -1], [1, 0]]], dtype=np.float64)
MIRROR = np.array([[-1.0, 0.0], [0.0, 1.0]])


@dataclass(frozen=True, eq=False)
class Maps:
    """One map a row.

    Attributes:
        matrix: Acts on column vectors (x, y, 1).  (b, 3, 3)
        source: Height and width of the frame each map starts from.  (b, 2)
        target: Height and width of the frame it ends in.  (b, 2)
    """

    matrix: Matrices
    source: NDArray[np.int64]
    target: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.matrix)

    def __getitem__(self, index: Any) -> Maps:
        """The maps of some rows; `index` is a slice, positions or a mask."""
        return Maps(self.matrix[index], self.source[index], self.target[index])

    def then(self, other: Maps) -> Maps:
        """First these maps, then the others: one matrix, so one interpolation."""
        return Maps(other.matrix @ self.matrix, self.source, other.target)

    @property
    def inverse(self) -> Maps:
        """From where things are back to where they came from."""
        return Maps(np.linalg.inv(self.matrix).astype(np.float64, copy=False), self.target, self.source)

    @cached_property
    def mirrored(self) -> NDArray[np.bool_]:
        """Whether left and right changed places: the map is a reflection.  (b,)"""
        linear = self.matrix[:, :2, :2]
        return linear[:, 0, 0] * linear[:, 1, 1] < linear[:, 0, 1] * linear[:, 1, 0]

    @cached_property
    def angle_rad(self) -> NDArray[np.float64]:
        """How far things are turned, anticlockwise as seen, after left and right changed places if they did; -pi to pi.  (b,)

        Where a map also shears or stretches, the rotation nearest to it (its polar factor).
        """
        side = np.where(self.mirrored, -1.0, 1.0)
        a, b, c, d = self.matrix[:, 0, 0], self.matrix[:, 0, 1], self.matrix[:, 1, 0], self.matrix[:, 1, 1]
        return np.arctan2(b - c * side, d + a * side)

    @cached_property
    def turns(self) -> NDArray[np.int64]:
        """Quarter turns nearest to the rotation, 0 to 3, anticlockwise.  (b,)"""
        return np.rint(self.angle_rad / (np.pi / 2)).astype(np.int64) % 4

    @cached_property
    def tilt_rad(self) -> NDArray[np.float64]:
        """What is left of the rotation beside whole quarter turns; -pi/4 to pi/4.  (b,)"""
        return self.angle_rad - np.rint(self.angle_rad / (np.pi / 2)) * (np.pi / 2)

    @cached_property
    def orthogonal(self) -> Matrices:
        """The map's mirror and rotation alone: what it does to directions.  (b, 2, 2)"""
        cos, sin = np.cos(self.angle_rad), np.sin(self.angle_rad)
        side = np.where(self.mirrored, -1.0, 1.0)
        return np.stack([np.stack([cos * side, sin], axis=1), np.stack([-sin * side, cos], axis=1)], axis=1)

    @cached_property
    def elements(self) -> NDArray[np.int64]:
        """The nearest of the eight symmetries of a square: 4 if mirrored, plus the quarter turns after that.  (b,)"""
        return 4 * self.mirrored + self.turns

    @cached_property
    def moves_whole_pixels(self) -> NDArray[np.bool_]:
        """Which maps move whole pixels onto whole pixels: nothing needs interpolation.  (b,)"""
        linear, shift = self.matrix[:, :2, :2], self.matrix[:, :2, 2]
        is_turned = np.isin(linear, (-1.0, 0.0, 1.0)).all(axis=(1, 2)) & (np.abs(linear).sum(axis=2) == 1).all(axis=1)
        return is_turned & (shift == np.rint(shift)).all(axis=1)  # type: ignore[no-any-return]

    @property
    def is_whole_pixel(self) -> bool:
        """Every map moves whole pixels onto whole pixels."""
        return bool(self.moves_whole_pixels.all())


def whole_frames(sources: ArrayLike, size: Size, resize: Resize = "stretch") -> Maps:
    """The maps that bring whole pictures to one size.

    Args:
        sources: Heights and widths.  (b, 2)
        resize: stretch: both sides fill the frame; pad: the longer side fills it, the rest is border;
            crop: the shorter side fills it, the rest is cut off.
    """
    source = np.asarray(sources, dtype=np.int64).reshape(-1, 2)
    factor = np.array(size) / source  # (b, 2) of h, w
    if resize != "stretch":
        one = factor.min(axis=1, keepdims=True) if resize == "pad" else factor.max(axis=1, keepdims=True)
        factor = np.broadcast_to(one, factor.shape)
    matrix = np.zeros((len(source), 3, 3))
    for axis, side in ((0, 1), (1, 0)):  # x goes with the width
        matrix[:, axis, axis] = factor[:, side]
        matrix[:, axis, 2] = (size[side] - 1) / 2 - factor[:, side] * (source[:, side] - 1) / 2
    matrix[:, 2, 2] = 1
    return Maps(matrix, source, np.broadcast_to(np.array(size, dtype=np.int64), source.shape))


def make_maps(
    size: Size,
    *,
    mirrored: ArrayLike = False,
    turns: ArrayLike = 0,
    rotate_rad: ArrayLike = 0.0,
    shear_rad: ArrayLike = 0.0,
    scale_x: ArrayLike = 1.0,
    scale_y: ArrayLike = 1.0,
    shift_x: ArrayLike = 0.0,
    shift_y: ArrayLike = 0.0,
) -> Maps:
    """Maps of a frame onto itself, about its middle, in this order; each argument is one value or one a row.

    Args:
        size: Height and width of the frame.
        mirrored: Left and right change places.
        turns: Quarter turns, anticlockwise as seen.
        rotate_rad: Anticlockwise as seen.
        shear_rad: Columns lean by this angle.
        scale_x: Factor of the width; above 1 enlarges.
        scale_y: Factor of the height.
        shift_x: Pixels to the right.
        shift_y: Pixels down.
    """
    given = np.broadcast_arrays(
        *map(np.atleast_1d, (mirrored, turns, rotate_rad, shear_rad, scale_x, scale_y, shift_x, shift_y))
    )
    is_mirrored, n_turns, angle, shear, wide, high, right, down = given
    n = len(is_mirrored)
    linear = np.where(is_mirrored[:, None, None], MIRROR, np.eye(2))
    linear = QUARTER_TURNS[n_turns.astype(np.int64) % 4] @ linear
    if np.any(angle) or np.any(shear) or np.any(wide != 1) or np.any(high != 1):
        cos, sin = np.cos(angle), np.sin(angle)
        rotation = np.stack([np.stack([cos, sin], axis=1), np.stack([-sin, cos], axis=1)], axis=1)
        leaning = np.zeros((n, 2, 2))
        leaning[:, 0, 0], leaning[:, 0, 1], leaning[:, 1, 1] = wide, wide * np.tan(shear), high
        linear = leaning @ rotation @ linear
    middle = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
    matrix = np.zeros((n, 3, 3))
    matrix[:, :2, :2], matrix[:, 2, 2] = linear, 1
    matrix[:, :2, 2] = middle - linear @ middle + np.stack([right, down], axis=1)
    frame = np.broadcast_to(np.array(size, dtype=np.int64), (n, 2))
    return Maps(matrix, frame, frame)


def identity_maps(sizes: ArrayLike) -> Maps:
    """Maps that move nothing, in frames of these heights and widths.  (b, 2)"""
    frames = np.asarray(sizes, dtype=np.int64).reshape(-1, 2)
    return Maps(np.broadcast_to(np.eye(3), (len(frames), 3, 3)), frames, frames)
