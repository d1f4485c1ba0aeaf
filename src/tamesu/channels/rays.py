"""Which place of the original each pixel of a frame shows, the ray through it, and how differences become slopes there.

A `Frame` is what there is to know of a map at once; `Frame.rays` works it out for some rows of pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamesu.maps import Maps, Matrices, Size
from tamesu.resample import scales, warp_ids

Plane = NDArray[np.float32]  # (h, w), or of length 1 along a side where nothing changes
Wide = NDArray[Any]  # such planes before they are made single: float64, or float32 where they are whole numbers
Linear = tuple[tuple[Any, Any], tuple[Any, Any]]  # of planes, or of numbers that are the same everywhere; None: 0 everywhere
Chain = tuple[Linear, ...]  # one matrix after the other
Camera = tuple[float, float, float, float]
N_KEPT = 4  # sizes of pictures whose pixels' numbers are remembered
ROUNDING = 1e-9


class Rays(NamedTuple):
    """What some rows of a frame show of one picture, whatever its distances are.

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
    slope: Chain
    tilt: Chain | None
    reach: int
    blur: int
    among: Plane | None


@dataclass(frozen=True, eq=False)
class Frame:
    """How a frame shows one picture.

    Attributes:
        x: The original's x at each pixel: planes or lines of pixels whose sum it is.
        y: The same.
        source: Height and width of the original.
        camera: fx, fy, cx, cy in pixels of the original.
        turn: The mirror and the rotation of the map.  (2, 2)
        back: Makes differences along the frame's rows and columns slopes along the original's axes; None: as the places go.
        reach: See `Rays`.
        blur: The same.
    """

    x: tuple[Wide, ...]
    y: tuple[Wide, ...]
    source: Size
    camera: Camera | None
    turn: Matrices
    back: Linear | None
    reach: int
    blur: int

    def rays(self, rows: slice) -> Rays:
        """Of these rows of pixels; where the outermost ones show no differences beyond them."""
        x, y = _rows_of(self.x, rows), _rows_of(self.y, rows)
        back = _gradients(_sum(x), _sum(y), self.reach) if self.back is None else self.back
        among = _among_pixels(_sum(x), _sum(y), self.source) if self.blur else None
        slope = _chain(_constant(self.turn), back)
        if self.camera is None:
            return Rays(None, None, None, slope, None, self.reach, self.blur, among)
        fx, fy, cx, cy = self.camera
        ray_x, ray_y = _rays(_constant(self.turn / [fx, fy]), _shifted(x, cx), _shifted(y, cy))
        squared = ray_x * ray_x + ray_y * ray_y
        squared += 1
        tilt = _chain(_constant(self.turn * [fx, fy]), back)
        return Rays(ray_x, ray_y, squared, slope, tilt, self.reach, self.blur, among)


def make_frames(maps: Maps, size: Size, camera: Camera | None, is_nearest: bool) -> Iterator[Frame]:
    """One a picture.

    Args:
        maps: From pixels of the originals to those of the frame.
        size: Height and width of the frame.
        camera: fx, fy, cx, cy in pixels of the original.
        is_nearest: Pixels of the frame are copies of the nearest of the original; else they are interpolated.
    """
    largest = np.ceil(scales(maps.matrix).max(axis=1) - ROUNDING).astype(np.int64)  # pixels for one of the original, at most
    sources, all_back = maps.source.tolist(), maps.inverse.matrix
    for i, (matrix, shown) in enumerate(zip(maps.matrix, largest.tolist(), strict=True)):
        is_whole = bool(maps.moves_whole_pixels[i])
        source = sources[i][0], sources[i][1]
        reach = max(1, shown)  # nearer ones may be copies of the same pixel, or interpolated between the same two
        is_copied = is_nearest and not is_whole
        x, y = _copied_places(source, matrix, size) if is_copied else _places(all_back[i], size)
        # by the chain rule: from differences in the frame to slopes along the original's axes
        back = None if is_copied else _constant(matrix[:2, :2].T / (2 * reach))
        blur = 0 if is_nearest or is_whole else max(1, math.ceil(shown / 2))
        yield Frame(x, y, source, camera, maps.orthogonal[i], back, reach, blur)


def moved(chain: Chain, x: Any, y: Any) -> tuple[Any, Any]:
    """A vector at every pixel, multiplied by one matrix after the other; whole planes are used up."""
    for (a, b), (c, d) in chain:
        if x.shape != y.shape or 1 in x.shape or any(one is None for one in (a, b, c, d)):
            x, y = _sum_of(x, a, y, b), _sum_of(x, c, y, d)
            continue
        first, second = x * a, y * b  # whole planes: memory that is new costs as much as what is done with it
        first += second
        np.multiply(y, d, out=second)
        x *= c
        second += x
        x, y = first, second
    return x, y


def differences(plane: Wide, axis: int, reach: int) -> Wide:
    """Between the pixels `reach` to either side; NaN where one of them lies beyond the frame."""
    lines, n = (plane, plane.shape[0]) if axis == 0 else (plane.T, plane.shape[1])
    out = np.empty_like(plane)
    made = out if axis == 0 else out.T
    inside = slice(reach, max(reach, n - reach))
    np.subtract(lines[2 * reach :], lines[: max(0, n - 2 * reach)], out=made[inside])
    made[:reach] = made[inside.stop :] = np.nan
    return out


def _sum_of(x: Any, a: Any, y: Any, b: Any) -> Any:
    return y * b if a is None else x * a if b is None else x * a + y * b


def _rows_of(parts: tuple[Wide, ...], rows: slice) -> tuple[Wide, ...]:
    return tuple(part[rows] if len(part) > 1 else part for part in parts)


def _sum(parts: tuple[Wide, ...]) -> Wide:
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


def _shifted(parts: tuple[Wide, ...], by: float) -> tuple[Wide, ...]:
    return (parts[0] - parts[0].dtype.type(by), *parts[1:])


def _rays(matrix: Linear, x: tuple[Wide, ...], y: tuple[Wide, ...]) -> tuple[Plane, Plane]:
    """The matrix times (x, y), of parts that are added up last: lines are less work than planes."""
    if len(x) == len(y) == 2:
        parts = [moved((matrix,), one, other) for one, other in zip(x, y, strict=True)]
        (ray_x, more_x), (ray_y, more_y) = (tuple(_single(part) for part in both) for both in zip(*parts, strict=True))
        return ray_x + more_x, ray_y + more_y
    ray_x, ray_y = moved((matrix,), x[0], y[0])
    return _single(ray_x), _single(ray_y)


def _places(back: Matrices, size: Size) -> tuple[tuple[Wide, ...], tuple[Wide, ...]]:
    """x and y of the original at each pixel of the frame: of its columns and of its rows, or of one of them alone."""
    h, w = size
    linear = np.where(np.abs(back[:2, :2]) < ROUNDING, 0, back[:2, :2])
    across, down = linear[:, :1] * np.arange(w), linear[:, 1:] * np.arange(h) + back[:2, 2:]  # (2, w), (2, h)
    if (np.count_nonzero(linear, axis=1) == 1).all():  # rows and columns by themselves
        x, y = ((across[k][None, :] + back[k, 2],) if linear[k, 0] else (down[k][:, None],) for k in (0, 1))
        return x, y
    return (across[0][None, :], down[0][:, None]), (across[1][None, :], down[1][:, None])


def _among_pixels(x: Wide, y: Wide, source: Size) -> Plane:
    inside = [(place >= -ROUNDING) & (place <= side - 1 + ROUNDING) for place, side in ((x, source[1]), (y, source[0]))]
    return (inside[0] & inside[1]).astype(np.float32)


def _copied_places(source: Size, matrix: Matrices, size: Size) -> tuple[tuple[Wide], tuple[Wide]]:
    """x and y of the pixel of the original that each pixel of the frame is a copy of; NaN where the original does not reach."""
    h0, w0 = source
    linear = np.where(np.abs(matrix[:2, :2]) < ROUNDING, 0, matrix[:2, :2])
    if (np.count_nonzero(linear, axis=1) == 1).all():  # rows and columns by themselves: the same copies from a line of pixels
        goes = np.abs(linear).argmax(axis=0)  # which side of the frame the original's x and y lie along
        return (_copied_line(w0, matrix, 0, int(goes[0]), size),), (_copied_line(h0, matrix, 1, int(goes[1]), size),)
    # each by itself, as distances are: OpenCV rounds two channels otherwise than one
    x, y = (warp_ids(plane, matrix, size, np.nan)[:, :, 0] for plane in _numbered(h0, w0))
    return (x,), (y,)


@lru_cache(maxsize=N_KEPT)
def _numbered(h: int, w: int) -> tuple[Plane, Plane]:
    """x and y of every pixel.  (h, w, 1) each"""
    x, y = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
    return x[:, :, None], y[:, :, None]


def _copied_line(side: int, matrix: Matrices, axis: int, goes: int, size: Size) -> Wide:
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
    (x_down, x_across), (y_down, y_across) = ([_change(plane, axis, reach) for axis in (0, 1)] for plane in (x, y))
    if x_down is None and y_across is None:
        return (1 / x_across, None), (None, 1 / y_down)
    if x_across is None and y_down is None:
        return (None, 1 / x_down), (1 / y_across, None)
    area = x_across * y_down
    area -= x_down * y_across
    np.reciprocal(area, out=area)  # where the original does not reach there is no reading either
    y_down *= area
    x_across *= area
    np.negative(area, out=area)
    y_across *= area
    x_down *= area
    return (y_down, y_across), (x_down, x_across)


def _change(plane: Wide, axis: int, reach: int) -> Any:
    """Its differences; None where nothing changes."""
    return None if plane.shape[axis] == 1 else differences(plane, axis, reach)


def _constant(matrix: Matrices) -> Linear:
    """A matrix that is the same everywhere."""
    (a, b), (c, d) = ((None if abs(one) < ROUNDING else float(one) for one in row) for row in matrix)
    return (a, b), (c, d)


def _chain(left: Linear, right: Linear) -> Chain:
    """One after the other where the first is of whole planes, which are dear to multiply; else their product."""
    if all(np.ndim(one) == 2 and min(np.shape(one)) > 1 for row in right for one in row):
        return right, left
    (a, b), (c, d) = ((None if one is None else _single(one) for one in row) for row in _product(left, right))
    return (((a, b), (c, d)),)


def _product(left: Linear, right: Linear) -> Linear:
    """Of two matrices at every pixel; what is 0 everywhere costs nothing."""

    def entry(i: int, j: int) -> Any:
        parts = [left[i][k] * right[k][j] for k in (0, 1) if left[i][k] is not None and right[k][j] is not None]
        return sum(parts[1:], parts[0]) if parts else None

    return (entry(0, 0), entry(0, 1)), (entry(1, 0), entry(1, 1))


def _single(plane: Any) -> Any:
    return np.asarray(plane, dtype=np.float32)
