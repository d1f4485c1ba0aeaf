"""One picture drawn anew under a map: colours interpolated, ids taken from the nearest pixel, depths between readings only."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from tamesu.decode import reduce
from tamesu.maps import Size

Border = Literal["reflect", "edge", "wrap", "constant"]
Matrices = NDArray[np.float64]
BORDERS = {
    "reflect": cv2.BORDER_REFLECT_101,
    "edge": cv2.BORDER_REPLICATE,
    "wrap": cv2.BORDER_WRAP,
    "constant": cv2.BORDER_CONSTANT,
}
MAX_CHANNELS = 4  # what OpenCV resizes and warps at once
SHRUNK = 0.5 + 1e-9  # from here down, the four pixels that linear interpolation looks at leave others out
WARPS_FOUR_FASTER = int(cv2.__version__.split(".")[0]) >= 5  # four channels in half the time of three; the same numbers
LEAST_WEIGHT = 0.2  # the nearest of four pixels weighs at least a quarter, but for rounding


class Scratch:
    """Memory that is used again for one picture after the other: a fresh page costs as much as drawing on it."""

    def __init__(self) -> None:
        self._buffers = [bytearray(), bytearray()]

    def array(self, which: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """An array of anything; one of two."""
        n_bytes = math.prod(shape) * dtype.itemsize
        if len(self._buffers[which]) < n_bytes:
            self._buffers[which] = bytearray(n_bytes)
        return np.ndarray(shape, dtype, self._buffers[which])


def resize_picture(picture: NDArray[Any], size: Size) -> NDArray[Any]:
    """The whole picture at another size: mean over areas where it shrinks to half or less, else linear.  (h, w, c)

    Above a half, linear interpolation uses nearly every pixel, takes a fifth of the time, and is what warped pictures get.
    """
    if picture.shape[:2] == size:
        return picture
    shrinks = picture.shape[0] >= 2 * size[0] and picture.shape[1] >= 2 * size[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return _by_channels(picture, lambda part: cv2.resize(part, size[::-1], interpolation=how))


def warp_picture(picture: NDArray[Any], matrix: Matrices, size: Size, border: Border = "reflect") -> NDArray[Any]:
    """A picture seen through a map, with one bilinear interpolation; where it shrinks to half or less, after an area mean.

    Args:
        picture: uint8, uint16 or float32.  (h0, w0, c)
        matrix: From the picture's pixels to the new ones'.  (3, 3)
        size: Height and width of the result.
        border: What stands where the picture does not reach; constant is black.

    Returns:
        (h, w, c), of the picture's type.
    """
    sides = np.array([picture.shape[:2]])
    kept = kept_sides(sides, scales(matrix[None]))
    pixels = reduce(picture, int(kept[0, 0]), int(kept[0, 1]))
    back = np.linalg.inv(matrix @ between(kept, sides)[0])
    out = np.empty((*size, picture.shape[2]), dtype=picture.dtype)
    draw(pixels, back, out, border, Scratch())
    return out


def warp_ids(ids: NDArray[Any], matrix: Matrices, size: Size, outside: float = 0) -> NDArray[Any]:
    """A mask seen through a map: the id of the nearest pixel, `outside` where the mask does not reach.  (h, w, c)"""
    back, how = np.linalg.inv(matrix)[:2], cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    beyond = (float(outside),) * MAX_CHANNELS

    def act(part: NDArray[Any]) -> NDArray[Any]:
        return cv2.warpAffine(part, back, size[::-1], flags=how, borderMode=cv2.BORDER_CONSTANT, borderValue=beyond)

    return _by_channels(ids, act)


def warp_depth(
    depth_m: NDArray[np.float32], matrix: Matrices, size: Size, resample: Literal["nearest", "linear"] = "linear"
) -> NDArray[np.float32]:
    """Distances seen through a map. A pixel whose nearest one is a hole is a hole; holes weigh nothing in their neighbours.

    Args:
        depth_m: 0 where there is no reading.  (h0, w0, 1)
        matrix: From the picture's pixels to the new ones'.  (3, 3)
        size: Height and width of the result.
        resample: nearest, or linear: interpolated between those of the four nearest pixels that are readings.

    Returns:
        (h, w, 1); 0 where there is no reading, and where the picture does not reach.
    """
    is_reading = depth_m != 0
    if resample == "nearest" or not is_reading.any():
        return warp_ids(depth_m, matrix, size)
    present = is_reading.astype(np.float32)
    is_near = warp_ids(present, matrix, size)[:, :, 0] > 0
    back, how = np.linalg.inv(matrix)[:2], cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    total = cv2.warpAffine(depth_m, back, size[::-1], flags=how, borderMode=cv2.BORDER_CONSTANT)
    weight = cv2.warpAffine(present, back, size[::-1], flags=how, borderMode=cv2.BORDER_CONSTANT)
    is_near &= weight > LEAST_WEIGHT
    moved = np.divide(total, weight, out=np.zeros_like(total), where=is_near)
    readings = depth_m[is_reading]
    np.clip(moved, readings.min(), readings.max(), out=moved, where=is_near)
    return moved[:, :, None]


# ---- pieces that batches share


def scales(matrices: Matrices) -> NDArray[np.float64]:
    """Pixels that one pixel's height and width become.  (b, 2)"""
    return np.stack([np.hypot(matrices[:, 0, k], matrices[:, 1, k]) for k in (1, 0)], axis=1)


def kept_sides(sides: NDArray[np.int64], scale: NDArray[np.float64]) -> NDArray[np.int64]:
    """Heights and widths to bring pictures down to, by halves, so that what is left shrinks to more than half.  (b, 2)"""
    halvings = np.maximum(np.floor(-np.log2(np.maximum(scale, 1e-12) / (2 * SHRUNK))), 0).astype(np.int64)
    return np.maximum(-(-sides >> halvings), 1)


def between(sources: NDArray[np.int64], targets: NDArray[np.int64]) -> Matrices:
    """The maps of whole pictures from one size to another.  (b, 3, 3)"""
    factor = targets / sources
    matrix = np.zeros((len(sources), 3, 3))
    matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, 2, 2] = factor[:, 1], factor[:, 0], 1
    matrix[:, :2, 2] = (factor[:, ::-1] - 1) / 2
    return matrix


def draw(picture: NDArray[Any], back: Matrices, out: NDArray[Any], border: Border, scratch: Scratch) -> None:
    """Fills `out` with what the picture shows, bilinearly.

    Args:
        picture: (h0, w0, c)
        back: From pixels of `out` to those of the picture; at least its first two rows.
        out: Contiguous, of the picture's type.  (h, w, c)
    """
    (h0, w0, c), (h, w, _) = picture.shape, out.shape
    options = {"flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, "borderMode": BORDERS[border]}
    if c in (1, 4) or (c == 3 and not WARPS_FOUR_FASTER):
        cv2.warpAffine(picture, back[:2], (w, h), dst=out, **options)
        return
    wide, drawn = scratch.array(0, (h0, w0, 4), picture.dtype), scratch.array(1, (h, w, 4), picture.dtype)
    if c == 3:
        cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA, dst=wide)
        cv2.warpAffine(wide, back[:2], (w, h), dst=drawn, **options)
        cv2.cvtColor(drawn, cv2.COLOR_RGBA2RGB, dst=out)
        return
    for start in range(0, c, MAX_CHANNELS):  # two or three would be interpolated more coarsely, by 1/32 of a pixel
        n = min(MAX_CHANNELS, c - start)
        wide[:, :, :n], wide[:, :, n:] = picture[:, :, start : start + n], 0
        cv2.warpAffine(wide, back[:2], (w, h), dst=drawn, **options)
        out[:, :, start : start + n] = drawn[:, :, :n]


def _by_channels(picture: NDArray[Any], act: Callable[[NDArray[Any]], NDArray[Any]]) -> NDArray[Any]:
    """`act` on at most four channels at a time; OpenCV drops the axis of a single channel."""
    c = picture.shape[2]
    if c <= MAX_CHANNELS:
        out = act(picture)
        return out if out.ndim == 3 else out[:, :, None]
    parts = [act(np.ascontiguousarray(picture[:, :, k : k + MAX_CHANNELS])) for k in range(0, c, MAX_CHANNELS)]
    return np.concatenate([part if part.ndim == 3 else part[:, :, None] for part in parts], axis=2)
