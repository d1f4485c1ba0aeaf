"""Which place of the original each pixel of a frame shows, the ray through it, and how differences become slopes there."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamesu.maps import Maps, Size
from tamesu.resample import scales, warp_ids

Plane = NDArray[np.float32]  # (h, w), or of length 1 along a side where nothing changes
Wide = NDArray[Any]  # such planes before they are made single: float64, or float32 where they are whole numbers
Linear = tuple[tuple[Any, Any], tuple[Any, Any]]  # of planes; None: 0 everywhere
Camera = tuple[float, float, float, float]
N_KEPT = 4  # frames remembered: pictures of one size that are scored all have the same
ROUNDING = 1e-9


class Rays(NamedTuple):
    """What a frame shows of one picture, whatever its distances are.

    Attributes:
        x: Of the ray through each pixel at distance 1, along the frame's axes; None without a camera.
        y: The same.
        length_squared: Of that ray; None without a camera.
        slope: Makes differences along the frame's rows and columns, across `2 * reach` pixels, slopes a pixel of the original.
        tilt: Makes them slopes against x and y of the ray; None without a camera.
        reach: Pixels of the frame to the neighbours that differences are taken of.
        blur: Readings so near to a hole may have been interpolated without it, and are of no known place; in pixels.
        among: 1 between the centres of the original's pixels, 0 beyond the outermost; None where nothing is interpolated.
    """

    x: Plane | None
    y: Plane | None
    length_squared: Plane | None
    slope: Linear
    tilt: Linear | None
    reach: int
    blur: int
    among: Plane | None


def make_rays(one: Maps, size: Size, camera: Camera | None, is_nearest: bool) -> Rays:
    """The rays of one picture.

    Args:
        one: From pixels of the original to those of the frame; of length 1.
        size: Height and width of the frame.
        camera: fx, fy, cx, cy in pixels of the original.
        is_nearest: Pixels of the frame are copies of the nearest of the original; else they are interpolated.
    """
    h0, w0 = (int(side) for side in one.source[0])
    matrix = np.ascontiguousarray(one.matrix[0], dtype=np.float64)
    return _rays(matrix.tobytes(), (h0, w0), size, camera, is_nearest)


@lru_cache(maxsize=N_KEPT)
def _rays(matrix: bytes, source: Size, size: Size, camera: Camera | None, is_nearest: bool) -> Rays:
    one = Maps(np.frombuffer(matrix).reshape(1, 3, 3), np.array([source]), np.array([size]))
    is_copied = is_nearest and not one.is_whole_pixel
    shown = math.ceil(float(scales(one.matrix).max()) - ROUNDING)  # pixels of the frame for one of the original, at most
    reach = max(1, shown)  # nearer ones may be copies of the same pixel, or interpolated between the same two
    places = _copied_places(one, size) if is_copied else _places(one, size)
    # by the chain rule: from differences in the frame to slopes along the original's axes
    back = _gradients(*places, reach) if is_copied else _constant(one.matrix[0, :2, :2].T / (2 * reach))
    turn = one.orthogonal[0]
    slope = _product(_constant(turn), back)
    is_mixed = not (is_nearest or one.is_whole_pixel)
    blur = max(1, math.ceil(shown / 2)) if is_mixed else 0
    among = _among_pixels(*places, source) if is_mixed else None
    if camera is None:
        return Rays(None, None, None, _single(slope), None, reach, blur, among)
    fx, fy, cx, cy = camera
    rays = _product(_constant(turn), (((places[0] - cx) / fx, None), ((places[1] - cy) / fy, None)))
    x, y = rays[0][0].astype(np.float32), rays[1][0].astype(np.float32)
    tilt = _product(_constant(turn @ np.diag([fx, fy])), back)
    return Rays(x, y, x * x + y * y + 1, _single(slope), _single(tilt), reach, blur, among)


def _places(one: Maps, size: Size) -> tuple[Wide, Wide]:
    """x and y of the original at each pixel of the frame."""
    back = one.inverse.matrix[0]
    frame = ((np.arange(size[1])[None, :], None), (np.arange(size[0])[:, None], None))
    moved = _product(_constant(back[:2, :2]), frame)
    return moved[0][0] + back[0, 2], moved[1][0] + back[1, 2]


def _among_pixels(x: Wide, y: Wide, source: Size) -> Plane:
    inside = [(place >= -ROUNDING) & (place <= side - 1 + ROUNDING) for place, side in ((x, source[1]), (y, source[0]))]
    return (inside[0] & inside[1]).astype(np.float32)


def _copied_places(one: Maps, size: Size) -> tuple[Wide, Wide]:
    """x and y of the pixel of the original that each pixel of the frame is a copy of; NaN where the original does not reach."""
    h0, w0 = (int(side) for side in one.source[0])
    matrix = one.matrix[0]
    linear = np.where(np.abs(matrix[:2, :2]) < ROUNDING, 0, matrix[:2, :2])
    if (np.count_nonzero(linear, axis=1) == 1).all():  # rows and columns by themselves: the same copies from a line of pixels
        goes = np.abs(linear).argmax(axis=0)  # which side of the frame the original's x and y lie along
        return _copied_line(w0, matrix, 0, int(goes[0]), size), _copied_line(h0, matrix, 1, int(goes[1]), size)
    x = np.tile(np.arange(w0, dtype=np.float32), (h0, 1))
    y = np.repeat(np.arange(h0, dtype=np.float32)[:, None], w0, axis=1)
    # each by itself, as distances are: OpenCV rounds two channels otherwise than one
    return warp_ids(x[:, :, None], matrix, size, np.nan)[:, :, 0], warp_ids(y[:, :, None], matrix, size, np.nan)[:, :, 0]


def _copied_line(side: int, matrix: NDArray[np.float64], axis: int, goes: int, size: Size) -> Wide:
    """The original's x or y (`axis` 0 or 1) in a map without rotation, which shows it along a side of the frame.

    (1, w) or (h, 1)
    """
    line = np.eye(3)
    line[goes, 0], line[goes, 1], line[goes, 2] = matrix[goes, axis], 0, matrix[goes, 2]
    line[1 - goes, 0], line[1 - goes, 1] = 0, 1
    length = size[1 - goes]
    numbers = np.arange(side, dtype=np.float32)[None, :, None]
    return warp_ids(numbers, line, (1, length) if goes == 0 else (length, 1), outside=np.nan)[:, :, 0]


def _gradients(x: Wide, y: Wide, reach: int) -> Linear:
    """The inverse of the transposed derivative of the places shown, taken across `2 * reach` pixels."""
    x_across, x_down, y_across, y_down = _across(x, 1, reach), _across(x, 0, reach), _across(y, 1, reach), _across(y, 0, reach)
    with np.errstate(divide="ignore", invalid="ignore"):  # where the original does not reach there is no reading either
        if x_down is None and y_across is None:
            return (1 / x_across, None), (None, 1 / y_down)
        if x_across is None and y_down is None:
            return (None, 1 / x_down), (1 / y_across, None)
        area = x_across * y_down - x_down * y_across
        return (y_down / area, -y_across / area), (-x_down / area, x_across / area)


def _across(plane: Wide, axis: int, reach: int) -> Any:
    """Differences between the pixels `reach` to either side, NaN where one of them is missing; None where nothing changes."""
    if plane.shape[axis] == 1:
        return None
    out = np.full_like(plane, np.nan)
    n = plane.shape[axis]
    if n > 2 * reach:
        lines, inside = np.moveaxis(plane, axis, 0), np.moveaxis(out, axis, 0)
        np.subtract(lines[2 * reach :], lines[: -2 * reach], out=inside[reach:-reach])
    return out


def _constant(matrix: Wide) -> Linear:
    """A matrix that is the same everywhere."""
    (a, b), (c, d) = ((None if abs(one) < ROUNDING else np.full((1, 1), one) for one in row) for row in matrix)
    return (a, b), (c, d)


def _product(left: Linear, right: Linear) -> Linear:
    """Of two matrices at every pixel; what is 0 everywhere costs nothing."""

    def entry(i: int, j: int) -> Any:
        parts = [left[i][k] * right[k][j] for k in (0, 1) if left[i][k] is not None and right[k][j] is not None]
        return sum(parts[1:], parts[0]) if parts else None

    return (entry(0, 0), entry(0, 1)), (entry(1, 0), entry(1, 1))


def _single(linear: Linear) -> Linear:
    (a, b), (c, d) = ((None if one is None else np.asarray(one, dtype=np.float32) for one in row) for row in linear)
    return (a, b), (c, d)
