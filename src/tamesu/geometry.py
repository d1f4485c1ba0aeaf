"""One affine map a sample: resize, mirror, rotate, scale and translate are one 3×3 matrix and one interpolation.

A map takes pixel coordinates of the picture as read to pixel coordinates of the picture as trained on (x right, y down,
the centre of the first pixel is 0, 0). Each kind of field knows how a map acts on it: pictures are warped here, targets
in `targets.py`; masks, points, vectors and intrinsics will be acted on by the same `Maps`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tamesu.config import AugmentConfig, Range
from tamesu.draws import Draws

Size = tuple[int, int]  # h, w
BORDERS = {"reflect": cv2.BORDER_REFLECT_101, "edge": cv2.BORDER_REPLICATE, "constant": cv2.BORDER_CONSTANT}
MAX_CHANNELS = 4  # what OpenCV warps at once


@dataclass(frozen=True, eq=False)
class Maps:
    """The maps of a batch, from a picture already resized to `size` to what is trained on.

    Attributes:
        matrix: Acts on column vectors (x, y, 1).  (b, 3, 3)
        mirrored: Whether the map swaps left and right.  (b,)
        is_whole_pixel: All maps are mirrors and shifts by whole pixels: nothing needs interpolation.
        size: Height and width, before and after.
    """

    matrix: NDArray[np.float64]
    mirrored: NDArray[np.bool_]
    is_whole_pixel: bool
    size: Size


def draw_maps(augment: AugmentConfig, size: Size, draws: Draws, may_mirror: NDArray[np.bool_] | bool = True) -> Maps:
    """One map for each row: mirror, then rotate, scale and translate about the middle.

    Shifts are whole pixels: where nothing else moves, no pixel is blurred by an interpolation that scored pictures do
    not go through.

    Args:
        may_mirror: False for rows whose target a mirror would make wrong.  (b,)
    """
    n, (h, w) = len(draws.keys), size
    mirrored = (draws.uniform("mirror") < augment.mirror) & may_mirror
    angle_rad = np.deg2rad(draws.uniform("rotate", *_interval(augment.rotate_deg, around=0)))
    factor = draws.uniform("scale", *_interval(augment.scale, around=1))
    shift_x = np.rint(draws.uniform("translate_x", -1, 1) * augment.translate * w)
    shift_y = np.rint(draws.uniform("translate_y", -1, 1) * augment.translate * h)
    cos, sin = factor * np.cos(angle_rad), factor * np.sin(angle_rad)
    side = np.where(mirrored, -1.0, 1.0)
    matrix = np.zeros((n, 3, 3))
    matrix[:, 0, 0], matrix[:, 0, 1] = cos * side, sin  # y points down: a positive angle turns anticlockwise as seen
    matrix[:, 1, 0], matrix[:, 1, 1] = -sin * side, cos
    middle = np.array([(w - 1) / 2, (h - 1) / 2])
    matrix[:, :2, 2] = middle - matrix[:, :2, :2] @ middle + np.stack([shift_x, shift_y], axis=1)
    matrix[:, 2, 2] = 1
    moves_freely = bool(np.any(angle_rad != 0) or np.any(factor != 1))
    return Maps(matrix, np.broadcast_to(mirrored, (n,)), not moves_freely, size)


def resize_matrix(source: Size, target: Size) -> NDArray[np.float64]:
    """The map that takes a whole picture of one size onto another.  (3, 3)"""
    y, x = target[0] / source[0], target[1] / source[1]
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])


def resize(picture: NDArray[Any], size: Size) -> NDArray[Any]:
    """The whole picture at another size: mean over areas where it shrinks to half or less, else linear.  (h, w, c)

    Above a half, linear interpolation uses nearly every pixel, takes a fifth of the time, and is what warped pictures get.
    """
    if picture.shape[:2] == size:
        return picture
    shrinks = picture.shape[0] >= 2 * size[0] and picture.shape[1] >= 2 * size[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return _by_channels(picture, lambda part: cv2.resize(part, size[::-1], interpolation=how))


def warp(picture: NDArray[Any], matrix: NDArray[np.float64], size: Size, border: str = "reflect") -> NDArray[Any]:
    """A picture seen through a map, with one bilinear interpolation.

    Args:
        picture: uint8, uint16 or float32.  (h0, w0, c)
        matrix: From the picture's pixels to the new ones'.  (3, 3)
        size: Height and width of the result.
        border: What stands where the picture does not reach: "reflect", "edge" or "constant" (black).

    Returns:
        (h, w, c), of the picture's type.
    """

    def act(part: NDArray[Any]) -> NDArray[Any]:
        return cv2.warpAffine(part, matrix[:2], size[::-1], flags=cv2.INTER_LINEAR, borderMode=BORDERS[border])

    return _by_channels(picture, act)


def warp_read(picture: NDArray[Any], maps: Maps, i: int, border: str) -> NDArray[Any]:
    """The picture of row i as read, resized and moved in one interpolation.  (h, w, c)"""
    if maps.is_whole_pixel and picture.shape[:2] != maps.size:
        picture = resize(picture, maps.size)  # as scored pictures are; then only whole pixels move
    if picture.shape[:2] == maps.size:
        return picture if _is_identity(maps.matrix[i]) else warp(picture, maps.matrix[i], maps.size, border)
    source = (int(picture.shape[0]), int(picture.shape[1]))
    return warp(picture, maps.matrix[i] @ resize_matrix(source, maps.size), maps.size, border)


def _is_identity(matrix: NDArray[np.float64]) -> bool:
    return bool(matrix[0, 0] == 1 and matrix[1, 1] == 1 and not (matrix[0, 1] or matrix[1, 0] or matrix[0, 2] or matrix[1, 2]))


def _interval(given: Range, around: float) -> tuple[float, float]:
    return given if isinstance(given, tuple) else (around - given, around + given)


def _by_channels(picture: NDArray[Any], act: Any) -> NDArray[Any]:
    """`act` on at most four channels at a time; OpenCV drops the axis of a single channel."""
    c = picture.shape[2]
    if c <= MAX_CHANNELS:
        out = act(picture)
        return out if out.ndim == 3 else out[:, :, None]
    parts = [act(np.ascontiguousarray(picture[:, :, k : k + MAX_CHANNELS])) for k in range(0, c, MAX_CHANNELS)]
    return np.concatenate([part if part.ndim == 3 else part[:, :, None] for part in parts], axis=2)


def shift_many(pictures: NDArray[Any], maps: Maps, border: str) -> NDArray[Any]:
    """A batch moved by maps of whole pixels: the same as `warp` on each, in a fraction of the time.  (b, h, w, c)"""
    _, h, w, c = pictures.shape
    down, right = maps.matrix[:, 1, 2].astype(int), (maps.matrix[:, 0, 2] - (w - 1) * maps.mirrored).astype(int)
    if not (down.any() or right.any() or maps.mirrored.any()):
        return pictures
    far = bool((2 * np.abs(down) >= h).any() or (2 * np.abs(right) >= w).any())
    if far or c > MAX_CHANNELS:  # a border would reflect what was cut off
        return np.stack([warp(one, matrix, (h, w), border) for one, matrix in zip(pictures, maps.matrix, strict=True)])
    out = np.empty_like(pictures)
    for i, (y, x, is_mirrored) in enumerate(zip(down.tolist(), right.tolist(), maps.mirrored.tolist(), strict=True)):
        source = np.ascontiguousarray(pictures[i, :, ::-1]) if is_mirrored else pictures[i]
        kept = source[max(-y, 0) : h - max(y, 0), max(-x, 0) : w - max(x, 0)]
        moved = cv2.copyMakeBorder(kept, max(y, 0), max(-y, 0), max(x, 0), max(-x, 0), BORDERS[border])
        out[i] = moved if moved.ndim == 3 else moved[:, :, None]
    return out
