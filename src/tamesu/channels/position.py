"""Where the pixels are: coordinates, sines and cosines of them, and the distance to the border, of the original picture.

They are pulled back through each sample's map: a pixel is told where in the original it lies, so that a crop or a mirror
does not move what is known of places. Pixels from -1 at the left and top edge of the picture to 1 at the other.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from tamesu.config import ChannelsConfig
from tamesu.maps import Maps, Size

Plane = NDArray[np.float32]  # (h, w)
Line = NDArray[np.float32]
Parts = tuple[Line, Line]  # by column and by row: their sum is the value at a pixel


def position_names(settings: ChannelsConfig) -> tuple[str, ...]:
    """What each channel that says where pixels are is called."""
    names = [] if settings.coords == "none" else ["x", "y"]
    for octave in range(settings.fourier):
        names += [f"{wave}_{axis}{2**octave}" for axis in "xy" for wave in ("sin", "cos")]
    return (*names, *(["border"] if settings.border else []))


def position_channels(maps: Maps, size: Size, settings: ChannelsConfig) -> NDArray[np.float32]:
    """Channels that say where the pixels of each sample are.

    coords: x and y, of the original (frame) or of what is seen of it (crop); -1 and 1 are its edges, half a pixel out.
    fourier: sin and cos of pi 2^k times the original's x and y, k from 0. border: distance to the nearest edge of the
    original, 1 in the middle and 0 at the edge, as a share of half its shorter side; beyond, minus the distance to the
    edge that is farthest passed, so that what a border was filled with is told from the picture.

    Args:
        maps: From pixels of the originals to those of the frame.
        size: Height and width of the frame.

    Returns:
        (b, h, w, c)

    Source:
        Liu et al. (2018), An Intriguing Failing of Convolutional Neural Networks and the CoordConv Solution;
        Tancik et al. (2020), Fourier Features Let Networks Learn High Frequency Functions in Low Dimensional Domains.
    """
    out = np.empty((len(maps), *size, len(position_names(settings))), dtype=np.float32)
    parts = _parts(maps, size)
    for i in range(len(maps)):
        own = [(across[i], down[i]) for across, down in parts]
        cv2.merge(list(_planes(own, maps.source[i], size, settings)), out[i])
    return out


def _planes(parts: list[Parts], source: NDArray[np.int64], size: Size, settings: ChannelsConfig) -> Iterator[Plane]:
    """The channels of one sample.  (h, w) each"""
    h, w = size
    if settings.coords == "crop":
        yield np.tile(((2 * np.arange(w) + 1) / w - 1).astype(np.float32), (h, 1))
        yield np.repeat(((2 * np.arange(h) + 1) / h - 1).astype(np.float32)[:, None], w, axis=1)
    elif settings.coords == "frame":
        for across, down in parts:
            yield across + down[:, None]
    for octave in range(settings.fourier):
        for across, down in parts:
            yield from _waves(np.float32(np.pi * 2**octave) * across, np.float32(np.pi * 2**octave) * down)
    if settings.border:
        yield _border(parts, source)


def position_numbers(maps: Maps) -> NDArray[np.float32]:
    """What all channels of position follow from: the original's x and y, -1 to 1, as they go along the frame.

    Args:
        maps: From pixels of the originals to those of the frame.

    Returns:
        Of x and of y: a column's share, a row's share, the value at the first pixel, and half that side of the original as a
        share of half its shorter side.  (b, 2, 4)
    """
    return _affine(maps).astype(np.float32)


def _affine(maps: Maps) -> NDArray[np.float64]:
    side = maps.source[:, ::-1].astype(np.float64)
    out = np.empty((len(maps), 2, 4))
    out[:, :, :3] = 2 * maps.inverse.matrix[:, :2] / side[:, :, None]
    out[:, :, 2] += 1 / side - 1
    out[:, :, 3] = side / side.min(axis=1, keepdims=True)
    return out


def _parts(maps: Maps, size: Size) -> list[Parts]:
    """What the columns and the rows of a frame add to the original's x and to its y: (b, w) and (b, h) of each."""
    numbers = _affine(maps)
    across = (numbers[:, :, 0:1] * np.arange(size[1])).astype(np.float32)
    down = (numbers[:, :, 1:2] * np.arange(size[0]) + numbers[:, :, 2:3]).astype(np.float32)
    return [(across[:, axis], down[:, axis]) for axis in (0, 1)]


def _waves(across: Line, down: Line) -> tuple[Plane, Plane]:
    """Sine and cosine of the sum: by the addition theorem, of rows and columns alone.  (h, w) each"""
    sine, cosine = np.multiply.outer(np.cos(down), np.sin(across)), np.multiply.outer(np.cos(down), np.cos(across))
    sine += np.multiply.outer(np.sin(down), np.cos(across))
    cosine -= np.multiply.outer(np.sin(down), np.sin(across))
    return sine, cosine


def _border(parts: list[Parts], source: NDArray[np.int64]) -> Plane:
    """(h, w)"""
    half = (source[::-1] / source.min()).astype(np.float32)  # of the width and the height, in halves of the shorter side
    planes = []
    for (across, down), share in zip(parts, half, strict=True):
        place = np.abs(across + down[:, None])
        planes.append(np.multiply(1 - place, share, out=place))
    return np.minimum(*planes)
