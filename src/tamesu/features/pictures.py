"""What is measured in one picture without a network: its colours and where they lie, and its texture.

Everything is measured on the picture as a network would be given it, brought to the study's `size`. Names and values come
from the same lists in the same order; a picture's numbers depend on nothing else.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
CELLS = 4  # each way, of the grid that says where
BINS = 8  # directions without sign, of 22.5 degrees each
FORM_SIDE = 32  # pixels on which directions are counted
SCALES = (1, 2, 4, 8)  # pixels that are one, each way, where gradients are taken
LEAST_SIDE = 3  # pixels that a scale must leave each way
QUANTILES = (5, 25, 50, 75, 95)  # per cent
CHANNEL_NAMES = {1: ("grey",), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "opacity")}
HUES = ("saturation_mean", "saturation_spread", "hue_cos", "hue_sin")
PLACES = tuple(f"row{i}_column{j}" for i in range(1, CELLS + 1) for j in range(1, CELLS + 1))
N_PATTERNS = 10  # of eight neighbours: 0 to 8 brighter ones in one run, and all that are not one run


def size_names() -> tuple[str, ...]:
    """What `size_values` gives."""
    return ("height", "width", "area", "aspect")


def size_values(shapes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Height, width and area in pixels, and width over height, of originals.  (n, 2) to (n, 4)"""
    height, width = shapes.astype(np.float32).T
    return np.stack([height, width, height * width, width / height], axis=1)


def colour_names(channels: int) -> tuple[str, ...]:
    """What `colour_values` gives."""
    of_channel = ("mean", "spread", *(f"quantile{q}" for q in QUANTILES))
    names = CHANNEL_NAMES.get(channels, tuple(f"channel{i + 1}" for i in range(channels)))
    hues = HUES if channels in (3, 4) else ()
    return (*(f"{name}_{one}" for name in names for one in of_channel), *hues, *(f"light_{place}" for place in PLACES))


def colour_values(seen: NDArray[Any]) -> Array:
    """Mean, spread and quantiles of each channel, saturation and hue, and how light each cell of a grid is.

    The hue is a mean arrow on the colour circle, each pixel as long as it is saturated.

    Args:
        seen: uint8 and uint16 count as shares of the full range, floats in their own unit.  (h, w, c)
    """
    pixels = as_shares(seen)
    whole = seen.dtype.kind in "iu"
    kind: Any = "stable" if whole else None  # by digits, where there are few of them
    ranked = np.sort((seen if whole else pixels).reshape(-1, seen.shape[2]).T.copy(), axis=1, kind=kind)
    at = np.round(np.array(QUANTILES) / 100 * (ranked.shape[1] - 1)).astype(np.int64)
    of_channels = [_mean_and_spread(pixels), as_shares(ranked[:, at, None])[:, :, 0].T]
    hues = _hues(pixels[:, :, :3]) if pixels.shape[2] in (3, 4) else np.zeros(0, dtype=np.float32)
    return np.concatenate([np.concatenate(of_channels).T.ravel(), hues, grid(grey(pixels))])


def texture_names() -> tuple[str, ...]:
    """What `texture_values` gives."""
    turns = [f"turn{round(180 / BINS * i)}" for i in range(BINS)]
    gradients = (f"gradient{scale}_{one}" for scale in SCALES for one in ("mean", "spread"))
    patterns = (*(f"pattern{i}" for i in range(N_PATTERNS - 1)), "pattern_other")
    return (*gradients, *patterns, *turns, *(f"{turn}_{place}" for place in PLACES for turn in turns))


def texture_values(seen: NDArray[Any]) -> Array:
    """How steep light is at several scales, which patterns eight neighbours make, which ways edges run and where.

    NaN at a scale that leaves fewer than three pixels.

    Args:
        seen: As of `colour_values`.

    Source:
        Ojala, Pietikäinen & Mäenpää (2002), Multiresolution Gray-Scale and Rotation Invariant Texture Classification with
        Local Binary Patterns (riu2, eight neighbours); Dalal & Triggs (2005), Histograms of Oriented Gradients.
    """
    light = grey(as_shares(seen))
    turns = directions(np.asarray(cv2.resize(light, (FORM_SIDE, FORM_SIDE), interpolation=cv2.INTER_AREA)))
    overall = turns.reshape(-1, BINS).sum(axis=0)
    return np.concatenate([_gradients(light), _patterns(light), overall, turns]).astype(np.float32)


def as_shares(seen: NDArray[Any]) -> Array:
    """Pixels as shares of their type's full range; floats as they are.  (h, w, c) float32"""
    if seen.dtype.kind in "iu":
        return seen.astype(np.float32) * np.float32(1 / np.iinfo(seen.dtype).max)
    return np.nan_to_num(seen.astype(np.float32))


def grey(pixels: Array) -> Array:
    """Light of colours as the eye weighs them; of other channels the mean.  (h, w, c) to (h, w)"""
    if pixels.shape[2] in (3, 4):
        return cv2.cvtColor(np.ascontiguousarray(pixels[:, :, :3]), cv2.COLOR_RGB2GRAY)  # type: ignore[return-value]
    return np.ascontiguousarray(pixels.mean(axis=2))


def grid(values: Array) -> Array:
    """Means of a grid of cells, row by row.  (h, w) to (CELLS * CELLS,)"""
    return np.asarray(cv2.resize(values, (CELLS, CELLS), interpolation=cv2.INTER_AREA), dtype=np.float32).ravel()


def directions(light: NDArray[Any]) -> NDArray[np.float64]:
    """Histograms of gradient directions in a grid of cells, gradients by their size; together of length 1.

    Args:
        light: (s, s) with s a multiple of CELLS.

    Returns:
        (CELLS * CELLS * BINS,), 0 throughout where nothing changes.

    Source:
        Dalal & Triggs (2005), Histograms of Oriented Gradients for Human Detection.
    """
    dx, dy = cv2.Sobel(light, cv2.CV_32F, 1, 0, ksize=3), cv2.Sobel(light, cv2.CV_32F, 0, 1, ksize=3)
    size, turn = np.hypot(dx, dy), np.arctan2(dy, dx) % np.pi
    bins = np.minimum((turn / np.pi * BINS).astype(np.int64), BINS - 1)
    place = np.arange(len(light)) * CELLS // len(light)
    cell = (place[:, None] * CELLS + place[None, :]) * BINS + bins
    counts = np.bincount(cell.ravel(), weights=size.ravel(), minlength=CELLS * CELLS * BINS)
    return counts / max(float(np.linalg.norm(counts)), 1e-6)


def _mean_and_spread(values: NDArray[Any]) -> Array:
    """Of each channel.  (h, w) or (h, w, c) to (2, c)"""
    planes = np.moveaxis(np.atleast_3d(values), 2, 0)  # OpenCV has at most four channels at once
    return np.array([cv2.meanStdDev(np.ascontiguousarray(one)) for one in planes], dtype=np.float32)[:, :, 0, 0].T


def _hues(colours: Array) -> Array:
    hsv = cv2.cvtColor(np.ascontiguousarray(colours), cv2.COLOR_RGB2HSV)
    hue_rad, saturation = np.deg2rad(hsv[:, :, 0]), hsv[:, :, 1]
    cos, sin = (saturation * np.cos(hue_rad)).mean(), (saturation * np.sin(hue_rad)).mean()
    return np.array([*_mean_and_spread(saturation).ravel(), cos, sin], dtype=np.float32)


def _gradients(light: Array) -> Array:
    """Mean and spread of the steepness at each of `SCALES`.  (2 * scales,)"""
    out = np.full((len(SCALES), 2), np.nan, dtype=np.float32)
    for i, scale in enumerate(SCALES):
        height, width = light.shape[0] // scale, light.shape[1] // scale
        if min(height, width) < LEAST_SIDE:
            break
        seen = light if scale == 1 else cv2.resize(light, (width, height), interpolation=cv2.INTER_AREA)
        corner = seen[:-1, :-1]
        steep = cv2.magnitude(seen[1:, :-1] - corner, seen[:-1, 1:] - corner)
        out[i] = _mean_and_spread(np.asarray(steep)).ravel()
    return out.ravel()


def _patterns(light: Array) -> Array:
    """How often eight neighbours make each pattern: shares.  (N_PATTERNS,)"""
    if min(light.shape) < LEAST_SIDE:
        return np.full(N_PATTERNS, np.nan, dtype=np.float32)
    height, width = light.shape
    middle = light[1:-1, 1:-1]
    code = np.zeros(middle.shape, dtype=np.uint8)
    for bit, (y, x) in enumerate(AROUND):
        code |= (light[1 + y : height - 1 + y, 1 + x : width - 1 + x] >= middle).view(np.uint8) << np.uint8(bit)
    return (np.bincount(PATTERN_OF[code.ravel()], minlength=N_PATTERNS) / code.size).astype(np.float32)


AROUND = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))  # anticlockwise from the right


def _pattern_of(code: int) -> int:
    bits = [code >> i & 1 for i in range(8)]
    changes = sum(bits[i] != bits[i - 1] for i in range(8))
    return sum(bits) if changes <= 2 else N_PATTERNS - 1


PATTERN_OF = np.array([_pattern_of(code) for code in range(256)], dtype=np.uint8)
